//! The dialects: HTTP v1, our own admin paths, UDP push. Decode, make one call to `naming`, encode.

mod contained;
pub mod doors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod grpc;
pub mod http;
mod metrics;
pub mod tls;
pub mod udp;
