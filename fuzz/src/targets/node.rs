//! A node's naming in memory, and all that can be seen of it.

use muster_model::{Instance, ServiceKey, ServiceSettings};
use muster_naming::testing::{Parts, Testbed};
use muster_naming::{Counts, ServiceFilter};
use muster_runtime::Clock;
use std::sync::Arc;

/// Some time in 2023.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

/// Called within a runtime.
pub(crate) fn node() -> Testbed {
    let node = Testbed::start_with(Parts {
        clock: Clock::manual(WALL_MS),
        ..Parts::default()
    });
    // Or it would probe the addresses that inputs name.
    node.set_responsible(false);
    node
}

/// What is listed of a service.
#[derive(Debug, PartialEq)]
struct Seen {
    service: ServiceKey,
    exists: bool,
    instances: Vec<Arc<Instance>>,
    settings: Arc<ServiceSettings>,
}

/// All that clients could see.
#[derive(Debug, PartialEq)]
pub(crate) struct Reading {
    counts: Counts,
    subscriptions: usize,
    switches: String,
    services: Vec<Seen>,
}

pub(crate) fn reading(node: &Testbed) -> Reading {
    let naming = &node.naming;
    let keys = naming.namespaces().into_iter().flat_map(|(namespace, _)| {
        let filter = ServiceFilter { namespace, group: None };
        naming.services(&filter, 0, usize::MAX).services
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort();
    let seen = |key: ServiceKey| {
        let snapshot = naming.snapshot(&key);
        Seen {
            service: key,
            exists: snapshot.exists,
            instances: snapshot.instances.iter().cloned().collect(),
            settings: snapshot.settings.clone(),
        }
    };
    Reading {
        counts: naming.counts(),
        subscriptions: node.recorder.subscriptions().len(),
        switches: format!("{:?}", naming.switches()),
        services: keys.into_iter().map(seen).collect(),
    }
}
