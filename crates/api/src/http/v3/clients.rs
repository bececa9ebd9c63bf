//! `/v3/admin/ns/client`: v2's calls in v3's words.

use crate::http::clients;
use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::result;
use crate::http::v2::clients::{asked, described, kind, wanted};
use muster_model::{Instance, ServiceKey};
use muster_push::Listed;
use muster_wire::bound_service;
use serde_json::{Value, json};

fn publisher(id: &str, instance: &Instance) -> Value {
    json!({
        "clientId": id,
        "ip": instance.key.host.as_str(),
        "port": instance.key.port,
        "clusterName": instance.cluster.as_str(),
    })
}

fn subscriber(id: &str, listed: &Listed) -> Value {
    json!({
        "clientId": id,
        "appName": listed.info.app,
        "agent": listed.info.agent,
        "address": listed.key.target.to_string(),
    })
}

/// What a client has to do with a service: one of the two is null.
fn service_row(service: &ServiceKey, publisher: Option<Value>, subscriber: Option<Value>) -> Value {
    json!({
        "namespaceId": service.namespace().as_str(),
        "groupName": service.group().as_str(),
        "serviceName": service.name().as_str(),
        "publisherInfo": publisher,
        "subscriberInfo": subscriber,
    })
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(result::well(&described(&asked(call)?, |port| json!(port))))
}

/// The name of the client, as the caller gave it.
fn id<'c>(call: &'c Call<'_>) -> &'c str {
    call.form.verbatim("clientId").unwrap_or("")
}

pub(super) fn published(call: &Call<'_>) -> Result<Reply, Failure> {
    let rows: Vec<Value> = clients::published(call, &asked(call)?)
        .iter()
        .map(|(service, instance)| service_row(service, Some(publisher(id(call), instance)), None))
        .collect();
    Ok(result::well(&rows))
}

pub(super) fn subscribed(call: &Call<'_>) -> Result<Reply, Failure> {
    let rows: Vec<Value> = clients::subscribed(call, &asked(call)?)
        .iter()
        .map(|listed| service_row(&listed.key.service, None, Some(subscriber(id(call), listed))))
        .collect();
    Ok(result::well(&rows))
}

pub(super) fn publishers(call: &Call<'_>) -> Result<Reply, Failure> {
    let (service, kind, wanted) = (bound_service(&call.form)?, kind(&call.form)?, wanted(&call.form)?);
    let rows: Vec<Value> = clients::publishers(call, &service, kind, &wanted)
        .iter()
        .map(|(id, instance)| publisher(id, instance))
        .collect();
    Ok(result::well(&rows))
}

pub(super) fn subscribers(call: &Call<'_>) -> Result<Reply, Failure> {
    let (service, wanted) = (bound_service(&call.form)?, wanted(&call.form)?);
    let rows: Vec<Value> = clients::subscribers(call, &service, &wanted)
        .iter()
        .map(|(id, listed)| subscriber(id, listed))
        .collect();
    Ok(result::well(&rows))
}
