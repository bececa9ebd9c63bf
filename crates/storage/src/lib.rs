//! What is on disk: the Raft log and vote, snapshot files, the replicated state in sled.

mod table;

pub use table::{Table, TableChanges, TableConfig, TableError, TableRecord};
