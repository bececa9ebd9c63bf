//! The shapes of v1's JSON answers, but for the list of a service, which is rendered by itself; those of later
//! generations below.

pub mod v2;
pub mod v3;

use muster_model::{ClusterSettings, HealthChecker, Instance, Metadata, ServiceKey, ServiceSnapshot};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;

use crate::{grouped_name, instance_id};

/// Metadata as a JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs(pub Metadata);

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// A health checker in Nacos's form.
#[derive(Clone, Debug, PartialEq)]
pub struct Checker(pub HealthChecker);

impl Serialize for Checker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.0 {
            HealthChecker::Tcp => map.serialize_entry("type", "TCP")?,
            HealthChecker::None => map.serialize_entry("type", "NONE")?,
            HealthChecker::Http {
                path,
                headers,
                expected_code,
            } => {
                map.serialize_entry("type", "HTTP")?;
                map.serialize_entry("path", path)?;
                map.serialize_entry("headers", headers)?;
                map.serialize_entry("expectedResponseCode", expected_code)?;
            }
        }
        map.end()
    }
}

/// The selector of every service: selectors are not built.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    r#type: &'static str,
    context_type: &'static str,
}

impl Selector {
    pub const NONE: Self = Self {
        r#type: "none",
        context_type: "NONE",
    };
}

/// `GET /instance`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct InstanceDetail {
    service: String,
    #[serde(flatten)]
    instance: InstanceMembers,
}

impl InstanceDetail {
    pub fn new(service: &ServiceKey, instance: &Instance) -> Self {
        Self {
            service: grouped_name(service).to_string(),
            instance: InstanceMembers::new(service, instance),
        }
    }
}

/// What v1 and v2 tell of an instance alike; they differ in how they call its service's name.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceMembers {
    ip: String,
    port: u16,
    cluster_name: String,
    weight: f64,
    healthy: bool,
    instance_id: String,
    metadata: Pairs,
}

impl InstanceMembers {
    fn new(service: &ServiceKey, instance: &Instance) -> Self {
        Self {
            ip: instance.key.host.to_string(),
            port: instance.key.port,
            cluster_name: instance.cluster.to_string(),
            weight: instance.weight.get(),
            healthy: instance.healthy,
            instance_id: instance_id(service, instance).to_string(),
            metadata: Pairs(instance.metadata.clone()),
        }
    }
}

/// One host as consoles list it: disabled and unhealthy ones too.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogHost {
    instance_id: String,
    ip: String,
    port: u16,
    weight: f64,
    healthy: bool,
    valid: bool,
    enabled: bool,
    ephemeral: bool,
    cluster_name: String,
    service_name: String,
    metadata: Pairs,
    instance_heart_beat_interval: u64,
    instance_heart_beat_time_out: u64,
    ip_delete_timeout: u64,
}

impl CatalogHost {
    pub fn new(service: &ServiceKey, instance: &Instance) -> Self {
        let timings = instance.timings();
        Self {
            instance_id: instance_id(service, instance).to_string(),
            ip: instance.key.host.to_string(),
            port: instance.key.port,
            weight: instance.weight.get(),
            healthy: instance.healthy,
            valid: instance.healthy,
            enabled: instance.enabled,
            ephemeral: instance.kind == muster_model::Kind::Ephemeral,
            cluster_name: instance.cluster.to_string(),
            service_name: grouped_name(service).to_string(),
            metadata: Pairs(instance.metadata.clone()),
            instance_heart_beat_interval: timings.interval.as_millis() as u64,
            instance_heart_beat_time_out: timings.timeout.as_millis() as u64,
            ip_delete_timeout: timings.delete.as_millis() as u64,
        }
    }
}

/// The clusters of a service: those that have settings or instances, by name.
pub fn clusters_of(snapshot: &ServiceSnapshot) -> BTreeMap<String, ClusterSettings> {
    let mut clusters: BTreeMap<String, ClusterSettings> = snapshot
        .settings
        .clusters
        .iter()
        .map(|(name, settings)| (name.to_string(), settings.clone()))
        .collect();
    for instance in &snapshot.instances {
        if !clusters.contains_key(instance.cluster.as_str()) {
            clusters.insert(instance.cluster.to_string(), ClusterSettings::default());
        }
    }
    clusters
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterDetail {
    name: String,
    health_checker: Checker,
    metadata: Pairs,
}

/// `GET /service`.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDetail {
    name: String,
    group_name: String,
    namespace_id: String,
    protect_threshold: f32,
    metadata: Pairs,
    selector: Selector,
    clusters: Vec<ClusterDetail>,
}

