//! The AP store of one node in memory, without leases that end by silence. Of several connections with one address the newest
//! owns it, and none inherits it.

use super::trace_of;
use crate::stores::EphemeralStore;
use muster_ephemeral::{Beat, Ending, Error, Loading, Rules};
use muster_model::{
    ChangeId, ChangeSink, ConnectionId, Instance, InstanceEdit, InstanceKey, Kind, MemberId, ServiceKey,
};
use muster_runtime::HybridClock;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Notify;

pub struct MemoryEphemeral {
    hybrid: HybridClock,
    changes: Arc<dyn ChangeSink>,
    state: Mutex<State>,
    overtaken: Notify,
}

struct State {
    services: BTreeMap<ServiceKey, BTreeMap<InstanceKey, Arc<Instance>>>,
    deregistered: HashSet<(ServiceKey, InstanceKey)>,
    published: BTreeMap<ConnectionId, BTreeMap<ServiceKey, Vec<Arc<Instance>>>>,
    /// The newest connection that published a key, unless it was registered otherwise since.
    owners: HashMap<(ServiceKey, InstanceKey), ConnectionId>,
    overtaken: HashSet<ConnectionId>,
    loading: Loading,
    rules: Rules,
    instances_max: usize,
}

impl MemoryEphemeral {
    pub(crate) fn new(hybrid: HybridClock, changes: Arc<dyn ChangeSink>) -> Self {
        Self {
            hybrid,
            changes,
            overtaken: Notify::new(),
            state: Mutex::new(State {
                services: BTreeMap::new(),
                deregistered: HashSet::new(),
                published: BTreeMap::new(),
                owners: HashMap::new(),
                overtaken: HashSet::new(),
                loading: Loading::Ready,
                rules: Rules { expiry: true },
                instances_max: usize::MAX,
            }),
        }
    }

    pub(super) fn set_loading(&self, loading: Loading) {
        self.state.lock().loading = loading;
    }

    /// The rules that the door has set.
    pub fn rules(&self) -> Rules {
        self.state.lock().rules
    }

    /// Instances beyond these are refused with `Full`.
    pub fn set_instances_max(&self, instances_max: usize) {
        self.state.lock().instances_max = instances_max;
    }

    /// Ends a lease: the instance is gone and leaves nothing that a beat could stumble over.
    pub fn expire(&self, service: &ServiceKey, key: &InstanceKey) {
        self.deregister(service, key);
        self.state.lock().deregistered.remove(&(service.clone(), key.clone()));
    }

    /// Marks an instance unhealthy or healthy, as silence and beats do.
    pub fn set_health(&self, service: &ServiceKey, key: &InstanceKey, healthy: bool) {
        let edit = InstanceEdit {
            healthy: Some(healthy),
            ..InstanceEdit::default()
        };
        let _ = self.edit(service, key, edit);
    }

    fn put(&self, service: &ServiceKey, instance: Instance) -> ChangeId {
        let changed = {
            let mut state = self.state.lock();
            let instances = state.services.entry(service.clone()).or_default();
            let changed = instances.get(&instance.key).is_none_or(|listed| **listed != instance);
            let key = instance.key.clone();
            instances.insert(key.clone(), Arc::new(instance));
            state.deregistered.remove(&(service.clone(), key));
            changed
        };
        if changed { self.tell(service) } else { self.id() }
    }

    /// Removes what the connection still owns of these.
    fn release(&self, connection: ConnectionId, service: &ServiceKey, keys: Vec<InstanceKey>) {
        for key in keys {
            let owned = {
                let mut state = self.state.lock();
                let place = (service.clone(), key.clone());
                let owned = state.owners.get(&place) == Some(&connection);
                if owned {
                    state.owners.remove(&place);
                }
                owned
            };
            if owned {
                self.expire(service, &key);
            }
        }
    }

    fn id(&self) -> ChangeId {
        ChangeId::Ephemeral {
            stamp: self.hybrid.tick(),
            origin: MemberId(1),
        }
    }

    fn tell(&self, service: &ServiceKey) -> ChangeId {
        let stamp = self.hybrid.tick();
        let id = ChangeId::Ephemeral {
            stamp,
            origin: MemberId(1),
        };
        self.changes.changed(service, trace_of(id, stamp));
        id
    }
}

impl EphemeralStore for MemoryEphemeral {
    fn register(&self, service: &ServiceKey, instance: Instance) -> Result<ChangeId, Error> {
        let instances_max = {
            let state = self.state.lock();
            let full = state.services.values().map(BTreeMap::len).sum::<usize>() >= state.instances_max;
            let known = state
                .services
                .get(service)
                .is_some_and(|all| all.contains_key(&instance.key));
            (full && !known).then_some(state.instances_max)
        };
        match instances_max {
            Some(instances_max) => Err(Error::Full { instances_max }),
            None => {
                let place = (service.clone(), instance.key.clone());
                let mut state = self.state.lock();
                if let Some(earlier) = state.owners.remove(&place) {
                    state.overtaken.insert(earlier);
                    self.overtaken.notify_one();
                }
                drop(state);
                Ok(self.put(service, instance))
            }
        }
    }

