//! openraft's own tests of a store, on ours.

use crate::log_store::LogStore;
use crate::state::State;
use crate::testing::Journal;
use crate::types::{Command, Entry, Types, log_id, vote};
use muster_storage::testing::FaultyDisk;
use muster_storage::{LogConfig, RaftLog, Snapshots};
use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;

struct Builder;

impl StoreBuilder<Types, LogStore, State> for Builder {
    async fn build(&self) -> Result<((), LogStore, State), StorageError<Types>> {
        let disk = Arc::new(FaultyDisk::new(1));
        // No cache: what is read comes from the segments once it is written.
        let config = LogConfig {
            cache_bytes: 0,
            ..LogConfig::new("/log".into())
        };
        let log = RaftLog::open(config, disk.clone(), Box::new(|_| {})).unwrap();
        let snapshots = Arc::new(Snapshots::open(disk, "/snapshots".into()).unwrap());
        let state = State::new(Arc::new(Journal::new()), snapshots).unwrap();
        Ok(((), LogStore::new(Arc::new(log)), state))
    }
}

#[tokio::test]
async fn the_store_passes_the_suite_of_openraft() {
    Suite::test_all(Builder).await.unwrap();
}

/// A store on a disk that syncs nothing from now on.
fn on_a_disk_that_does_not_sync() -> LogStore {
    let disk = FaultyDisk::new(1);
    let log = RaftLog::open(LogConfig::new("/log".into()), Arc::new(disk.clone()), Box::new(|_| {})).unwrap();
    disk.fail_syncs();
    LogStore::new(Arc::new(log))
}

#[tokio::test]
async fn an_entry_that_the_disk_has_not_synced_is_not_reported_to_raft() {
    let mut store = on_a_disk_that_does_not_sync();
    let entry = Entry::new_normal(log_id(1, 1, 0), Command("a".into()));
    store.blocking_append([entry]).await.unwrap_err();
}

#[tokio::test]
async fn a_vote_that_the_disk_has_not_synced_is_not_given() {
    let mut store = on_a_disk_that_does_not_sync();
    store.save_vote(&vote(1, 1, false)).await.unwrap_err();
}
