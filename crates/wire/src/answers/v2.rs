//! The shapes of v2's answers, inside their wrapper.

use super::{Checker, InstanceMembers, Pairs, Selector, clusters_of};
use crate::grouped_name;
use muster_model::{Instance, Kind, ServiceKey, ServiceSnapshot};
use std::collections::BTreeMap;

/// `GET /v2/ns/instance`.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceDetail {
    service_name: String,
    #[serde(flatten)]
    instance: InstanceMembers,
}

impl InstanceDetail {
    pub fn new(service: &ServiceKey, instance: &Instance) -> Self {
        Self {
            service_name: grouped_name(service).to_string(),
            instance: InstanceMembers::new(service, instance),
        }
    }
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    cluster_name: String,
    health_checker: Checker,
    metadata: Pairs,
    /// Always null: v2 has no hosts here.
    hosts: Option<()>,
}

/// `GET /v2/ns/service`.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDetail {
    namespace: String,
    service_name: String,
    group_name: String,
    cluster_map: BTreeMap<String, Cluster>,
    metadata: Pairs,
    protect_threshold: f32,
    selector: Selector,
    ephemeral: bool,
}

impl ServiceDetail {
    pub fn new(snapshot: &ServiceSnapshot) -> Self {
        Self {
            namespace: snapshot.key.namespace().to_string(),
            service_name: snapshot.key.name().to_string(),
            group_name: snapshot.key.group().to_string(),
            cluster_map: clusters_of(snapshot)
                .into_iter()
                .map(|(name, settings)| {
                    let cluster = Cluster {
                        cluster_name: name.clone(),
                        health_checker: Checker(settings.checker),
                        metadata: Pairs(settings.metadata),
                        hosts: None,
                    };
                    (name, cluster)
                })
                .collect(),
            metadata: Pairs(snapshot.settings.metadata.clone()),
            protect_threshold: snapshot.settings.protect_threshold,
            selector: Selector::NONE,
            ephemeral: is_ephemeral(snapshot),
        }
    }
}

/// A service has no kind of its own here (T-18): it has that of its instances, and the default one while it is empty.
pub(super) fn is_ephemeral(snapshot: &ServiceSnapshot) -> bool {
    snapshot
        .instances
        .iter()
        .all(|instance| instance.kind == Kind::Ephemeral)
}
