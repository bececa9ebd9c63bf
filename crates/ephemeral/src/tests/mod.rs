//! Whole clusters over the in-memory network, in paused time.

pub(crate) mod cluster;
mod connections;
mod convergence;
mod faults;
mod garbage;
mod leases;
mod merge;
mod start;
mod storms;
