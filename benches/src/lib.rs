//! Benchmarks against running servers.

pub mod constant;
pub mod grpc;
pub mod http;
pub mod load;
pub mod peers;
pub mod plot;
pub mod push;
pub mod usage;
