//! The front door of the domain.
//!
//! Every dialect makes one call here per request: register, deregister, edit, beat, query, subscribe, and the settings
//! of services. Both stores meet here: each change is folded into the service's next
//! [`ServiceSnapshot`](muster_model::ServiceSnapshot), which answers queries and goes to `push`. Queries always see what
//! this node's stores hold; pushes are merged, answers are not.
//!
//! ```text
//! store applies ──► Changes::changed: mark the slot, tell push        (a few lines, never a store call)
//! query, push   ──► slot marked since the last fold? fold now ──► ServiceSnapshot, revision r+1, if content differs
//! every 500 ms  ──► fold what nobody asked for (within 5 ms while somebody watches the names); switches; gauges; drop slots that hold nothing and nobody wants
//! ```
//!
//! Promises: on one node a write that was acknowledged by this node's stores is in the next answer; revisions and stamps
//! of a service only grow, whatever the clocks do; equal content never makes a new revision; a query for a name that
//! nobody has heard of leaves nothing behind.
//!
//! Left to others: leases and copies (`ephemeral`), the log (`persistent`, `consensus`), who is told when (`push`), how
//! anything looks on a wire (`wire`, `api`).
//!
//! The doors above test against [`testing::Testbed`]: the same `Naming` over stores in memory, without Raft or peers.

mod answers;
mod beats;
mod changes;
mod config;
mod connections;
mod error;
mod fold;
mod instances;
mod keeper;
mod listing;
mod metrics;
mod naming;
mod news;
mod probes;
mod rules;
mod services;
mod slot;
mod stores;
mod switches;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use answers::{Counts, Page, Readiness, ServiceFilter};
pub use beats::{Beat, BeatAnswer};
pub use changes::Changes;
pub use config::{Config, Context, Parts, Upsert};
pub use error::Error;
pub use muster_ephemeral::Ending;
pub use naming::Naming;
pub use news::{Lagged, ServiceEvent, ServiceNews};
pub use switches::Switches;
