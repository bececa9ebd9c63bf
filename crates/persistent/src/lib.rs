//! The replicated half: persistent instances, services, cluster settings and switches as a state machine on the log.
//!
//! Writes are deltas with an idempotence key, never whole lists. The state lives in memory; sled holds a checkpoint of it,
//! from which and the log behind it a restart rebuilds it (foundations 3.5).

use muster_consensus::{Consensus, ProposeError, StateMachine};
use muster_model::{
    ChangeId, ChangeSink, ClusterName, ClusterSettings, Instance, InstanceEdit, InstanceKey, Metadata, NamespaceId,
    ServiceKey, ServiceSettings,
};
use muster_runtime::{HybridClock, Tasks};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// How often what has changed is written to sled and synced.
    pub checkpoint_every: Duration,
    /// Memory that sled may use for its cache.
    pub sled_cache_bytes: u64,
}

/// A service as Raft holds it: what was said of it, and its persistent instances. Immutable; a change makes the next one.
#[derive(Clone, Debug)]
pub struct PersistentService {
    /// Created by a person, rather than by its first instance; such a one stays when its last instance goes.
    pub created: bool,
    pub settings: Arc<ServiceSettings>,
    pub instances: BTreeMap<InstanceKey, Arc<Instance>>,
}

/// What the state machine refused, the same on every member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("service {0} exists already")]
    ServiceExists(ServiceKey),
    #[error("service {0} not found")]
    ServiceNotFound(ServiceKey),
    #[error("service {0} still has instances")]
    ServiceNotEmpty(ServiceKey),
    #[error("instance {key} of {service} not found")]
    InstanceNotFound { service: ServiceKey, key: InstanceKey },
    /// The command is of a newer version than this member knows, or is not one.
    #[error("unknown command: {0}")]
    UnknownCommand(String),
}

/// Why a write has not happened, or is not known to have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// The door to the replicated state. Cheap to clone.
#[derive(Clone)]
pub struct Persistent {
    _skeleton: (),
}

impl Persistent {
    /// Loads the state from disk. The machine goes to [`Consensus::start`]; the handle answers reads at once and takes
    /// writes once [`Persistent::attach`] has been called.
    ///
    /// # Errors
    /// An unusable disk. A damaged checkpoint is none: it is put aside, counted, and rebuilt from snapshot and log.
    pub fn open(
        config: Config,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: &Tasks,
    ) -> std::io::Result<(Self, Arc<dyn StateMachine>)> {
        let _ = (config, hybrid, changes, tasks);
        todo!("skeleton")
    }

    /// Gives the handle the group to propose to.
    pub fn attach(&self, consensus: Consensus) {
        let _ = consensus;
        todo!("skeleton")
    }

    /// Adds or replaces an instance.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn register(
        &self,
        service: &ServiceKey,
        instance: Instance,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let _ = (service, instance, deadline);
        todo!("skeleton")
    }

    /// Removes an instance; one that is not there is well, and answers `None`.
    ///
    /// # Errors
    /// [`WriteError::Propose`].
    pub async fn deregister(
        &self,
        service: &ServiceKey,
        key: &InstanceKey,
        deadline: Instant,
    ) -> Result<Option<ChangeId>, WriteError> {
        let _ = (service, key, deadline);
        todo!("skeleton")
    }

    /// # Errors
    /// [`WriteError`], [`Rejection::InstanceNotFound`] among them.
    pub async fn edit(
        &self,
        service: &ServiceKey,
        key: &InstanceKey,
        edit: InstanceEdit,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let _ = (service, key, edit, deadline);
        todo!("skeleton")
    }

    /// Creates a service without instances. One that only its instances made is taken over, not refused.
    ///
    /// # Errors
    /// [`WriteError`], [`Rejection::ServiceExists`] among them.
    pub async fn create_service(
        &self,
        service: &ServiceKey,
        settings: ServiceSettings,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let _ = (service, settings, deadline);
        todo!("skeleton")
    }

    /// Replaces threshold and metadata of a service and keeps its clusters' settings. `or_create` makes a record for a
    /// service that only ephemeral instances made.
    ///
    /// # Errors
    /// [`WriteError`], [`Rejection::ServiceNotFound`] among them.
    pub async fn update_service(
        &self,
        service: &ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let _ = (service, protect_threshold, metadata, or_create, deadline);
        todo!("skeleton")
    }

    /// Removes a service that has no persistent instances.
    ///
    /// # Errors
    /// [`WriteError`], [`Rejection::ServiceNotFound`] and [`Rejection::ServiceNotEmpty`] among them.
    pub async fn delete_service(&self, service: &ServiceKey, deadline: Instant) -> Result<ChangeId, WriteError> {
        let _ = (service, deadline);
        todo!("skeleton")
    }

    /// Replaces the settings of one cluster of a service; creates the service's record if there is none.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn set_cluster(
        &self,
        service: &ServiceKey,
        cluster: &ClusterName,
        settings: ClusterSettings,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let _ = (service, cluster, settings, deadline);
        todo!("skeleton")
    }

    /// Sets a switch of the whole cluster; `None` gives it its default back. Meaning and validation are `naming`'s.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn set_switch(
        &self,
        entry: &str,
        value: Option<String>,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let _ = (entry, value, deadline);
        todo!("skeleton")
    }

    /// What this member holds of a service, from memory.
    pub fn service(&self, service: &ServiceKey) -> Option<Arc<PersistentService>> {
        let _ = service;
        todo!("skeleton")
    }

    /// All services this member holds, in no order.
    pub fn services(&self) -> Vec<(ServiceKey, Arc<PersistentService>)> {
        todo!("skeleton")
    }

    /// Namespaces that hold a service.
    pub fn namespaces(&self) -> Vec<NamespaceId> {
        todo!("skeleton")
    }

    /// The switches that are not at their default.
    pub fn switches(&self) -> BTreeMap<String, String> {
        todo!("skeleton")
    }

    /// Waits until everything committed by now is visible here (`consistency=strong`).
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn read_barrier(&self, deadline: Instant) -> Result<u64, ProposeError> {
        let _ = deadline;
        todo!("skeleton")
    }
}
