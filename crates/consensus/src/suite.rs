//! openraft's own tests of a store, on ours.

use crate::log_store::LogStore;
use crate::state::State;
use crate::testing::Journal;
use crate::types::Types;
use muster_storage::testing::FaultyDisk;
use muster_storage::{LogConfig, RaftLog, Snapshots};
use openraft::StorageError;
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
