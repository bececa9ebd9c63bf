//! The list of a service as Nacos clients read it: the answer to `GET /v1/ns/instance/list` and the inner text of a
//! pushed datagram.
//!
//! The shape is Nacos 2.4's with the members that only 1.4 had (`dom`, `env`, `valid`, …) added; every client ignores
//! those it does not know. Rendered straight from the snapshot, member by member, with nothing built in between.

use muster_model::{Instance, Kind, Metadata, ServiceKey, ServiceSnapshot};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use std::fmt;
use std::hash::Hasher;

/// Chooses how an instance id is made (reference nacos-http 9.4).
pub(crate) const ID_GENERATOR: &str = "preserved.instance.id.generator";
pub(crate) const ID_GENERATOR_DEFAULT: &str = "simple";

/// What a caller wants of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListFilter<'a> {
    /// The clusters asked for, verbatim: a comma list, empty for all. Echoed byte for byte, because it is part of the
    /// client's cache key (T-7).
    pub clusters: &'a str,
    pub healthy_only: bool,
    /// When the client is to ask again.
    pub cache_ms: u64,
    /// `dom` and `hosts[].serviceName` lose their group, as 1.4 gives them to all but Java clients. `name` keeps it.
    pub bare_names: bool,
}

/// Renders the list that `filter` asks for. A service that does not exist has the same shape and no hosts.
pub fn service_list(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Vec<u8> {
    render(snapshot, filter, true)
}

/// The same list for a datagram. 1.x clients, who alone are sent any, key by `name`, so Nacos leaves `groupName` out.
pub fn service_list_for_datagram(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Vec<u8> {
    render(snapshot, filter, false)
}

/// The id under which clients know an instance: `IP#PORT#CLUSTER#GROUP@@NAME`.
///
/// The `snowflake` generator of Nacos 2.4 puts a number in place of the address. Ours comes from the address, so that
/// every node gives the same one and none has to remember it.
pub fn instance_id<'a>(service: &'a ServiceKey, instance: &'a Instance) -> impl fmt::Display + 'a {
    InstanceId { service, instance }
}

/// `GROUP@@NAME`, Nacos's form of a service name.
pub fn grouped_name(service: &ServiceKey) -> impl fmt::Display + '_ {
    Grouped(service)
}

/// The hosts of that list alone, as an array.
pub fn service_hosts(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>) -> Vec<u8> {
    let list = List::new(snapshot, filter, true);
    let grouped = Grouped(&snapshot.key).to_string();
    let shown: &str = if filter.bare_names {
        snapshot.key.name().as_str()
    } else {
        &grouped
    };
    serde_json::to_vec(&Hosts { list: &list, shown }).expect("hosts have text keys and finite shapes")
}

/// One instance with all that a host in a list has, and its own health.
pub fn host<'a>(service: &'a ServiceKey, instance: &'a Instance) -> impl Serialize + 'a {
    LoneHost { service, instance }
}

fn render(snapshot: &ServiceSnapshot, filter: &ListFilter<'_>, with_group: bool) -> Vec<u8> {
    // About what a host without metadata takes; avoids growing the buffer step by step.
    let mut bytes = Vec::with_capacity(512 + 512 * snapshot.instances.len().min(4_096));
    let list = List::new(snapshot, filter, with_group);
    serde_json::to_writer(&mut bytes, &list).expect("a list has no map with keys that are not text, and Vec takes all");
    bytes
}

/// The clusters of a comma list; none named means all.
pub(crate) struct Clusters<'a>(Vec<&'a str>);

impl<'a> Clusters<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut names: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
        // Sorted, so that a list of thousands of clusters is not walked for each instance.
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    pub(crate) fn admit(&self, instance: &Instance) -> bool {
        self.0.is_empty() || self.0.binary_search(&instance.cluster.as_str()).is_ok()
    }
}

/// Whether so few instances are healthy that all are shown as healthy. 1.4's rule, which clients depend on: disabled
/// instances count, and `<=` makes a service without one healthy instance protected at the default threshold 0 (T-15).
pub(crate) fn protected(snapshot: &ServiceSnapshot, clusters: &Clusters<'_>) -> bool {
    let (mut total, mut healthy) = (0, 0);
    for instance in snapshot.instances.iter().filter(|instance| clusters.admit(instance)) {
        total += 1;
        healthy += usize::from(instance.healthy);
    }
    snapshot.settings.protects(healthy, total)
}

struct List<'a> {
    snapshot: &'a ServiceSnapshot,
    filter: &'a ListFilter<'a>,
    clusters: Clusters<'a>,
    protected: bool,
    with_group: bool,
}

