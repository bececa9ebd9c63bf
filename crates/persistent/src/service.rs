//! A service as Raft holds it.

use muster_model::{Instance, InstanceKey, ServiceSettings};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A service as Raft holds it: what was said of it, and its persistent instances. Immutable; a change makes the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersistentService {
    /// Created by a person, rather than by its first instance; such a one stays when its last instance goes.
    pub created: bool,
    pub settings: Arc<ServiceSettings>,
    pub instances: BTreeMap<InstanceKey, Arc<Instance>>,
}

impl PersistentService {
    /// True when there is nothing to remember: nobody created it, set anything of it or is in it.
    pub(crate) fn is_forgettable(&self) -> bool {
        !self.created && self.instances.is_empty() && *self.settings == ServiceSettings::default()
    }
}
