//! The replicated store as one node sees it, in memory and committed at once.

use super::trace_of;
use crate::stores::{Answer, PersistentStore};
use muster_consensus::ProposeError;
use muster_model::{
    ChangeId, ChangeSink, ClusterName, ClusterSettings, Instance, InstanceEdit, InstanceKey, Metadata, ServiceKey,
    ServiceSettings,
};
use muster_persistent::{PersistentService, Rejection, WriteError};
use muster_runtime::HybridClock;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct MemoryPersistent {
    hybrid: HybridClock,
    changes: Arc<dyn ChangeSink>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    services: BTreeMap<ServiceKey, Arc<PersistentService>>,
    switches: BTreeMap<String, String>,
    index: u64,
    failure: Option<ProposeError>,
    /// Acknowledged by another node, and not applied here yet.
    elsewhere: Vec<(ServiceKey, Instance)>,
}

/// What a write does to the record of its service; `None` removes it.
type Write<'a> = &'a dyn Fn(Option<&PersistentService>) -> Result<Option<PersistentService>, Rejection>;

impl MemoryPersistent {
    pub(crate) fn new(hybrid: HybridClock, changes: Arc<dyn ChangeSink>) -> Self {
        Self {
            hybrid,
            changes,
            state: Mutex::default(),
        }
    }

    pub(super) fn set_leader(&self, there: bool) {
        self.set_failure((!there).then_some(ProposeError::NoLeader {
            waited: Duration::from_secs(3),
        }));
    }

    /// What every write and read barrier fails with; `None`: they succeed.
    pub fn set_failure(&self, failure: Option<ProposeError>) {
        self.state.lock().failure = failure;
    }

    /// Sets a switch as another node would.
    pub fn put_switch(&self, entry: &str, value: Option<&str>) {
        let mut state = self.state.lock();
        match value {
            Some(value) => state.switches.insert(entry.to_owned(), value.to_owned()),
            None => state.switches.remove(entry),
        };
        state.index += 1;
    }

    /// Registers as another node would, which this one hears of at its next read barrier.
    pub fn register_elsewhere(&self, service: &ServiceKey, instance: Instance) {
        self.state.lock().elsewhere.push((service.clone(), instance));
    }

    fn put(&self, service: &ServiceKey, instance: &Instance) -> Result<ChangeId, WriteError> {
        self.write(service, &|record| {
            let mut record = record.cloned().unwrap_or_else(blank);
            record
                .instances
                .insert(instance.key.clone(), Arc::new(instance.clone()));
            Ok(Some(record))
        })
    }

    fn write(&self, service: &ServiceKey, write: Write<'_>) -> Result<ChangeId, WriteError> {
        let id = {
            let mut state = self.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone().into());
            }
            state.index += 1;
            match write(state.services.get(service).map(|record| &**record))? {
                Some(record) => state.services.insert(service.clone(), Arc::new(record)),
                None => state.services.remove(service),
            };
            ChangeId::Raft { index: state.index }
        };
        self.changes.changed(service, trace_of(id, self.hybrid.tick()));
        Ok(id)
    }
}

fn blank() -> PersistentService {
    PersistentService {
        created: false,
        settings: Arc::default(),
        instances: BTreeMap::new(),
    }
}

fn kept(record: PersistentService) -> Option<PersistentService> {
    let keep = record.created || !record.instances.is_empty() || *record.settings != ServiceSettings::default();
    keep.then_some(record)
}

fn ready<'a, T: Send + 'a, E: Send + 'a>(answer: Result<T, E>) -> Answer<'a, T, E> {
    Box::pin(std::future::ready(answer))
}

impl PersistentStore for MemoryPersistent {
    fn register<'a>(&'a self, service: &'a ServiceKey, instance: Instance, _: Instant) -> Answer<'a, ChangeId> {
        ready(self.put(service, &instance))
    }

