//! `GET /v1/ns/instance/list`: query and subscribe.

use super::door::Call;
use super::failure::Failure;
use super::reply::{Reply, start_of};
use bytes::Bytes;
use hyper::StatusCode;
use muster_model::{RenderKey, ServiceKey, ServiceSnapshot};
use muster_naming::Switches;
use muster_push::{Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use muster_wire::{Agent, ListFilter, ServiceParam, check_cluster_filter, service_list, service_of};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The dialect numbers of HTTP lists: this and two bits, one per yes-or-no of the filter.
const DIALECT: u16 = 0x100;
const HEALTHY_ONLY: u16 = 1;
const BARE_NAMES: u16 = 2;

/// What is kept of a subscriber's own words, in bytes.
const WORDS_BYTES_MAX: usize = 128;

/// Answers the list, and subscribes if the caller names a port and listens to pushes. An unknown service has an empty
/// list and is subscribed to all the same (T-41).
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Required)?;
    let clusters = call.form.optional("clusters").unwrap_or("");
    check_cluster_filter(clusters)?;
    let healthy_only = call.form.is_true("healthyOnly");
    let udp_port = udp_port(call)?;
    let agent = call.agent();
    let switches = call.naming.switches();
    let (snapshot, cache_ms) = match udp_port {
        Some(port) if agent.pushes() => subscribe(call, service, clusters, port, agent, &switches),
        _ => (call.naming.snapshot(&service), switches.default_cache_ms),
    };
    let filter = ListFilter {
        clusters,
        healthy_only,
        cache_ms,
        bare_names: !agent.grouped_names(),
    };
    Ok(Reply::rendered_json(rendered(&snapshot, &filter)))
}

/// The port to push to; 0 and below mean none.
fn udp_port(call: &Call<'_>) -> Result<Option<u16>, Failure> {
    match call.form.int("udpPort")? {
        Some(port) if port > 0 => match u16::try_from(port) {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(Failure::text(
                StatusCode::BAD_REQUEST,
                format!("port out of range:{port}"),
            )),
        },
        _ => Ok(None),
    }
}

fn subscribe(
    call: &Call<'_>,
    service: ServiceKey,
    clusters: &str,
    port: u16,
    agent: Agent,
    switches: &Switches,
) -> (Arc<ServiceSnapshot>, u64) {
    let key = SubscriptionKey {
        service,
        clusters: clusters.into(),
        target: Target::Udp(SocketAddr::new(client_ip(call), port)),
    };
    let info = SubscriptionInfo {
        agent: shortened(call.agent_text()),
        app: shortened(call.form.optional("app").unwrap_or("unknown")),
        datagram_bytes_max: agent.datagram_bytes_max(),
    };
    let (snapshot, subscribed) = call.naming.subscribe(&call.context, key, info);
    let pushed = subscribed == Subscribed::Pushed && switches.push;
    let cache_ms = if pushed {
        switches.push_cache_ms
    } else {
        switches.default_cache_ms
    };
    (snapshot, cache_ms)
}

/// Where to push to: what the client says, if that is an address and not a name; else where it asks from (T-40).
fn client_ip(call: &Call<'_>) -> IpAddr {
    call.form
        .optional("clientIP")
        .and_then(|text| text.parse().ok())
        .filter(|ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast())
        .unwrap_or_else(|| call.peer.ip().to_canonical())
}

fn shortened(text: &str) -> Box<str> {
    start_of(text, WORDS_BYTES_MAX).into()
}

/// The bytes of the list, rendered once per snapshot and filter.
fn rendered(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Bytes {
    let bit = |is: bool, bit: u16| if is { bit } else { 0 };
    let key = RenderKey {
        dialect: DIALECT | bit(filter.healthy_only, HEALTHY_ONLY) | bit(filter.bare_names, BARE_NAMES),
        // No cluster has a `;` in its name.
        filter: format!("{};{}", filter.cache_ms, filter.clusters).into(),
    };
    snapshot
        .renders
        .get_or_render(&key, || Bytes::from(service_list(snapshot, filter)))
}
