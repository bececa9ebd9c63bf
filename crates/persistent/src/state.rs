//! The replicated state as a value: cheap to clone, whole at one position of the log.

use crate::PersistentService;
use crate::window::Window;
use muster_model::{ServiceKey, Stamp};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A clone shares all shards; the first change to a shared one copies its table of pointers, with a million services
/// 4,000 of them.
const SHARDS: usize = 256;

type Shard = HashMap<ServiceKey, Arc<PersistentService>>;

/// Services, switches and the latest answers. Everything in it is shared until changed.
#[derive(Clone, Debug)]
pub(crate) struct State {
    shards: Vec<Arc<Shard>>,
    pub(crate) switches: Arc<BTreeMap<String, String>>,
    pub(crate) window: Arc<Window>,
    /// The latest stamp of any command.
    pub(crate) stamp: Stamp,
    services: u64,
    instances: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            switches: Arc::default(),
            window: Arc::default(),
            stamp: Stamp::default(),
            services: 0,
            instances: 0,
        }
    }
}

impl State {
    pub(crate) fn service(&self, key: &ServiceKey) -> Option<&Arc<PersistentService>> {
        self.shards[shard_of(key)].get(key)
    }

    pub(crate) fn services_count(&self) -> u64 {
        self.services
    }

    pub(crate) fn instances_count(&self) -> u64 {
        self.instances
    }

    /// All services, in no order.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<PersistentService>)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// All services in the order of their keys, for what is written.
    pub(crate) fn sorted(&self) -> Vec<(&ServiceKey, &Arc<PersistentService>)> {
        let mut services: Vec<_> = self.services().collect();
        services.sort_unstable_by_key(|(key, _)| *key);
        services
    }

    /// Changes the service, made if there is none, and forgets it if nothing is left to remember. The first change after
    /// the service was published copies it, later ones of the same batch do not.
    pub(crate) fn change<T>(&mut self, key: &ServiceKey, change: impl FnOnce(&mut PersistentService) -> T) -> T {
        let shard = Arc::make_mut(&mut self.shards[shard_of(key)]);
        let services_before = shard.len();
        let service = Arc::make_mut(shard.entry(key.clone()).or_default());
        let instances_before = service.instances.len();
        let answer = change(service);
        self.instances = self.instances + service.instances.len() as u64 - instances_before as u64;
        if service.is_forgettable() {
            shard.remove(key);
        }
        self.services = self.services + shard.len() as u64 - services_before as u64;
        answer
    }

    pub(crate) fn remove(&mut self, key: &ServiceKey) {
        let shard = Arc::make_mut(&mut self.shards[shard_of(key)]);
        if let Some(service) = shard.remove(key) {
            self.services -= 1;
            self.instances -= service.instances.len() as u64;
        }
    }

    /// Puts a service as it was stored.
    pub(crate) fn insert(&mut self, key: ServiceKey, service: PersistentService) {
        self.remove(&key);
        self.services += 1;
        self.instances += service.instances.len() as u64;
        let shard = Arc::make_mut(&mut self.shards[shard_of(&key)]);
        shard.insert(key, Arc::new(service));
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.switches == other.switches
            && self.window == other.window
            && self.stamp == other.stamp
            && self.sorted() == other.sorted()
    }
}

fn shard_of(key: &ServiceKey) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % SHARDS
}
