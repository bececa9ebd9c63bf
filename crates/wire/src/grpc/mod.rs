//! Nacos's gRPC dialect: payloads, and the JSON messages that stand in them.

mod payload;

pub use payload::{Any, Metadata, Payload};
