//! The front door of the domain.
//!
//! Every dialect makes one call here per request: register, deregister, edit, beat, query, subscribe, and the settings
//! of services. Both stores meet here: each change is folded into the service's next [`ServiceSnapshot`], which answers
//! queries and goes to `push`. Queries always see what this node's stores hold; pushes are merged, answers are not.

use muster_consensus::ProposeError;
use muster_ephemeral::Ephemeral;
use muster_membership::Membership;
use muster_model::{
    ChangeId, ChangeSink, ClusterName, ClusterSettings, GroupName, Instance, InstanceEdit, InstanceKey, Kind, Metadata,
    NamespaceId, Principal, ServiceKey, ServiceSettings, ServiceSnapshot,
};
use muster_persistent::{Persistent, Rejection};
use muster_push::{Push, Snapshots, Subscribed, SubscriptionInfo, SubscriptionKey};
use muster_runtime::{HybridClock, Tasks};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Config {
    /// Names kept in the read model, those of unknown but subscribed services included.
    pub services_max: usize,
    /// Health probes under way at once.
    pub probes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            services_max: 2_000_000,
            probes_max: 1_000,
        }
    }
}

/// What travels with each request from the door.
#[derive(Clone, Debug)]
pub struct Context {
    pub principal: Principal,
    pub received: Instant,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

/// Whether an edit of an instance may make it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upsert {
    No,
    Yes,
}

/// Why a request was refused, or is not known to have been carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("service {service} holds {found} instances, not {asked}")]
    KindMismatch {
        service: ServiceKey,
        found: Kind,
        asked: Kind,
    },
    #[error("beat interval must be less than beat timeout and delete timeout")]
    Timings,
    #[error("metadata holds {chars} characters, more than {chars_max}")]
    MetadataTooLong { chars: usize, chars_max: usize },
    #[error("service {0} not found")]
    ServiceNotFound(ServiceKey),
    #[error("service {0} exists already")]
    ServiceExists(ServiceKey),
    #[error("service {0} still has instances")]
    ServiceNotEmpty(ServiceKey),
    #[error("instance {key} of {service} not found")]
    InstanceNotFound { service: ServiceKey, key: InstanceKey },
    /// By-hand health is refused while a checker runs.
    #[error("health check of {service} cluster {cluster} is still working")]
    CheckerWorks { service: ServiceKey, cluster: ClusterName },
    #[error("switch {entry}: {problem}")]
    BadSwitch { entry: String, problem: String },
    #[error("this node is full: {0}")]
    Full(String),
    /// Nothing was done, or the outcome is unknown; see [`ProposeError`].
    #[error(transparent)]
    Consensus(#[from] ProposeError),
    #[error("{0}")]
    Internal(String),
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::ServiceExists(service) => Error::ServiceExists(service),
            Rejection::ServiceNotFound(service) => Error::ServiceNotFound(service),
            Rejection::ServiceNotEmpty(service) => Error::ServiceNotEmpty(service),
            Rejection::InstanceNotFound { service, key } => Error::InstanceNotFound { service, key },
            Rejection::UnknownCommand(text) => Error::Internal(text),
        }
    }
}

/// What a beat brings.
#[derive(Clone, Debug)]
pub enum Beat {
    /// Names the instance only.
    Light(InstanceKey),
    /// Carries the instance, which is registered if nobody knows it.
    Full(Box<Instance>),
}

/// What a beat is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BeatAnswer {
    Renewed {
        interval: Duration,
    },
    /// A light beat of an unknown instance: the client is to register again.
    Unknown {
        interval: Duration,
    },
}

/// One page of service names and how many there are in all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub services: Vec<ServiceKey>,
    pub total: usize,
}

/// Which services to list.
#[derive(Clone, Debug)]
pub struct ServiceFilter {
    pub namespace: NamespaceId,
    /// `None` for all groups.
    pub group: Option<GroupName>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub services: usize,
    pub instances: usize,
    pub ephemeral_instances: usize,
    pub persistent_instances: usize,
    pub subscriptions: usize,
    /// Ephemeral instances this node is responsible for.
    pub responsible_instances: usize,
}

