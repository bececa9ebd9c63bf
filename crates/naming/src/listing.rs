//! The names of the services that exist, in order.

use crate::{Page, ServiceFilter};
use muster_model::{GroupName, NamespaceId, ServiceKey};
use parking_lot::RwLock;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A key that sorts by name and then group, as lists show it; Dubbo and gateways page through it (reference T-29).
#[derive(Clone, PartialEq, Eq)]
struct ByName(ServiceKey);

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.name(), self.0.group()).cmp(&(other.0.name(), other.0.group()))
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Default)]
struct Names {
    all: BTreeSet<ByName>,
    groups: HashMap<GroupName, BTreeSet<ByName>>,
}

/// The index, kept by folds; read under a lock that is held for one page.
#[derive(Default)]
pub(crate) struct Listing(RwLock<BTreeMap<NamespaceId, Names>>);

impl Listing {
    pub(crate) fn insert(&self, service: &ServiceKey) {
        let mut namespaces = self.0.write();
        let names = namespaces.entry(service.namespace().clone()).or_default();
        let entry = ByName(service.clone());
        names
            .groups
            .entry(service.group().clone())
            .or_default()
            .insert(entry.clone());
        names.all.insert(entry);
    }

    pub(crate) fn remove(&self, service: &ServiceKey) {
        let mut namespaces = self.0.write();
        let Some(names) = namespaces.get_mut(service.namespace()) else {
            return;
        };
        let entry = ByName(service.clone());
        names.all.remove(&entry);
        if let Some(group) = names.groups.get_mut(service.group()) {
            group.remove(&entry);
            if group.is_empty() {
                names.groups.remove(service.group());
            }
        }
        if names.all.is_empty() {
            namespaces.remove(service.namespace());
        }
    }

    pub(crate) fn page(&self, filter: &ServiceFilter, offset: usize, limit: usize) -> Page {
        let namespaces = self.0.read();
        let names = namespaces.get(&filter.namespace).and_then(|names| match &filter.group {
            Some(group) => names.groups.get(group),
            None => Some(&names.all),
        });
        Page {
            services: names
                .into_iter()
                .flatten()
                .skip(offset)
                .take(limit)
                .map(|entry| entry.0.clone())
                .collect(),
            total: names.map_or(0, BTreeSet::len),
        }
    }

    /// Namespaces that hold a service, and how many each.
    pub(crate) fn namespaces(&self) -> Vec<(NamespaceId, usize)> {
        let namespaces = self.0.read();
        namespaces
            .iter()
            .map(|(id, names)| (id.clone(), names.all.len()))
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().values().map(|names| names.all.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::service_in;

    fn filter(group: Option<&str>) -> ServiceFilter {
        ServiceFilter {
            namespace: NamespaceId::public(),
            group: group.map(|group| GroupName::parse(group).unwrap()),
        }
    }

    #[test]
    fn pages_follow_name_and_then_group_and_do_not_overlap() {
        let listing = Listing::default();
        for (group, name) in [("z", "a"), ("a", "b"), ("a", "a"), ("m", "c")] {
            listing.insert(&service_in("public", group, name));
        }
        let shown = |offset, limit| -> Vec<String> {
            let page = listing.page(&filter(None), offset, limit);
            assert_eq!(page.total, 4);
            page.services
                .iter()
                .map(|key| format!("{}/{}", key.name(), key.group()))
                .collect()
        };
        assert_eq!(shown(0, 2), ["a/a", "a/z"]);
        assert_eq!(shown(2, 2), ["b/a", "c/m"]);
        assert_eq!(shown(4, 2), [""; 0]);
    }

    #[test]
    fn a_group_has_its_own_total_and_an_emptied_one_leaves_nothing() {
        let listing = Listing::default();
        let keys = [service_in("public", "g", "a"), service_in("public", "h", "b")];
        keys.iter().for_each(|key| listing.insert(key));
        assert_eq!(listing.page(&filter(Some("g")), 0, 10).total, 1);
        assert_eq!(listing.namespaces(), [(NamespaceId::public(), 2)]);
        keys.iter().for_each(|key| listing.remove(key));
        assert_eq!(listing.page(&filter(Some("g")), 0, 10).total, 0);
        assert!(listing.0.read().is_empty());
    }
}