    fn deregister<'a>(
        &'a self,
        service: &'a ServiceKey,
        key: &'a InstanceKey,
        _: Instant,
    ) -> Answer<'a, Option<ChangeId>> {
        if self
            .service(service)
            .is_none_or(|record| !record.instances.contains_key(key))
        {
            let failure = self.state.lock().failure.clone();
            return ready(failure.map_or(Ok(None), |failure| Err(failure.into())));
        }
        let written = self.write(service, &|record| {
            let mut record = record.cloned().unwrap_or_else(blank);
            record.instances.remove(key);
            Ok(kept(record))
        });
        ready(written.map(Some))
    }

    fn edit<'a>(
        &'a self,
        service: &'a ServiceKey,
        key: &'a InstanceKey,
        edit: InstanceEdit,
        _: Instant,
    ) -> Answer<'a, ChangeId> {
        ready(self.write(service, &|record| {
            let mut record = record.cloned().unwrap_or_else(blank);
            let edited = record.instances.get(key).map(|listed| edit.apply(listed));
            let edited = edited.ok_or_else(|| Rejection::InstanceNotFound {
                service: service.clone(),
                key: key.clone(),
            })?;
            record.instances.insert(key.clone(), Arc::new(edited));
            Ok(Some(record))
        }))
    }

    fn create_service<'a>(
        &'a self,
        service: &'a ServiceKey,
        settings: ServiceSettings,
        _: Instant,
    ) -> Answer<'a, ChangeId> {
        ready(self.write(service, &|record| {
            let mut record = record.cloned().unwrap_or_else(blank);
            if record.created {
                return Err(Rejection::ServiceExists(service.clone()));
            }
            record.created = true;
            record.settings = Arc::new(settings.clone());
            Ok(Some(record))
        }))
    }

    fn update_service<'a>(
        &'a self,
        service: &'a ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
        _: Instant,
    ) -> Answer<'a, ChangeId> {
        ready(self.write(service, &|record| {
            let mut record = match record {
                Some(record) => record.clone(),
                None if or_create => blank(),
                None => return Err(Rejection::ServiceNotFound(service.clone())),
            };
            record.settings = Arc::new(ServiceSettings {
                protect_threshold,
                metadata: metadata.clone(),
                clusters: record.settings.clusters.clone(),
            });
            Ok(Some(record))
        }))
    }

    fn delete_service<'a>(&'a self, service: &'a ServiceKey, _: Instant) -> Answer<'a, ChangeId> {
        ready(self.write(service, &|record| match record {
            None => Err(Rejection::ServiceNotFound(service.clone())),
            Some(record) if !record.instances.is_empty() => Err(Rejection::ServiceNotEmpty(service.clone())),
            Some(_) => Ok(None),
        }))
    }

    fn set_cluster<'a>(
        &'a self,
        service: &'a ServiceKey,
        cluster: &'a ClusterName,
        settings: ClusterSettings,
        _: Instant,
    ) -> Answer<'a, ChangeId> {
        ready(self.write(service, &|record| {
            let mut record = record.cloned().unwrap_or_else(blank);
            let mut next = (*record.settings).clone();
            next.clusters.insert(cluster.clone(), settings.clone());
            record.settings = Arc::new(next);
            Ok(Some(record))
        }))
    }

    fn set_switch<'a>(&'a self, entry: &'a str, value: Option<String>, _: Instant) -> Answer<'a, ChangeId> {
        let state = self.state.lock();
        if let Some(failure) = &state.failure {
            return ready(Err(failure.clone().into()));
        }
        drop(state);
        self.put_switch(entry, value.as_deref());
        let index = self.state.lock().index;
        ready(Ok(ChangeId::Raft { index }))
    }

    fn service(&self, service: &ServiceKey) -> Option<Arc<PersistentService>> {
        self.state.lock().services.get(service).cloned()
    }

    fn services(&self) -> Vec<(ServiceKey, Arc<PersistentService>)> {
        let state = self.state.lock();
        state
            .services
            .iter()
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect()
    }

    fn switches(&self) -> BTreeMap<String, String> {
        self.state.lock().switches.clone()
    }

    fn read_barrier(&self, _: Instant) -> Answer<'_, u64, ProposeError> {
        if let Some(failure) = self.state.lock().failure.clone() {
            return ready(Err(failure));
        }
        let elsewhere = std::mem::take(&mut self.state.lock().elsewhere);
        for (service, instance) in &elsewhere {
            // Nothing but the failure above refuses it.
            let _ = self.put(service, instance);
        }
        ready(Ok(self.state.lock().index))
    }
}
