//! Whole clusters over the in-memory network, in paused time.

mod cluster;
mod convergence;
mod faults;
mod garbage;
mod leases;
mod merge;
mod start;