    fn publish(&self, connection: ConnectionId, service: &ServiceKey, instances: Vec<Instance>) -> Result<(), Error> {
        for instance in &instances {
            let mut instance = instance.clone();
            instance.kind = Kind::Ephemeral;
            let place = (service.clone(), instance.key.clone());
            self.register(service, instance)?;
            let mut state = self.state.lock();
            state.owners.insert(place, connection);
            state.overtaken.remove(&connection);
        }
        let kept: HashSet<InstanceKey> = instances.iter().map(|instance| instance.key.clone()).collect();
        let list = instances.into_iter().map(Arc::new).collect();
        let before = {
            let mut state = self.state.lock();
            let services = state.published.entry(connection).or_default();
            services.insert(service.clone(), list).unwrap_or_default()
        };
        let gone = before.iter().map(|instance| instance.key.clone());
        self.release(connection, service, gone.filter(|key| !kept.contains(key)).collect());
        Ok(())
    }

    fn withdraw(&self, connection: ConnectionId, service: &ServiceKey, _named: &InstanceKey) {
        let before = {
            let mut state = self.state.lock();
            let services = state.published.get_mut(&connection);
            services
                .and_then(|services| services.remove(service))
                .unwrap_or_default()
        };
        let keys = before.iter().map(|instance| instance.key.clone()).collect();
        self.release(connection, service, keys);
    }

    fn end(&self, connection: ConnectionId, _ending: Ending) {
        self.leave(connection);
    }

    fn leave(&self, connection: ConnectionId) {
        let services = self.state.lock().published.remove(&connection).unwrap_or_default();
        for (service, instances) in services {
            let keys = instances.iter().map(|instance| instance.key.clone()).collect();
            self.release(connection, &service, keys);
        }
    }

    fn overtaken(&self) -> Pin<Box<dyn Future<Output = HashSet<ConnectionId>> + Send + '_>> {
        Box::pin(async {
            loop {
                let taken = std::mem::take(&mut self.state.lock().overtaken);
                if !taken.is_empty() {
                    return taken;
                }
                self.overtaken.notified().await;
            }
        })
    }

    fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        let state = self.state.lock();
        let services = state.published.get(&connection).into_iter().flatten();
        services
            .map(|(service, list)| (service.clone(), list.clone()))
            .collect()
    }

    fn deregister(&self, service: &ServiceKey, key: &InstanceKey) -> Option<ChangeId> {
        {
            let mut state = self.state.lock();
            let instances = state.services.get_mut(service)?;
            instances.remove(key)?;
            if instances.is_empty() {
                state.services.remove(service);
            }
            state.deregistered.insert((service.clone(), key.clone()));
        }
        Some(self.tell(service))
    }

    fn beat(&self, service: &ServiceKey, key: &InstanceKey) -> Beat {
        if let Some(listed) = self.instance(service, key) {
            if !listed.healthy {
                self.set_health(service, key, true);
            }
            return Beat::Renewed {
                interval: listed.timings().interval,
            };
        }
        if self.state.lock().deregistered.contains(&(service.clone(), key.clone())) {
            return Beat::JustDeregistered;
        }
        Beat::Unknown
    }

    fn edit(&self, service: &ServiceKey, key: &InstanceKey, edit: InstanceEdit) -> Result<ChangeId, Error> {
        let listed = self.instance(service, key).ok_or_else(|| Error::InstanceNotFound {
            service: service.clone(),
            key: key.clone(),
        })?;
        Ok(self.put(service, edit.apply(&listed)))
    }

    fn instance(&self, service: &ServiceKey, key: &InstanceKey) -> Option<Arc<Instance>> {
        self.state.lock().services.get(service)?.get(key).cloned()
    }

    fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        let state = self.state.lock();
        state
            .services
            .get(service)
            .into_iter()
            .flat_map(|all| all.values().cloned())
            .collect()
    }

    fn services(&self) -> Vec<ServiceKey> {
        self.state.lock().services.keys().cloned().collect()
    }

    fn responsible(&self) -> usize {
        self.state.lock().services.values().map(BTreeMap::len).sum()
    }

    fn loading(&self) -> Loading {
        self.state.lock().loading.clone()
    }

    fn set_rules(&self, rules: Rules) {
        self.state.lock().rules = rules;
    }
}