/// Whether this node answers clients, and if not, why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Readiness {
    pub ready: bool,
    /// A line per part that is not ready, or worth saying (`no raft leader` does not make a node unready).
    pub reasons: Vec<String>,
    pub has_leader: bool,
}

/// The cluster-wide switches, parsed. Defaults are Nacos's (reference nacos-http 9.9).
#[derive(Clone, PartialEq, Debug)]
pub struct Switches {
    pub client_beat_interval: Duration,
    pub light_beat: bool,
    pub health_check: bool,
    pub push: bool,
    pub default_ephemeral: bool,
    /// `cacheMillis` to a client that is pushed to, and to one that is not.
    pub push_cache_ms: u64,
    pub default_cache_ms: u64,
    pub check_times: u32,
    /// `overriddenServerStatus`.
    pub server_status: Option<String>,
    /// Entries as set, for showing.
    pub set: BTreeMap<String, String>,
}

/// The parts that naming joins.
pub struct Parts {
    pub ephemeral: Ephemeral,
    pub persistent: Persistent,
    pub membership: Membership,
    pub consensus: muster_consensus::Consensus,
    pub push: Push,
}

/// Takes the stores' changes before the stores exist: made first, handed to both stores and to `push`, and given to
/// [`Naming::start`] in the end. Changes that come before are kept as dirty services.
#[derive(Clone)]
pub struct Changes {
    _skeleton: (),
}

impl Changes {
    pub fn new(config: Config, hybrid: HybridClock) -> Self {
        let _ = (config, hybrid);
        todo!("skeleton")
    }
}

impl ChangeSink for Changes {
    fn changed(&self, service: &ServiceKey, trace: muster_model::Trace) {
        let _ = (service, trace);
        todo!("skeleton")
    }
}

impl Snapshots for Changes {
    fn newest(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        let _ = service;
        todo!("skeleton")
    }
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Naming {
    _skeleton: (),
}

impl Naming {
    /// Joins the parts, starts the health probes and begins to answer.
    pub fn start(changes: Changes, parts: Parts, tasks: &Tasks) -> Self {
        let _ = (changes, parts, tasks);
        todo!("skeleton")
    }

    /// Registers or replaces an instance of either kind.
    ///
    /// # Errors
    /// [`Error::KindMismatch`], [`Error::Timings`], [`Error::MetadataTooLong`], [`Error::Full`], [`Error::Consensus`].
    pub async fn register(
        &self,
        context: &Context,
        service: &ServiceKey,
        instance: Instance,
    ) -> Result<ChangeId, Error> {
        let _ = (context, service, instance);
        todo!("skeleton")
    }

    /// Deregisters; one that is not there is well, and answers `None`.
    ///
    /// # Errors
    /// [`Error::Consensus`] for persistent ones.
    pub async fn deregister(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Kind,
    ) -> Result<Option<ChangeId>, Error> {
        let _ = (context, service, key, kind);
        todo!("skeleton")
    }

    /// Replaces what an instance registered (PUT of v1). An edit lasts until the instance registers again or leaves.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`] and [`Error::InstanceNotFound`] unless `upsert`; those of [`Naming::register`].
    pub async fn replace(
        &self,
        context: &Context,
        service: &ServiceKey,
        instance: Instance,
        upsert: Upsert,
    ) -> Result<ChangeId, Error> {
        let _ = (context, service, instance, upsert);
        todo!("skeleton")
    }

    /// Changes some fields of an instance (PATCH of v1, metadata batches). `kind` none: whichever is there.
    ///
    /// # Errors
    /// [`Error::InstanceNotFound`]; those of [`Naming::register`].
    pub async fn edit(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Option<Kind>,
        edit: InstanceEdit,
    ) -> Result<ChangeId, Error> {
        let _ = (context, service, key, kind, edit);
        todo!("skeleton")
    }

