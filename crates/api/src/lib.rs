//! The dialects: HTTP v1, v2, v3, our own admin paths, gRPC, UDP push. Decode, make one call to `naming`, encode.

mod contained;
pub mod doors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod grpc;
pub mod http;
mod listener;
mod metrics;
mod readiness;
pub mod tls;
pub mod udp;
mod within;
