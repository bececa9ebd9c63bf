//! The instances of each service, ready to be listed.

use muster_model::{Instance, InstanceKey, ServiceKey};
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Default)]
struct Rows {
    /// Sorted by key.
    instances: Vec<Arc<Instance>>,
    /// The last instance has gone and the list was taken out of the map: a new one must be made.
    closed: bool,
}

/// One service that has instances.
pub(crate) struct Listing {
    pub(crate) service: ServiceKey,
    rows: Mutex<Rows>,
}

/// All services that have instances. A service without any takes no room.
#[derive(Default)]
pub(crate) struct Listings {
    services: papaya::HashMap<ServiceKey, Arc<Listing>>,
}

impl Listings {
    pub(crate) fn len(&self) -> usize {
        self.services.len()
    }

    pub(crate) fn services(&self) -> Vec<ServiceKey> {
        self.services.pin().keys().cloned().collect()
    }

    pub(crate) fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        match self.services.pin().get(service) {
            Some(listing) => listing.rows.lock().instances.clone(),
            None => Vec::new(),
        }
    }

    /// The service's key as it is kept, so that a million instances share it.
    pub(crate) fn shared_key(&self, service: &ServiceKey) -> ServiceKey {
        match self.services.pin().get(service) {
            Some(listing) => listing.service.clone(),
            None => service.clone(),
        }
    }

    /// Lets an instance share cluster name and metadata with its first sibling where they are equal: they mostly are, and
    /// they are the bulk of its size.
    pub(crate) fn share_with_sibling(&self, service: &ServiceKey, instance: &mut Instance) {
        let pinned = self.services.pin();
        let Some(listing) = pinned.get(service) else {
            return;
        };
        let rows = listing.rows.lock();
        let Some(sibling) = rows.instances.first() else {
            return;
        };
        if sibling.cluster == instance.cluster {
            instance.cluster = sibling.cluster.clone();
        }
        if sibling.metadata == instance.metadata {
            instance.metadata = sibling.metadata.clone();
        }
    }

    pub(crate) fn put(&self, service: &ServiceKey, instance: Arc<Instance>) {
        let pinned = self.services.pin();
        loop {
            let listing = pinned.get_or_insert_with(service.clone(), || {
                Arc::new(Listing {
                    service: service.clone(),
                    rows: Mutex::default(),
                })
            });
            let mut rows = listing.rows.lock();
            if rows.closed {
                // Between its closing and its leaving the map; whoever closed it is about to take it out.
                drop(rows);
                std::thread::yield_now();
                continue;
            }
            match rows.instances.binary_search_by(|row| row.key.cmp(&instance.key)) {
                Ok(index) => rows.instances[index] = instance,
                Err(index) => rows.instances.insert(index, instance),
            }
            return;
        }
    }

    pub(crate) fn remove(&self, service: &ServiceKey, key: &InstanceKey) {
        let pinned = self.services.pin();
        let Some(listing) = pinned.get(service) else {
            return;
        };
        let mut rows = listing.rows.lock();
        if let Ok(index) = rows.instances.binary_search_by(|row| row.key.cmp(key)) {
            rows.instances.remove(index);
        }
        if rows.instances.is_empty() && !rows.closed {
            rows.closed = true;
            pinned.remove(service);
        }
    }
}
