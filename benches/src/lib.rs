//! Benchmarks against running servers.

pub mod grpc;
pub mod push;
pub mod usage;
