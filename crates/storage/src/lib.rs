//! What is on disk: the Raft log and vote, snapshot files, the replicated state in sled.
//!
//! - [`RaftLog`] keeps entries, vote, truncations and purges in one stream of records, so that none overtakes another. One
//!   thread writes and syncs whatever waits and then tells everybody (group commit). What it has told is on disk.
//! - [`Snapshots`] keeps whole states as files that appear complete or not at all.
//! - [`Identity`] says whose folder it is, so that a node never takes part with the memory of another one.
//! - [`Table`] keeps a checkpoint of the replicated state in sled, synced by ourselves.
//!
//! The first three reach the disk through [`Disk`], the table is opened through [`Tables`]. [`testing::FaultyDisk`] is the malicious
//! implementation of both: it forgets what was not synced, tears writes, runs full, fails to sync and loses power.
//!
//! This crate has never heard of openraft; positions, votes and entries are its own plain values.

mod disk;
mod identity;
mod log;
pub mod metrics;
mod snapshot;
mod table;
mod tables;
pub mod testing;

pub use disk::{Disk, DiskFile, RealDisk};
pub use identity::{Identity, IdentityError};
pub use log::{Done, LogConfig, LogEntry, LogError, LogState, OnFatal, Position, RaftLog, Reading, Sync, Vote};
pub use snapshot::{SnapshotFile, SnapshotMeta, SnapshotReader, SnapshotReceiver, SnapshotWriter, Snapshots};
pub use table::{Table, TableChanges, TableConfig, TableError, TableRecord};
pub use tables::{SledTables, StateTable, Tables, VisitRecord};