impl ServiceDetail {
    pub fn new(snapshot: &ServiceSnapshot) -> Self {
        Self {
            name: snapshot.key.name().to_string(),
            group_name: snapshot.key.group().to_string(),
            namespace_id: snapshot.key.namespace().to_string(),
            protect_threshold: snapshot.settings.protect_threshold,
            metadata: Pairs(snapshot.settings.metadata.clone()),
            selector: Selector::NONE,
            clusters: clusters_of(snapshot)
                .into_iter()
                .map(|(name, settings)| ClusterDetail {
                    name,
                    health_checker: Checker(settings.checker),
                    metadata: Pairs(settings.metadata),
                })
                .collect(),
        }
    }
}

/// A row of the console's list of services. `trigger_flag` is a string on the wire (T-28).
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogRow {
    name: String,
    group_name: String,
    cluster_count: usize,
    ip_count: usize,
    healthy_instance_count: usize,
    trigger_flag: &'static str,
}

impl CatalogRow {
    pub fn new(snapshot: &ServiceSnapshot) -> Self {
        let total = snapshot.instances.len();
        let healthy = snapshot.instances.iter().filter(|instance| instance.healthy).count();
        // Of an empty service the ratio is NaN in Nacos, and the flag false.
        let triggered = total > 0 && healthy as f32 / total as f32 <= snapshot.settings.protect_threshold;
        Self {
            name: snapshot.key.name().to_string(),
            group_name: snapshot.key.group().to_string(),
            cluster_count: clusters_of(snapshot).len(),
            ip_count: total,
            healthy_instance_count: healthy,
            trigger_flag: if triggered { "true" } else { "false" },
        }
    }
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct CatalogServiceHead {
    name: String,
    group_name: String,
    protect_threshold: f32,
    selector: Selector,
    metadata: Pairs,
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct CatalogCluster {
    service_name: String,
    name: String,
    health_checker: Checker,
    default_port: u16,
    default_check_port: u16,
    #[serde(rename = "useIPPort4Check")]
    use_ip_port4_check: bool,
    metadata: Pairs,
}

/// `GET /catalog/service`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CatalogService {
    service: CatalogServiceHead,
    clusters: Vec<CatalogCluster>,
}

impl CatalogService {
    pub fn new(snapshot: &ServiceSnapshot) -> Self {
        let service_name = grouped_name(&snapshot.key).to_string();
        Self {
            service: CatalogServiceHead {
                name: snapshot.key.name().to_string(),
                group_name: snapshot.key.group().to_string(),
                protect_threshold: snapshot.settings.protect_threshold,
                selector: Selector::NONE,
                metadata: Pairs(snapshot.settings.metadata.clone()),
            },
            clusters: clusters_of(snapshot)
                .into_iter()
                .map(|(name, settings)| CatalogCluster {
                    service_name: service_name.clone(),
                    name,
                    health_checker: Checker(settings.checker),
                    default_port: 80,
                    default_check_port: settings.check_port,
                    use_ip_port4_check: settings.use_instance_port,
                    metadata: Pairs(settings.metadata),
                })
                .collect(),
        }
    }
}

/// What a beat is answered. 20404 travels in a 200 (T-14).
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BeatAnswer {
    pub client_beat_interval: u64,
    pub code: u16,
    pub light_beat_enabled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t46_thresholds_print_as_32_bit_floats_and_weights_with_a_point() {
        assert_eq!(serde_json::to_string(&0.3_f32).unwrap(), "0.3");
        assert_eq!(serde_json::to_string(&1.0_f64).unwrap(), "1.0");
    }

    #[test]
    fn checkers_print_in_nacoss_form() {
        let http = Checker(HealthChecker::Http {
            path: "/".to_owned(),
            headers: String::new(),
            expected_code: 200,
        });
        assert_eq!(
            serde_json::to_string(&http).unwrap(),
            r#"{"type":"HTTP","path":"/","headers":"","expectedResponseCode":200}"#
        );
        assert_eq!(
            serde_json::to_string(&Checker(HealthChecker::Tcp)).unwrap(),
            r#"{"type":"TCP"}"#
        );
    }
}
