//! Raft, by openraft: one group, opaque commands.
//!
//! A command is acknowledged when a majority has it on disk (synced) and the leader has applied it. Any member takes a
//! proposal and forwards it to the leader once; the caller sees one answer. What this crate has never heard of: services,
//! instances, clients.
//!
//! ```text
//! propose --> packer --> this member leads: Raft's core --> log store (storage::RaftLog), network --> state machine
//!                    \-> another leads: one forwarded pack, answered command by command
//! ```
//!
//! A proposal is tried again only while it is certain that nothing was done: no leader is known, the asked member does not lead,
//! or it could not be reached. Once it may have reached a log, its fate is waited for or said to be unknown.
//!
//! A member whose folder is empty does not take part before it knows that it may: it founds the group when none of the
//! founders knows of one, and otherwise has the leader remove and add it again, so that what it has forgotten counts nowhere.

mod config;
mod door;
mod error;
mod forward;
mod founding;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod leading;
mod log_store;
mod machine;
mod members;
pub mod metrics;
mod network;
mod proposals;
mod reached;
mod serve;
mod standing;
mod state;
mod status;
pub mod testing;
mod types;
mod wire;

pub use config::{Config, StartError, Sync};
pub use door::{Committed, Consensus};
pub use error::{MemberChangeError, ProposeError};
pub use machine::{Applied, Entry, Frozen, LogPosition, StateMachine};
pub use status::{RaftMember, Role, Status};

/// Differs from call to call and process to process: the standard library's hash seeds come from the system.
fn random_id() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod suite;
