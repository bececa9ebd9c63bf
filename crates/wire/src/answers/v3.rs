//! The shapes of v3's answers, inside their wrapper.

use super::{Checker, Pairs, Selector, clusters_of, v2};
use crate::host;
use muster_model::{Instance, ServiceKey, ServiceSnapshot};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A page. Its numbers begin with 1.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    total_count: usize,
    page_number: usize,
    pages_available: usize,
    page_items: Vec<T>,
}

impl<T> Page<T> {
    /// The page `number` of `total` items, `size` a page, that holds `items`.
    pub fn new(total: usize, number: usize, size: usize, items: Vec<T>) -> Self {
        Self {
            total_count: total,
            page_number: number,
            pages_available: total.div_ceil(size.max(1)),
            page_items: items,
        }
    }
}

/// One host with everything a list says of it.
#[derive(Clone, Debug)]
pub struct Host {
    service: ServiceKey,
    instance: Arc<Instance>,
}

impl Host {
    pub fn new(service: &ServiceKey, instance: &Arc<Instance>) -> Self {
        Self {
            service: service.clone(),
            instance: instance.clone(),
        }
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        host(&self.service, &self.instance).serialize(serializer)
    }
}

#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    cluster_name: String,
    health_checker: Checker,
    healthy_check_port: u16,
    use_instance_port_for_check: bool,
    metadata: Pairs,
    hosts: Option<Vec<Host>>,
}

/// `GET /v3/admin/ns/service`, and an item of its list.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDetail {
    namespace_id: String,
    service_name: String,
    group_name: String,
    cluster_map: BTreeMap<String, Cluster>,
    metadata: Pairs,
    protect_threshold: f32,
    selector: Selector,
    ephemeral: bool,
}

impl ServiceDetail {
    /// `with_hosts`: clusters name their instances, disabled and unhealthy ones too.
    pub fn new(snapshot: &ServiceSnapshot, with_hosts: bool) -> Self {
        let mut cluster_map: BTreeMap<String, Cluster> = clusters_of(snapshot)
            .into_iter()
            .map(|(name, settings)| {
                let cluster = Cluster {
                    cluster_name: name.clone(),
                    health_checker: Checker(settings.checker),
                    healthy_check_port: settings.check_port,
                    use_instance_port_for_check: settings.use_instance_port,
                    metadata: Pairs(settings.metadata),
                    hosts: with_hosts.then(Vec::new),
                };
                (name, cluster)
            })
            .collect();
        for instance in &snapshot.instances {
            let cluster = cluster_map.get_mut(instance.cluster.as_str());
            if let Some(hosts) = cluster.and_then(|cluster| cluster.hosts.as_mut()) {
                hosts.push(Host::new(&snapshot.key, instance));
            }
        }
        Self {
            namespace_id: snapshot.key.namespace().to_string(),
            service_name: snapshot.key.name().to_string(),
            group_name: snapshot.key.group().to_string(),
            cluster_map,
            metadata: Pairs(snapshot.settings.metadata.clone()),
            protect_threshold: snapshot.settings.protect_threshold,
            selector: Selector::NONE,
            ephemeral: v2::is_ephemeral(snapshot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_count_what_begins_one() {
        for (total, size, pages) in [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2)] {
            let page = Page::new(total, 1, size, Vec::<u8>::new());
            assert_eq!(page.pages_available, pages, "{total} by {size}");
        }
    }
}