impl<'a> List<'a> {
    fn new(snapshot: &'a ServiceSnapshot, filter: &'a ListFilter<'a>, with_group: bool) -> Self {
        let clusters = Clusters::parse(filter.clusters);
        let protected = protected(snapshot, &clusters);
        Self {
            snapshot,
            filter,
            clusters,
            protected,
            with_group,
        }
    }
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = &self.snapshot.key;
        let grouped = Grouped(key).to_string();
        let shown: &str = if self.filter.bare_names {
            key.name().as_str()
        } else {
            &grouped
        };
        let mut list = serializer.serialize_struct("List", 16)?;
        list.serialize_field("name", &grouped)?;
        if self.with_group {
            list.serialize_field("groupName", key.group().as_str())?;
        }
        list.serialize_field("clusters", self.filter.clusters)?;
        list.serialize_field("cacheMillis", &self.filter.cache_ms)?;
        list.serialize_field("hosts", &Hosts { list: self, shown })?;
        list.serialize_field("lastRefTime", &self.snapshot.stamp_ms)?;
        list.serialize_field("checksum", "")?;
        list.serialize_field("allIPs", &false)?;
        list.serialize_field("reachProtectionThreshold", &self.protected)?;
        list.serialize_field("valid", &true)?;
        list.serialize_field("dom", shown)?;
        list.serialize_field("useSpecifiedURL", &false)?;
        list.serialize_field("env", "")?;
        list.serialize_field("metadata", &Pairs(&self.snapshot.settings.metadata))?;
        list.end()
    }
}

struct Hosts<'a> {
    list: &'a List<'a>,
    shown: &'a str,
}

impl Serialize for Hosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = self.list;
        let mut hosts = serializer.serialize_seq(None)?;
        for instance in list.snapshot.instances.iter() {
            let healthy = instance.healthy || list.protected;
            // 1.4 filters by health after protection, so a protected list is whole (T-16).
            let listed = instance.enabled && list.clusters.admit(instance) && (healthy || !list.filter.healthy_only);
            if listed {
                hosts.serialize_element(&Host {
                    service: &list.snapshot.key,
                    instance,
                    healthy,
                    shown: self.shown,
                })?;
            }
        }
        hosts.end()
    }
}

struct Host<'a> {
    service: &'a ServiceKey,
    instance: &'a Instance,
    healthy: bool,
    shown: &'a str,
}

impl Serialize for Host<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut host = serializer.serialize_struct("Host", 16)?;
        host_fields::<S>(&mut host, self.service, self.instance, self.healthy, self.shown)?;
        host.serialize_field("valid", &self.healthy)?;
        host.serialize_field("marked", &false)?;
        host.end()
    }
}

/// What clients of all generations read of an instance; `shown` is its service's name as this one knows it.
///
/// All of it is the same on every node, as Java tells a change by it.
pub(crate) fn host_fields<S: Serializer>(
    host: &mut S::SerializeStruct,
    service: &ServiceKey,
    instance: &Instance,
    healthy: bool,
    shown: &(impl Serialize + ?Sized),
) -> Result<(), S::Error> {
    let Instance {
        key,
        kind,
        cluster,
        weight,
        enabled,
        metadata,
        ..
    } = instance;
    let timings = instance.timings();
    let millis = |duration: std::time::Duration| duration.as_millis() as u64;
    host.serialize_field("instanceId", &Text(InstanceId { service, instance }))?;
    host.serialize_field("ip", key.host.as_str())?;
    host.serialize_field("port", &key.port)?;
    host.serialize_field("weight", &weight.get())?;
    host.serialize_field("healthy", &healthy)?;
    host.serialize_field("enabled", enabled)?;
    host.serialize_field("ephemeral", &(*kind == Kind::Ephemeral))?;
    host.serialize_field("clusterName", cluster.as_str())?;
    host.serialize_field("serviceName", shown)?;
    host.serialize_field("metadata", &Pairs(metadata))?;
    host.serialize_field("instanceHeartBeatInterval", &millis(timings.interval))?;
    host.serialize_field("instanceHeartBeatTimeOut", &millis(timings.timeout))?;
    host.serialize_field("ipDeleteTimeout", &millis(timings.delete))?;
    // Absent when there is metadata without the key: Nacos 2.4's own slip, which clients have seen ever since (T-26).
    let generator = metadata.get(ID_GENERATOR);
    if let Some(generator) = generator.or(metadata.is_empty().then_some(ID_GENERATOR_DEFAULT)) {
        host.serialize_field("instanceIdGenerator", generator)?;
    }
    Ok(())
}

struct LoneHost<'a> {
    service: &'a ServiceKey,
    instance: &'a Instance,
}

impl Serialize for LoneHost<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Host {
            service: self.service,
            instance: self.instance,
            healthy: self.instance.healthy,
            shown: &Grouped(self.service).to_string(),
        }
        .serialize(serializer)
    }
}

pub(crate) struct Pairs<'a>(pub(crate) &'a Metadata);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Grouped<'a>(&'a ServiceKey);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.group().as_str())?;
        f.write_str("@@")?;
        f.write_str(self.0.name().as_str())
    }
}

struct InstanceId<'a> {
    service: &'a ServiceKey,
    instance: &'a Instance,
}

impl fmt::Display for InstanceId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Instance {
            key, cluster, metadata, ..
        } = self.instance;
        if metadata.get(ID_GENERATOR) == Some("snowflake") {
            write!(f, "{}", address_number(key.host.as_str(), key.port))?;
        } else {
            write!(f, "{}#{}", key.host, key.port)?;
        }
        write!(f, "#{}#{}", cluster, Grouped(self.service))
    }
}

/// FNV-1a over the address, positive as a Java `long` is where a snowflake is expected. Not `std`'s hasher, whose
/// output may change with the toolchain and so between two nodes.
fn address_number(host: &str, port: u16) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(host.as_bytes());
    hasher.write(&port.to_be_bytes());
    hasher.finish() >> 1
}

#[cfg(test)]
mod tests;
