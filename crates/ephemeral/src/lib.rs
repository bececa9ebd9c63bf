//! The AP store: ephemeral instances, their leases, copies to every member, digests and repair.
//!
//! Any member takes any write and any beat and needs nobody's consent. What it took goes to all others at once; digests
//! compared every few seconds find and repair what was lost on the way. Newest write wins, by hybrid time. Deletes leave
//! tombstones, so that absence is never mistaken for removal. Only the responsible member ends a lease, and only while it
//! sees a majority and after a grace since it became responsible (reference push-and-replication 2.8).

use muster_membership::Membership;
use muster_model::{ChangeId, ChangeSink, Instance, InstanceEdit, InstanceKey, ServiceKey};
use muster_runtime::{HybridClock, Tasks};
use muster_transport::Transport;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub struct Config {
    /// Changes are gathered this long before they go to a peer.
    pub copy_delay: Duration,
    pub digest_every: Duration,
    pub seen_every: Duration,
    pub tombstone_kept: Duration,
    /// Instances kept, over all services; more are refused with [`Error::Full`].
    pub instances_max: usize,
    /// Where a copy of the store is kept for the restart of the whole cluster; none keeps no copy.
    pub warm_dir: Option<PathBuf>,
    /// The longest a starting node waits for a peer's copy before... it goes on waiting: readiness says why.
    /// An operator's flag opens the node all the same.
    pub force_open: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            copy_delay: Duration::from_millis(5),
            digest_every: Duration::from_secs(2),
            seen_every: Duration::from_secs(1),
            tombstone_kept: Duration::from_secs(600),
            instances_max: 4_000_000,
            warm_dir: None,
            force_open: false,
        }
    }
}

/// What a beat found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    /// The lease is renewed.
    Renewed { interval: Duration },
    /// Nobody of that name; a light beat is answered 20404, a full one registers.
    Unknown,
    /// Deregistered a moment ago: the beat was in flight. Answered well, changes nothing (reference D5).
    JustDeregistered,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("this node holds {instances_max} ephemeral instances and takes no more")]
    Full { instances_max: usize },
    #[error("instance {key} of {service} not found")]
    InstanceNotFound { service: ServiceKey, key: InstanceKey },
}

/// Whether the store may answer clients, and why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loading {
    Ready,
    Waiting { reason: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub services: usize,
    pub instances: usize,
    pub tombstones: usize,
    /// Instances this node is responsible for.
    pub responsible: usize,
}

/// The switches that this store heeds; set by `naming` from the replicated ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `healthCheckEnabled`: off, nothing is marked or removed.
    pub expiry: bool,
}

/// The door to the store. Cheap to clone.
#[derive(Clone)]
pub struct Ephemeral {
    _skeleton: (),
}

impl Ephemeral {
    /// Starts copying, comparing and expiring; loads from peers first (see [`Ephemeral::loading`]).
    pub fn start(
        config: Config,
        membership: Membership,
        transport: Arc<dyn Transport>,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: &Tasks,
    ) -> Self {
        let _ = (config, membership, transport, hybrid, changes, tasks);
        todo!("skeleton")
    }

    /// Adds or replaces an instance and grants its lease; clears a tombstone. A registration that equals what is listed
    /// renews the lease and changes nothing else (no push).
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn register(&self, service: &ServiceKey, instance: Instance) -> Result<ChangeId, Error> {
        let _ = (service, instance);
        todo!("skeleton")
    }

    /// Removes an instance and leaves a tombstone; says whether it was there.
    pub fn deregister(&self, service: &ServiceKey, key: &InstanceKey) -> Option<ChangeId> {
        let _ = (service, key);
        todo!("skeleton")
    }

    /// Renews a lease; an unhealthy instance is healthy again at once.
    pub fn beat(&self, service: &ServiceKey, key: &InstanceKey) -> Beat {
        let _ = (service, key);
        todo!("skeleton")
    }

    /// # Errors
    /// [`Error::InstanceNotFound`].
    pub fn edit(&self, service: &ServiceKey, key: &InstanceKey, edit: InstanceEdit) -> Result<ChangeId, Error> {
        let _ = (service, key, edit);
        todo!("skeleton")
    }

    /// One instance as listed, from memory.
    pub fn instance(&self, service: &ServiceKey, key: &InstanceKey) -> Option<Arc<Instance>> {
        let _ = (service, key);
        todo!("skeleton")
    }

    /// All instances of a service, disabled and unhealthy ones too, sorted by key.
    pub fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        let _ = service;
        todo!("skeleton")
    }

    /// Services that have an instance, in no order.
    pub fn services(&self) -> Vec<ServiceKey> {
        todo!("skeleton")
    }

    pub fn counts(&self) -> Counts {
        todo!("skeleton")
    }

    /// One number over all that is listed (not over ages): equal on all members when they have converged.
    pub fn digest(&self) -> u64 {
        todo!("skeleton")
    }

    pub fn loading(&self) -> watch::Receiver<Loading> {
        todo!("skeleton")
    }

    pub fn set_rules(&self, rules: Rules) {
        let _ = rules;
        todo!("skeleton")
    }

    /// Sends what the copier holds to all living peers and writes the warm copy; at most for `deadline`.
    pub async fn drain(&self, deadline: Duration) {
        let _ = deadline;
        todo!("skeleton")
    }
}
