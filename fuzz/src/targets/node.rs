//! A node's naming in memory, and all that can be seen of it.

use muster_membership::{MemberView, Membership, View};
use muster_model::{Instance, Member, MemberId, ServiceKey, ServiceSettings};
use muster_naming::testing::{Parts, Testbed};
use muster_naming::{Counts, ServiceFilter};
use muster_push::{Delivery, Handed, Push, Sink};
use muster_runtime::Clock;
use std::sync::Arc;

/// Some time in 2023.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

/// A network that takes everything and delivers nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn deliver(&self, _delivery: &Delivery) -> Handed {
        Handed::Sent
    }
}

/// An open node of one that nobody probes for: inputs name any address. Called within a runtime.
pub(crate) fn node() -> Testbed {
    let clock = Clock::manual(WALL_MS);
    let member = MemberView {
        member: Member {
            id: MemberId(1),
            client_address: "10.0.0.1:8848".to_owned(),
            peer_address: "10.0.0.1:9849".to_owned(),
        },
        alive: true,
        ready: true,
        last_seen: None,
        skew_ms: 0,
    };
    let membership = Membership::fixed(View {
        local: MemberId(1),
        members: vec![member],
        belongs: true,
        quorum: true,
        epoch: 1,
        since: clock.now(),
    });
    let pushes = clock.clone();
    let node = Testbed::start_with(Parts {
        clock,
        push: Some(Box::new(move |changes, tasks| {
            let config = muster_push::Config::default();
            Push::start(config, Arc::new(changes), Arc::new(Nowhere), pushes, tasks)
        })),
        membership: Some(membership),
        ..Parts::default()
    });
    node.set_responsible(false);
    node.naming.push().open();
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
            instances: snapshot.instances.to_vec(),
            settings: snapshot.settings.clone(),
        }
    };
    Reading {
        counts: naming.counts(),
        switches: format!("{:?}", naming.switches()),
        services: keys.into_iter().map(seen).collect(),
    }
}