    /// Sets the health of a persistent instance by hand; only where its cluster's checker is `None`.
    ///
    /// # Errors
    /// [`Error::CheckerWorks`], [`Error::InstanceNotFound`], [`Error::Consensus`].
    pub async fn set_health(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        healthy: bool,
    ) -> Result<(), Error> {
        let _ = (context, service, key, healthy);
        todo!("skeleton")
    }

    /// Takes a beat. The hot path: no await, no lock held, no allocation for a known instance.
    ///
    /// # Errors
    /// Those of registering, for a full beat of an unknown instance.
    pub fn beat(&self, context: &Context, service: &ServiceKey, beat: Beat) -> Result<BeatAnswer, Error> {
        let _ = (context, service, beat);
        todo!("skeleton")
    }

    /// The list of a service as this node holds it now. An unknown service has an empty one.
    pub fn snapshot(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        let _ = service;
        todo!("skeleton")
    }

    /// Waits until this node holds every persistent write that was acknowledged before the call (`consistency=strong`).
    ///
    /// # Errors
    /// [`Error::Consensus`].
    pub async fn read_barrier(&self, context: &Context) -> Result<(), Error> {
        let _ = context;
        todo!("skeleton")
    }

    /// Subscribes and answers with the list in one step, so that no change falls between.
    pub fn subscribe(
        &self,
        context: &Context,
        key: SubscriptionKey,
        info: SubscriptionInfo,
    ) -> (Arc<ServiceSnapshot>, Subscribed) {
        let _ = (context, key, info);
        todo!("skeleton")
    }

    pub fn push(&self) -> &Push {
        todo!("skeleton")
    }

    /// Services in a stable order, by name and then group; pages never overlap while nothing changes.
    pub fn services(&self, filter: &ServiceFilter, offset: usize, limit: usize) -> Page {
        let _ = (filter, offset, limit);
        todo!("skeleton")
    }

    /// # Errors
    /// [`Error::ServiceExists`], [`Error::Consensus`].
    pub async fn create_service(
        &self,
        context: &Context,
        service: &ServiceKey,
        settings: ServiceSettings,
    ) -> Result<(), Error> {
        let _ = (context, service, settings);
        todo!("skeleton")
    }

    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::Consensus`].
    pub async fn update_service(
        &self,
        context: &Context,
        service: &ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
    ) -> Result<(), Error> {
        let _ = (context, service, protect_threshold, metadata);
        todo!("skeleton")
    }

    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::ServiceNotEmpty`] (instances of either kind), [`Error::Consensus`].
    pub async fn delete_service(&self, context: &Context, service: &ServiceKey) -> Result<(), Error> {
        let _ = (context, service);
        todo!("skeleton")
    }

    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::Consensus`].
    pub async fn set_cluster(
        &self,
        context: &Context,
        service: &ServiceKey,
        cluster: &ClusterName,
        settings: ClusterSettings,
    ) -> Result<(), Error> {
        let _ = (context, service, cluster, settings);
        todo!("skeleton")
    }

    pub fn switches(&self) -> Arc<Switches> {
        todo!("skeleton")
    }

    /// Sets a switch on every node. An unknown entry, or one that we do not heed, is refused by name.
    ///
    /// # Errors
    /// [`Error::BadSwitch`], [`Error::Consensus`].
    pub async fn set_switch(&self, context: &Context, entry: &str, value: &str) -> Result<(), Error> {
        let _ = (context, entry, value);
        todo!("skeleton")
    }

    pub fn counts(&self) -> Counts {
        todo!("skeleton")
    }

    pub fn readiness(&self) -> Readiness {
        todo!("skeleton")
    }

    pub fn consensus(&self) -> &muster_consensus::Consensus {
        todo!("skeleton")
    }

    pub fn membership(&self) -> &Membership {
        todo!("skeleton")
    }

    pub fn ephemeral(&self) -> &Ephemeral {
        todo!("skeleton")
    }
}
