//! The connection of a 2.x or 3.x client: HTTP/2 and Nacos's payloads, no generated stub between, so that a test sees every
//! frame and may leave out what a real client would do.

mod client;
mod frames;

pub use client::{GrpcClient, Heard, list_of, naming_setup};
pub use frames::{Frames, encode};
