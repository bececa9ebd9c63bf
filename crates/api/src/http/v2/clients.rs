//! `/v2/ns/client`: who publishes and who subscribes, by client.

use crate::http::clients::{self, Client, Wanted};
use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::{CLIENT_ID, CLIENT_IP, CLIENT_PORT, PUBLISHER_EPHEMERAL};
use crate::http::reply::Reply;
use crate::http::result;
use muster_model::Kind;
use muster_wire::{Form, Refusal, bound_service};
use serde_json::{Value, json};

/// The client that a call names.
pub(in crate::http) fn asked(call: &Call<'_>) -> Result<Client, Failure> {
    clients::find(call, CLIENT_ID.value(&call.form)?)
}

/// The kind of publishers that a call asks for.
pub(in crate::http) fn kind(form: &Form<'_>) -> Result<Kind, Refusal> {
    Ok(match PUBLISHER_EPHEMERAL.truth(form)?.unwrap_or(true) {
        true => Kind::Ephemeral,
        false => Kind::Persistent,
    })
}

/// The address that a call asks for. Unlike in 2.4, who names none asks for all.
pub(in crate::http) fn wanted<'f>(form: &'f Form<'_>) -> Result<Wanted<'f>, Refusal> {
    Ok(Wanted {
        ip: CLIENT_IP.read(form)?,
        port: CLIENT_PORT.int(form)?,
    })
}

pub(in crate::http) fn list(call: &Call<'_>) -> Reply {
    result::well(&clients::ids(call))
}

/// A client as both generations show it, but for its port: a text in v2, a number in v3.
pub(in crate::http) fn described(client: &Client, port: impl Fn(u16) -> Value) -> Value {
    match client {
        Client::Connection(connection) => json!({
            "clientId": connection.name,
            "ephemeral": true,
            "lastUpdatedTime": connection.last_active_ms,
            "clientType": "connection",
            "connectType": "GRPC",
            "appName": connection.app,
            "version": connection.version,
            "clientIp": connection.client_ip,
            "clientPort": port(connection.peer.port()),
        }),
        Client::Address { address, changed_ms } => json!({
            "clientId": format!("{}#{}", address.key, address.kind == Kind::Ephemeral),
            "ephemeral": address.kind == Kind::Ephemeral,
            "lastUpdatedTime": changed_ms,
            "clientType": "ipPort",
            "clientIp": address.key.host.as_str(),
            "clientPort": port(address.key.port),
        }),
    }
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    let described = described(&asked(call)?, |port| json!(port.to_string()));
    Ok(result::well(&described))
}

pub(super) fn published(call: &Call<'_>) -> Result<Reply, Failure> {
    let rows: Vec<Value> = clients::published(call, &asked(call)?)
        .iter()
        .map(|(service, instance)| {
            json!({
                "namespace": service.namespace().as_str(),
                "group": service.group().as_str(),
                "serviceName": service.name().as_str(),
                "registeredInstance": {
                    "ip": instance.key.host.as_str(),
                    "port": instance.key.port,
                    "cluster": instance.cluster.as_str(),
                },
            })
        })
        .collect();
    Ok(result::well(&rows))
}

pub(super) fn subscribed(call: &Call<'_>) -> Result<Reply, Failure> {
    let rows: Vec<Value> = clients::subscribed(call, &asked(call)?)
        .iter()
        .map(|listed| {
            let service = &listed.key.service;
            json!({
                "namespace": service.namespace().as_str(),
                "group": service.group().as_str(),
                "serviceName": service.name().as_str(),
                "subscriberInfo": {
                    "app": listed.info.app,
                    "agent": listed.info.agent,
                    "addr": listed.key.target.to_string(),
                },
            })
        })
        .collect();
    Ok(result::well(&rows))
}

pub(super) fn publishers(call: &Call<'_>) -> Result<Reply, Failure> {
    let (service, kind, wanted) = (bound_service(&call.form)?, kind(&call.form)?, wanted(&call.form)?);
    let rows: Vec<Value> = clients::publishers(call, &service, kind, &wanted)
        .iter()
        .map(|(id, one)| json!({ "clientId": id, "ip": one.key.host.as_str(), "port": one.key.port }))
        .collect();
    Ok(result::well(&rows))
}

pub(super) fn subscribers(call: &Call<'_>) -> Result<Reply, Failure> {
    let (service, wanted) = (bound_service(&call.form)?, wanted(&call.form)?);
    let rows: Vec<Value> = clients::subscribers(call, &service, &wanted)
        .iter()
        .map(|(id, listed)| {
            let at = listed.key.target.address();
            json!({ "clientId": id, "ip": at.ip().to_string(), "port": at.port() })
        })
        .collect();
    Ok(result::well(&rows))
}
