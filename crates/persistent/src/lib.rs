//! The replicated half: persistent instances, services, cluster settings and switches as a state machine on the log.
//!
//! ```text
//! Persistent ──propose──> consensus ──commit──> Store::apply ──publish──> readers, ChangeSink
//!                                                    │ dirty keys, every `checkpoint_every`
//!                                                    └─────────> sled (muster_storage::Table)
//! ```
//! - Writes are deltas with an idempotence key, never whole lists: [`Persistent`] makes them, `command` is their format on
//!   the log, `rules` says what they do.
//! - The authority is memory. Applying a batch makes one new immutable [`PersistentService`] for each service it touches
//!   and publishes it; readers take it and never wait.
//! - sled holds a checkpoint of the state at one position of the log. A restart loads it and applies the log behind it; if
//!   it is damaged it is put aside and the state comes from consensus' snapshot and log (docs/adr/003-sled-state.md).
//! - Same log, same state, same bytes on every member: nothing here that is kept reads a clock or a hash's order.

mod checkpoint;
mod command;
mod errors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handle;
mod metrics;
mod outcome;
mod proposer;
mod record;
mod rules;
mod service;
mod snapshot;
mod state;
mod store;
mod window;

#[cfg(test)]
mod tests;

pub use errors::{Rejection, WriteError};
pub use handle::{Config, Persistent};
pub use service::PersistentService;
