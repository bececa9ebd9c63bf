//! Benchmarks against running servers.

pub mod push;
