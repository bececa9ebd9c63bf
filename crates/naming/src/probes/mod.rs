//! Health probes of persistent instances.
//!
//! One scheduler per node holds all targets in a heap by due time; a probe is a short task of its own, at most
//! `Config::probes_max` at once, each with a deadline. Only the member responsible for `host:port` probes; the others let
//! the time pass. What a probe finds reaches the list through Raft as an edit of `healthy`, so that it survives restarts
//! and is the same everywhere; while Raft cannot take it, the next probe finds it again. Nothing is ever removed.
//!
//! The numbers are Nacos's (reference push-and-replication 4.3, 4.4).

mod check;
mod pace;
mod report;
mod schedule;
mod shell;

pub(crate) use check::Probe;
pub(crate) use pace::{Found, Limits, Pace};
pub(crate) use shell::Prober;

#[cfg(test)]
mod black_holes;
