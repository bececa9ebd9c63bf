//! How checkpoints are written, and what becomes of one that is not.

use super::fixture::{apply, frozen, instance, open, open_on, service};
use crate::Persistent;
use crate::command::Action;
use crate::store::Store;
use muster_storage::{SledTables, StateTable, TableChanges, TableConfig, TableError, TableRecord, Tables, VisitRecord};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Sled's tables, which note where they are written from and panic where they are told to.
#[derive(Clone, Default)]
struct Watched {
    threads: Arc<Mutex<Vec<String>>>,
    panics: Arc<Mutex<bool>>,
}

struct WatchedTable {
    table: Box<dyn StateTable>,
    watched: Watched,
}

impl Watched {
    fn around(&self, table: Box<dyn StateTable>) -> Box<dyn StateTable> {
        let watched = self.clone();
        Box::new(WatchedTable { table, watched })
    }
}

impl Tables for Watched {
    fn open(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError> {
        Ok(self.around(SledTables.open(config)?))
    }

    fn start_over(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError> {
        Ok(self.around(SledTables.start_over(config)?))
    }
}

impl StateTable for WatchedTable {
    fn load(&self, visit: &mut VisitRecord<'_>) -> Result<Option<Vec<u8>>, TableError> {
        self.table.load(visit)
    }

    fn checkpoint(&mut self, changes: &TableChanges, seal: &[u8]) -> Result<(), TableError> {
        let name = thread::current().name().unwrap_or_default().to_owned();
        self.watched.threads.lock().push(name);
        assert!(!*self.watched.panics.lock(), "as told");
        self.table.checkpoint(changes, seal)
    }

    fn replace(&mut self, records: &mut dyn Iterator<Item = TableRecord>, seal: &[u8]) -> Result<(), TableError> {
        self.table.replace(records, seal)
    }

    fn disk_bytes(&self) -> u64 {
        self.table.disk_bytes()
    }
}

fn register(name: &str) -> Action {
    Action::Register(service(name), instance(1))
}

/// A store with one service, which is checkpointed.
async fn checkpointed(dir: &Path, watched: &Watched) -> (Persistent, Arc<Store>) {
    let (persistent, store) = open_on(Arc::new(watched.clone()), dir).unwrap();
    apply(&store, 1, &[register("a")]);
    persistent.checkpoint().await.unwrap();
    (persistent, store)
}

/// On the thread of [`muster_runtime::background`], which comes after all others.
#[tokio::test]
async fn checkpoints_are_written_behind_all_other_work() {
    let (dir, watched) = (tempfile::tempdir().unwrap(), Watched::default());
    let _store = checkpointed(dir.path(), &watched).await;
    assert_eq!(*watched.threads.lock(), ["muster-later"]);
}

#[tokio::test]
async fn what_a_checkpoint_that_panicked_was_to_write_is_in_the_next() {
    let (dir, watched) = (tempfile::tempdir().unwrap(), Watched::default());
    let (persistent, store) = checkpointed(dir.path(), &watched).await;
    apply(&store, 2, &[register("b")]);
    *watched.panics.lock() = true;
    assert!(persistent.checkpoint().await.is_err());
    *watched.panics.lock() = false;
    apply(&store, 3, &[register("c")]);
    persistent.checkpoint().await.unwrap();
    let expected = frozen(&store);
    drop((persistent, store));
    assert_eq!(frozen(&open(dir.path()).1), expected);
}
