//! The doors without sockets, opened to the fuzz targets.

pub use crate::grpc::fuzzing::{GrpcDoor, message, messages};
pub use crate::http::fuzzing::HttpDoor;
