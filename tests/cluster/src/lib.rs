//! Suites over real processes: kills, cuts, restarts, members coming and going, bad input. Run with `cargo test -p
//! muster-cluster`; each file in `tests` is a suite. What clusters and clients are made of is in `muster_testkit`, what looks
//! at them all the time is here: [`Watch`] for lists that must never be short, [`Clients`] for writes that must get through.
//!
//! Figures, such as the time without a leader, are printed (`--nocapture` shows them) and not asserted: they belong to the
//! machine. What is asserted is that nothing is lost.
//!
//! Tests that take minutes are ignored and have a smaller sibling that is not; `cargo xtask cluster --ignored` runs them.

mod beating;
mod clients;
mod holders;
mod waits;
mod watch;

pub use beating::Beating;
pub use clients::{Clients, Written};
pub use holders::Holders;
pub use waits::{GONE_WITHIN, WRITTEN_WITHIN, written};
pub use watch::Watch;
