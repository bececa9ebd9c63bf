//! The AP store: ephemeral instances, their leases, copies to every member, digests and repair.
//!
//! Any member takes any write and any beat and needs nobody's consent. What it took goes to all others at once; digests
//! compared every few seconds find and repair what was lost on the way. Newest write wins, by hybrid time; the end of a
//! connection ends only what its node knew of (`record::Rank`). Deletes leave tombstones, so that absence is never mistaken
//! for removal. Only the responsible member ends a lease for silence, and only while it sees a majority and after a grace
//! since it became responsible (reference push-and-replication 2.8).
//!
//! ```text
//!            register, edit              beat
//!   (none) ────────────────▶ healthy ◀──────── unhealthy      a write is a state with a version (hybrid stamp, member);
//!                              │  └──── 15 s ─────▲ │         of two states of a key the higher version holds, everywhere
//!                   deregister │                    │ 30 s
//!                              ▼                    ▼
//!                        deregistered            expired      tombstones, 10 minutes; and released: its connection ended
//! ```
//!
//! A client's open connection is a lease, too (`held`): its node renews it while the connection lives and ends it with the
//! connection; of a node that dies, and of one that restarts, the others end it after 30 s without a time of doubt. Which
//! connection holds what is kept beside the records (`holds`); the records say which member it is.
//!
//! How news travels, each its own file: a changed key is noted per peer and its newest state copied within milliseconds
//! (`copier`); who has beaten here is told every second (`seen`); stores are compared every two seconds (`repair`); a node
//! that becomes a member takes a whole copy (`loader`), and the file of the last resort is `warm`. A lease is ended by the one
//! `keeper`, after it has asked the others; whoever has seen a later beat refutes it with a newer write.
//!
//! Promised: nothing that lives is removed (G5), nothing that is dead stays beyond 35 s (G6), lists are equal 10 s after
//! the last fault (G4). Left to others: who may call, what a service looks like to its readers, persistent instances.

mod answers;
mod config;
mod connections;
mod copier;
mod door;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod held;
mod holds;
mod keeper;
mod leaf;
mod lease;
mod listing;
mod loader;
mod merge;
mod metrics;
mod moment;
mod node;
mod overtaken;
mod peers;
mod pulse;
mod record;
mod repair;
mod room;
mod seen;
mod store;
mod tenure;
#[cfg(test)]
mod tests;
mod warm;
mod wire;

pub use answers::{Beat, Counts, Error, Loading};
pub use config::{Config, Rules};
pub use connections::Ending;
pub use door::Ephemeral;
