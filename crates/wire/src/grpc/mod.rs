//! Nacos's gRPC dialect: payloads, and the JSON messages that stand in them.
//!
//! A message is a [`Payload`] whose `metadata.type` names it and whose body is JSON. What comes in is read as leniently as
//! Jackson reads it and a little more (every member may be absent or `null`, unknown ones are skipped, numbers may be
//! text); what goes out holds the rules that satisfy every SDK at once, each of which broke at least one:
//!
//! 1. Every request of the server's has `"headers":{}`.
//! 2. Nothing is ever `null`.
//! 3. A `requestId` is a string.
//! 4. What failed has a `resultCode` other than 200, an `errorCode` other than 0 and `success:false`.
//! 5. Members that some client requires are always there, also in failures.
//! 6. Whole numbers are written as such.
//! 7. `allIPs` is written beside `allIps`.
//! 8. An answer is of the expected type or an `ErrorResponse`.

mod ack;
mod control;
mod foreign;
mod fuzzy_watch;
mod instance;
mod naming_request;
mod naming_response;
mod payload;
mod response;
mod scalar;
mod service_info;
mod setup;

pub use ack::Ack;
pub use control::{
    ClientDetectionRequest, ConnectResetRequest, HealthCheckResponse, ServerCheckResponse, SetupAckRequest,
};
pub use foreign::foreign_response;
pub use fuzzy_watch::{
    FuzzyAct, FuzzyChange, FuzzyContext, FuzzyPattern, FuzzySync, FuzzyWatchRequest,
    NAMING_FUZZY_WATCH_CHANGE_NOTIFY_REQUEST, NAMING_FUZZY_WATCH_RESPONSE, NAMING_FUZZY_WATCH_SYNC_REQUEST,
    fuzzy_change_members, fuzzy_key, fuzzy_sync_members, fuzzy_watch_response,
};
pub use instance::BATCH_INSTANCES_MAX;
pub use naming_request::{
    BatchInstanceRequest, InstanceAct, InstanceRequest, PAGE_NAMES_MAX, RequestError, ServiceListRequest,
    ServiceQueryRequest, SubscribeServiceRequest,
};
pub use naming_response::{
    BATCH_INSTANCE_RESPONSE, INSTANCE_RESPONSE, QUERY_SERVICE_RESPONSE, SERVICE_LIST_RESPONSE,
    SUBSCRIBE_SERVICE_RESPONSE, batch_instance_response, failed_response, instance_response, service_list_response,
};
pub use payload::{Any, Metadata, Payload, payload};
pub use response::{ERROR_RESPONSE, coded_error_response, error_response};
pub(crate) use service_info::protected;
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

#[cfg(test)]
mod tests;
