//! Whole clusters over the in-memory network, in paused time.

pub(crate) mod cluster;
mod connections;
mod convergence;
mod faults;
mod garbage;
mod leases;
mod long_cuts;
mod merge;
mod sizes;
mod start;
mod storms;
