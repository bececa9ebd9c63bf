//! What registered connections may ask: each request's handler.
//!
//! A handler reads the request, makes one call to naming, and writes the answer in the type that the request's type asks
//! for. What went wrong goes out as [`Failure`] says: refusals in that same type, which clients hand to their caller at once;
//! faults that may be gone in a moment as `ErrorResponse`, at which they try again.

mod failure;
mod instance;
mod query;
mod watch;
mod watches;
mod watching;

#[cfg(test)]
mod tests;

pub(super) use watches::Watches;

use super::call::{Answer, Call};
use bytes::Bytes;
use failure::Failure;
use muster_wire::grpc as wire;

/// What a handler brings about: the answer's JSON, or why there is none.
type Outcome = Result<Bytes, Failure>;

/// Answers a request by its `metadata.type`; `None` for one that has no handler.
pub(super) async fn answer(call: &Call<'_>, name: &str) -> Option<Answer> {
    let (response, outcome) = match name {
        "InstanceRequest" => (wire::INSTANCE_RESPONSE, instance::ephemeral(call)),
        "BatchInstanceRequest" => (wire::BATCH_INSTANCE_RESPONSE, instance::batch(call)),
        // The only one that waits, and much larger than the rest: within this future it would be room for every call.
        "PersistentInstanceRequest" => (wire::INSTANCE_RESPONSE, Box::pin(instance::persistent(call)).await),
        "ServiceQueryRequest" => (wire::QUERY_SERVICE_RESPONSE, query::instances(call)),
        "ServiceListRequest" => (wire::SERVICE_LIST_RESPONSE, query::services(call)),
        "SubscribeServiceRequest" => (wire::SUBSCRIBE_SERVICE_RESPONSE, query::subscribe(call)),
        "NamingFuzzyWatchRequest" => (wire::NAMING_FUZZY_WATCH_RESPONSE, watch::watch(call)),
        _ => {
            return wire::foreign_response(name).map(|(name, body)| Answer { name, body });
        }
    };
    Some(match outcome {
        Ok(body) => Answer { name: response, body },
        Err(failure) => failure.into_answer(response),
    })
}
