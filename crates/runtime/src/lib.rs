//! Tasks with a stated end, shutdown, and the two clocks.
//!
//! - [`Clock`] is the only place that reads time, so that tests can move it and skew it.
//! - [`HybridClock`] issues [`Stamp`](muster_model::Stamp)s: wall time that never goes back and never falls behind a peer.
//! - [`Tasks`] is the only place that spawns, so that a task's end means something and shutdown can wait for it.

mod clock;
mod hybrid;
mod tasks;

pub use clock::Clock;
pub use hybrid::HybridClock;
pub use tasks::{Shutdown, TaskKind, Tasks};
