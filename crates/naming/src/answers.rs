//! What the door answers about more than one service.

use muster_model::{GroupName, NamespaceId, ServiceKey};

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
