//! Looking and subscribing.

use super::Outcome;
use super::failure::{Failure, require_naming};
use crate::grpc::call::Call;
use muster_naming::ServiceFilter;
use muster_push::{Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use muster_wire::grpc::{
    InfoFilter, ServiceListRequest, ServiceQueryRequest, SubscribeServiceRequest, answer_time_ms,
    query_service_response, service_list_response, subscribe_service_response,
};

/// What is kept of the `app` header, in characters.
const APP_CHARS_MAX: usize = 128;

/// `ServiceQueryRequest`. A service that nobody knows has an empty list.
pub(super) fn instances(call: &Call<'_>) -> Outcome {
    let request = ServiceQueryRequest::decode(call.body)?;
    let snapshot = call.naming.snapshot(&request.service);
    let filter = InfoFilter {
        clusters: &request.clusters,
        healthy_only: request.healthy_only,
    };
    let time_ms = answer_time_ms(&snapshot, call.received_ms);
    Ok(query_service_response(&snapshot, &filter, time_ms))
}

/// `ServiceListRequest`: bare names of one group. In order, so that pages do not overlap.
pub(super) fn services(call: &Call<'_>) -> Outcome {
    let request = ServiceListRequest::decode(call.body)?;
    let filter = ServiceFilter {
        namespace: request.namespace,
        group: Some(request.group),
    };
    let page = call.naming.services(&filter, request.offset, request.limit);
    let names: Vec<&str> = page.services.iter().map(|service| service.name().as_str()).collect();
    Ok(service_list_response(page.total, &names))
}

/// `SubscribeServiceRequest`, which also ends a subscription. There is one per connection and service: another cluster
/// filter replaces the one before, and the end does not look at it.
pub(super) fn subscribe(call: &Call<'_>) -> Outcome {
    let request = SubscribeServiceRequest::decode(call.body)?;
    let snapshot = if request.subscribe {
        require_naming(call)?;
        let key = SubscriptionKey {
            service: request.service,
            clusters: request.clusters.clone(),
            target: Target::Connection {
                id: call.connection.id,
                peer: call.connection.peer,
            },
        };
        let (snapshot, subscribed) = call.naming.subscribe(&call.context, key, info(call));
        if subscribed == Subscribed::Refused {
            return Err(Failure::full("this node keeps as many subscriptions as it takes"));
        }
        snapshot
    } else {
        call.naming
            .unsubscribe(&call.context, call.connection.id, &request.service);
        call.naming.snapshot(&request.service)
    };
    let filter = InfoFilter {
        clusters: &request.clusters,
        healthy_only: false,
    };
    let time_ms = answer_time_ms(&snapshot, call.received_ms);
    Ok(subscribe_service_response(&snapshot, &filter, time_ms))
}

/// What listings show of the subscriber: the application by its setup, else by the header, as Go and Python have it.
fn info(call: &Call<'_>) -> SubscriptionInfo {
    let mut app = call.connection.app();
    if app.is_empty() {
        let header = call.headers.get("app").map_or("unknown", String::as_str);
        app = header.chars().take(APP_CHARS_MAX).collect::<String>().into();
    }
    SubscriptionInfo {
        agent: call.connection.version(),
        app,
        datagram_bytes_max: usize::MAX,
    }
}
