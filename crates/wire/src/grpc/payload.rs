#![allow(clippy::derive_partial_eq_without_eq, missing_docs, reason = "generated")]

use bytes::Bytes;

include!(concat!(env!("OUT_DIR"), "/_.rs"));

/// `google.protobuf.Any`, of which Nacos uses the value alone: JSON. (Rust's SDK fills the other field; nobody reads it.)
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}
