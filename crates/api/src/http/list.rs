//! `GET /v1/ns/instance/list`: query and subscribe.

use super::door::Call;
use super::failure::Failure;
use super::reply::{Reply, start_of};
use bytes::Bytes;
use muster_model::{RenderKey, ServiceKey, ServiceSnapshot};
use muster_naming::Switches;
use muster_push::{Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use muster_wire::{
    Agent, ListFilter, Refusal, ServiceParam, check_cluster_filter, service_hosts, service_list, service_of,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The dialect numbers of HTTP lists: this and a bit each for the yes-or-noes of the filter and for hosts without the list
/// around them. Datagrams begin at 0x100, gRPC at 0x300.
const DIALECT: u16 = 0x200;
const HEALTHY_ONLY: u16 = 1;
const BARE_NAMES: u16 = 2;
const HOSTS_ALONE: u16 = 4;

/// What is kept of a subscriber's own words, in bytes.
const WORDS_BYTES_MAX: usize = 128;

/// What a list is asked with, in whichever generation.
pub(super) struct Asked<'a> {
    pub(super) service: ServiceKey,
    /// Checked already.
    pub(super) clusters: &'a str,
    pub(super) healthy_only: bool,
    pub(super) bare_names: bool,
    /// Where the caller would be pushed to; no port, no subscription.
    pub(super) push_ip: Option<&'a str>,
    pub(super) push_port: Option<u16>,
}

/// Answers the list, and subscribes if the caller names a port and listens to pushes. An unknown service has an empty
/// list and is subscribed to all the same (T-41).
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Required)?;
    let clusters = call.form.optional("clusters").unwrap_or("");
    check_cluster_filter(clusters)?;
    let asked = Asked {
        service,
        clusters,
        healthy_only: call.form.is_true("healthyOnly"),
        bare_names: !call.agent().grouped_names(),
        push_ip: call.form.optional("clientIP"),
        push_port: push_port(call.form.int("udpPort")?)?,
    };
    Ok(Reply::rendered_json(listed(call, asked)))
}

/// The list as JSON; see [`list`].
pub(super) fn listed(call: &Call<'_>, asked: Asked<'_>) -> Bytes {
    let switches = call.naming.switches();
    let (clusters, healthy_only, bare_names) = (asked.clusters, asked.healthy_only, asked.bare_names);
    let (snapshot, cache_ms) = match asked.push_port.map(|port| (port, call.agent())) {
        Some((port, agent)) if agent.pushes() => subscribe(call, asked, port, agent, &switches),
        _ => (call.naming.snapshot(&asked.service), switches.default_cache_ms),
    };
    let filter = ListFilter {
        clusters,
        healthy_only,
        cache_ms,
        bare_names,
    };
    rendered(&snapshot, &filter)
}

/// The port to push to; 0 and below mean none.
pub(super) fn push_port(port: Option<i32>) -> Result<Option<u16>, Refusal> {
    match port {
        Some(port) if port > 0 => match u16::try_from(port) {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(Refusal::Text(format!("port out of range:{port}"))),
        },
        _ => Ok(None),
    }
}

fn subscribe(
    call: &Call<'_>,
    asked: Asked<'_>,
    port: u16,
    agent: Agent,
    switches: &Switches,
) -> (Arc<ServiceSnapshot>, u64) {
    let key = SubscriptionKey {
        service: asked.service,
        clusters: asked.clusters.into(),
        target: Target::Udp(SocketAddr::new(push_ip(call, asked.push_ip), port)),
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
fn push_ip(call: &Call<'_>, said: Option<&str>) -> IpAddr {
    said.and_then(|text| text.parse().ok())
        .filter(|ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast())
        .unwrap_or_else(|| call.peer.ip().to_canonical())
}

fn shortened(text: &str) -> Box<str> {
    start_of(text, WORDS_BYTES_MAX).into()
}

/// The bytes of the list, rendered once per snapshot and filter.
fn rendered(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Bytes {
    let render = || Bytes::from(service_list(snapshot, filter));
    snapshot.renders.get_or_render(&key(filter, 0), render)
}

/// The hosts alone, as an array, rendered once as well.
pub(super) fn hosts(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Bytes {
    let render = || Bytes::from(service_hosts(snapshot, filter));
    snapshot.renders.get_or_render(&key(filter, HOSTS_ALONE), render)
}

fn key(filter: &ListFilter<'_>, shape: u16) -> RenderKey {
    let bit = |is: bool, bit: u16| if is { bit } else { 0 };
    RenderKey {
        dialect: DIALECT | shape | bit(filter.healthy_only, HEALTHY_ONLY) | bit(filter.bare_names, BARE_NAMES),
        // No cluster has a `;` in its name.
        filter: format!("{};{}", filter.cache_ms, filter.clusters).into(),
    }
}
