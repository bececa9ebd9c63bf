//! Tasks with a stated end, shutdown, and the two clocks.
//!
//! - [`Clock`] is the only place that reads time, so that tests can move it and skew it.
//! - [`HybridClock`] issues [`Stamp`](muster_model::Stamp)s: wall time that never goes back and never falls behind a peer.
//! - [`Tasks`] is the only place that spawns, so that a task's end means something and shutdown can wait for it.
//! - [`Threads`] keep tasks that others wait for apart from those that may be many.
//! - [`blocking`] and [`background`] are the only places that send work to other threads, so that a simulation can keep it on its
//!   own.

mod blocking;
mod clock;
mod hybrid;
mod tasks;
mod threads;

pub use blocking::{WorkPanicked, background, blocking, keep_to_one_thread, keeps_to_one_thread};
pub use clock::Clock;
pub use hybrid::HybridClock;
pub use tasks::{Shutdown, TaskKind, Tasks};
pub use threads::Threads;
