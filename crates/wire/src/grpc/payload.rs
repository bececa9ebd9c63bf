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

/// A message as a payload. Servers set nothing but type and body.
pub fn payload(type_name: &str, json: Bytes) -> Payload {
    Payload {
        metadata: Some(Metadata {
            r#type: type_name.to_owned(),
            ..Metadata::default()
        }),
        body: Some(Any {
            type_url: String::new(),
            value: json,
        }),
    }
}
