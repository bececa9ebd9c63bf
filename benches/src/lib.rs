//! Benchmarks against running servers.

pub mod push;
pub mod usage;
