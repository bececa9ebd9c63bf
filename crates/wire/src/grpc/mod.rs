//! Nacos's gRPC dialect: payloads, and the JSON messages that stand in them.
//!
//! A message is a [`Payload`] whose `metadata.type` names it and whose body is JSON. What comes in is read as leniently as
//! Jackson reads it and a little more (every member may be absent or `null`, unknown ones are skipped, numbers may be
//! text); what goes out holds the rules that satisfy every SDK at once, each of which broke at least one:
//!
//! 1. every request of the server's has `"headers":{}`; 2. nothing is ever `null`; 3. a `requestId` is a string; 4. what
//! failed has `resultCode` other than 200, `errorCode` other than 0 and `success:false`; 5. members that some client
//! requires are always there, also in failures; 6. whole numbers are written as such; 7. `allIPs` and `allIps` both;
//! 8. an answer is of the expected type or an `ErrorResponse`.

mod ack;
mod control;
mod payload;
mod response;
mod service_info;
mod setup;

pub use ack::Ack;
pub use control::{
    ClientDetectionRequest, ConnectResetRequest, HealthCheckResponse, ServerCheckResponse, SetupAckRequest,
};
pub use payload::{Any, Metadata, Payload, payload};
pub use response::{ERROR_RESPONSE, coded_error_response, error_response};
pub use service_info::{
    InfoFilter, NOTIFY_SUBSCRIBER_REQUEST, answer_time_ms, notify_payload, query_service_response,
    subscribe_service_response,
};
pub use setup::{ConnectionSetup, LABELS_MAX};

/// Why a body is not the JSON it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    /// Reads a JSON object. Nesting is bounded by the parser, sizes by the transport.
    fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Self> {
        // The parser would take an array for an object's members in order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Self("not a JSON object".to_owned()));
        }
        serde_json::from_slice(body).map_err(|error| Self(error.to_string()))
    }
}
