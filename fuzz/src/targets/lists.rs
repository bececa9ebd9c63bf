//! Lists of any service under any filter.

use crate::targets::node::WALL_MS;
use arbitrary::{Result, Unstructured};
use muster_model::{
    ClusterName, GroupName, Host, Instance, InstanceKey, Kind, NamespaceId, Renders, ServiceKey, ServiceName,
    ServiceSettings, ServiceSnapshot, Weight,
};
use muster_wire::grpc::{InfoFilter, Payload, notify_payload, query_service_response, subscribe_service_response};
use muster_wire::{ListFilter, service_hosts, service_list, service_list_for_datagram};
use prost::Message as _;
use serde_json::Value;
use std::sync::Arc;

const INSTANCES_MAX: usize = 8;

pub(crate) fn list(input: &[u8]) {
    // An input that ends too early describes nothing.
    let _ = described(&mut Unstructured::new(input));
}

fn described(input: &mut Unstructured<'_>) -> Result<()> {
    let clusters = input.arbitrary::<&str>()?;
    let (healthy_only, bare_names) = (input.arbitrary()?, input.arbitrary()?);
    let snapshot = snapshot(input)?;
    let filter = ListFilter {
        clusters,
        healthy_only,
        cache_ms: 10_000,
        bare_names,
    };
    over_http(&snapshot, &filter);
    over_grpc(&snapshot, &filter);
    Ok(())
}

fn snapshot(input: &mut Unstructured<'_>) -> Result<ServiceSnapshot> {
    let name = |text: &str| ServiceName::parse(text).unwrap_or_else(|_| ServiceName::parse("s").expect("a name"));
    let key = ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        name(input.arbitrary()?),
    );
    let threshold: u8 = input.arbitrary()?;
    let mut instances = Vec::new();
    while instances.len() < INSTANCES_MAX && input.arbitrary()? {
        instances.push(Arc::new(instance(input)?));
    }
    Ok(ServiceSnapshot {
        key,
        revision: 1,
        stamp_ms: WALL_MS,
        exists: !instances.is_empty(),
        instances: instances.into(),
        settings: Arc::new(ServiceSettings {
            protect_threshold: f32::from(threshold) / 255.0,
            ..ServiceSettings::default()
        }),
        trace: None,
        renders: Renders::default(),
    })
}

fn instance(input: &mut Unstructured<'_>) -> Result<Instance> {
    let host = Host::parse(input.arbitrary()?).unwrap_or_else(|_| Host::parse("10.0.0.1").expect("an address"));
    let kind = if input.arbitrary()? {
        Kind::Ephemeral
    } else {
        Kind::Persistent
    };
    let mut instance = Instance::new(InstanceKey::new(host, input.arbitrary()?), kind);
    instance.cluster = ClusterName::parse(input.arbitrary()?).unwrap_or_else(|_| ClusterName::default_cluster());
    instance.weight = Weight::new(input.arbitrary()?).unwrap_or_default();
    (instance.enabled, instance.healthy) = (input.arbitrary()?, input.arbitrary()?);
    let mut pairs = Vec::new();
    while input.arbitrary()? {
        pairs.push((input.arbitrary::<String>()?, input.arbitrary::<String>()?));
    }
    instance.metadata = pairs.into_iter().collect();
    Ok(instance)
}

/// By whose rules a list is protected: docs/compat.md.
#[derive(Clone, Copy, PartialEq)]
enum Rules {
    /// Disabled instances count, and the threshold 0 that nobody has set protects who has no healthy one.
    Http,
    /// Disabled ones do not count, and a service that nothing was said of is not protected.
    Grpc,
}

/// Whom a client that asked so is to be given, by the rules as they are written down: `host:port` in order.
fn expected(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>, rules: Rules) -> Vec<String> {
    let named: Vec<_> = filter.clusters.split(',').filter(|name| !name.is_empty()).collect();
    let asked = snapshot
        .instances
        .iter()
        .filter(|it| named.is_empty() || named.contains(&it.cluster.as_str()));
    let asked: Vec<_> = asked.collect();
    let judged: Vec<_> = asked.iter().filter(|it| rules == Rules::Http || it.enabled).collect();
    let healthy = judged.iter().filter(|it| it.healthy).count();
    let all_pass = !judged.is_empty()
        && healthy as f32 / judged.len() as f32 <= snapshot.settings.protect_threshold
        && (rules == Rules::Http || *snapshot.settings != ServiceSettings::default());
    let given = asked
        .iter()
        .filter(|it| it.enabled && (it.healthy || all_pass || !filter.healthy_only));
    given.map(|it| it.key.to_string()).collect()
}

fn addresses(hosts: &Value) -> Vec<String> {
    let hosts = hosts.as_array().expect("hosts are an array");
    let address = |host: &Value| {
        let ip = host["ip"].as_str().expect("ip is a text");
        format!("{ip}:{}", host["port"])
    };
    hosts.iter().map(address).collect()
}

fn over_http(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) {
    let read = |bytes: Vec<u8>| -> Value { serde_json::from_slice(&bytes).expect("a list is JSON") };
    let expected = expected(snapshot, filter, Rules::Http);
    for list in [
        service_list(snapshot, filter),
        service_list_for_datagram(snapshot, filter),
    ] {
        let list = read(list);
        assert_eq!(addresses(&list["hosts"]), expected);
        assert_eq!(list["clusters"], filter.clusters, "echoed byte for byte");
    }
    assert_eq!(addresses(&read(service_hosts(snapshot, filter))), expected);
}

fn over_grpc(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) {
    let expected = expected(snapshot, filter, Rules::Grpc);
    let info = InfoFilter {
        clusters: filter.clusters,
        healthy_only: filter.healthy_only,
    };
    for body in [
        query_service_response(snapshot, &info, WALL_MS),
        subscribe_service_response(snapshot, &info, WALL_MS),
    ] {
        let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
        assert_eq!(addresses(&answer["serviceInfo"]["hosts"]), expected, "{answer}");
    }
    let push = notify_payload(snapshot, filter.clusters, 7);
    let payload = Payload::decode(push).expect("a push is a payload");
    let json = payload.body.expect("a push has a body").value;
    let read: Value = serde_json::from_slice(&json).expect("a push is JSON");
    assert_eq!(read["requestId"], "7");
}
