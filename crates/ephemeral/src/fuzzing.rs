//! A member without tasks of its own, opened to the fuzz targets: what peers and the warm copy say is taken in as ever, and
//! what is kept can be read.

use crate::config::Config;
use crate::merge::Incoming;
use crate::moment::Moment;
use crate::node::{Node, Stage};
use crate::record::{Body, Gone, Holder, State, Version};
use crate::{copier, loader, repair, seen, warm, wire};
use bytes::Bytes;
use muster_membership::{MemberView, Membership, View};
use muster_model::{
    ChangeSink, GroupName, Host, Instance, InstanceKey, Kind, Member as MemberAddress, MemberId, NamespaceId,
    ServiceKey, ServiceName, Stamp, Trace, Weight,
};
use muster_runtime::{Clock, HybridClock, Shutdown, Tasks};
use muster_transport::memory::{MemoryTransport, Network};
use muster_transport::{Route, Transport as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a member can be asked by another one, in the order of their numbers.
pub const ROUTES: [Route; 5] = [
    Route::EphemeralDelta,
    Route::EphemeralSeen,
    Route::EphemeralDigest,
    Route::EphemeralFetch,
    Route::EphemeralSnapshot,
];

const LOCAL: MemberId = MemberId(1);
const PEER: MemberId = MemberId(2);
/// When a [`Write`] is taken over.
const NOW: Moment = Moment(1 << 40);
/// All moments of a [`Write`] are this one, so long ago that no lease holds: what is compared is the order of writes, not who
/// was seen last.
const SEEN: Moment = Moment((1 << 40) - 100_000);

struct Nobody;

impl ChangeSink for Nobody {
    fn changed(&self, _service: &ServiceKey, _trace: Trace) {}
}

/// A ready member of two.
pub struct Member {
    node: Arc<Node>,
    peer: Arc<MemoryTransport>,
}

/// All that is kept, for comparing.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// Of what is listed.
    pub digest: u64,
    /// Of each leaf, as members compare them: with the tombstones that all still have.
    pub compared: Vec<u64>,
    pub listed: Vec<(ServiceKey, Arc<Instance>)>,
}

/// One write to one of few keys. No two writes to a key have the same time and origin.
#[derive(Clone, Debug)]
pub struct Write {
    pub port: u16,
    /// Milliseconds after the beginning.
    pub at_ms: u64,
    pub origin: u64,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Listed {
        weight: u8,
        healthy: bool,
        held_by: u64,
        by_silence: bool,
    },
    Deregistered,
    Expired,
    /// The end of the connection that made the claim of this time and origin.
    Released {
        claim_at_ms: u64,
        claim_origin: u64,
    },
}

impl Write {
    fn incoming(&self, beginning_ms: u64) -> Incoming {
        let version = |at_ms, origin| Version {
            stamp: Stamp::from_millis(beginning_ms + at_ms),
            origin: MemberId(origin),
        };
        let key = InstanceKey::new(Host::parse("10.1.0.1").expect("an address"), self.port);
        let (body, held_by, by_silence) = match &self.what {
            What::Listed {
                weight,
                healthy,
                held_by,
                by_silence,
            } => {
                let mut instance = Instance::new(key.clone(), Kind::Ephemeral);
                instance.weight = Weight::new(f64::from(*weight)).expect("within bounds");
                instance.healthy = *healthy;
                (Body::Listed(Arc::new(instance)), *held_by, *by_silence)
            }
            What::Deregistered => (Body::Gone(Gone::Deregistered), 0, false),
            What::Expired => (Body::Gone(Gone::Expired), 0, false),
            What::Released {
                claim_at_ms,
                claim_origin,
            } => {
                let claim = version(*claim_at_ms, *claim_origin).min(version(self.at_ms, self.origin));
                (Body::Gone(Gone::Released(Box::new(claim))), 0, false)
            }
        };
        Incoming {
            service: ServiceKey::new(
                NamespaceId::public(),
                GroupName::default_group(),
                ServiceName::parse("s").expect("a name"),
            ),
            key,
            state: State {
                version: version(self.at_ms, self.origin),
                body,
                held_by: Holder::new(MemberId(held_by)),
                by_silence,
            },
            seen: SEEN,
            interval_ms: None,
        }
    }
}

impl Member {
    /// A member whose wall clock stands at `wall_ms`. Called within a runtime.
    pub fn new(wall_ms: u64) -> Self {
        let clock = Clock::manual(wall_ms);
        let network = Network::new();
        let view = |id: MemberId| MemberView {
            member: MemberAddress {
                id,
                client_address: String::new(),
                peer_address: String::new(),
            },
            alive: true,
            ready: true,
            last_seen: None,
            skew_ms: 0,
        };
        let membership = Membership::fixed(View {
            local: LOCAL,
            members: vec![view(LOCAL), view(PEER)],
            belongs: true,
            quorum: true,
            epoch: 1,
            since: clock.now(),
        });
        let node = Arc::new(Node::new(
            Arc::new(muster_storage::RealDisk),
            Config {
                instances_max: 10_000,
                ..Config::default()
            },
            membership,
            network.join(LOCAL),
            HybridClock::new(clock),
            Arc::new(Nobody),
            Tasks::new(Shutdown::new()),
        ));
        node.set_stage(Stage::Ready);
        for serve in [copier::serve, seen::serve, repair::serve, loader::serve] {
            serve(&node);
        }
        Self {
            node,
            peer: network.join(PEER),
        }
    }

    /// A call of the other member's.
    ///
    /// # Errors
    /// Why it was not carried out.
    pub async fn call(&self, route: Route, body: Bytes) -> Result<Bytes, muster_transport::Error> {
        self.peer.call(LOCAL, route, body, Duration::from_secs(60)).await
    }

    /// All records as batches, as a starting member is given them.
    pub fn batches(&self) -> Vec<Bytes> {
        let (mut batches, mut after) = (Vec::new(), None);
        loop {
            let (builder, last) = loader::chunk(&self.node, after);
            batches.push(wire::encode(&builder.batch()));
            match last {
                Some(last) => after = Some(last),
                None => return batches,
            }
        }
    }

    /// Takes a write over, whoever is right about leases.
    pub fn merge(&self, write: &Write) {
        let beginning_ms = self.node.store.hybrid.clock().wall_ms();
        self.node.store.merge(write.incoming(beginning_ms), NOW);
    }

    /// Takes everything over that another member has.
    pub fn take_all_of(&self, other: &Member) {
        for leaf in 0..crate::leaf::LEAVES {
            for record in other.node.store.records_of_leaf(leaf) {
                let incoming = Incoming {
                    service: record.service.clone(),
                    key: record.key.clone(),
                    state: record.state(),
                    seen: SEEN,
                    interval_ms: None,
                };
                self.node.store.merge(incoming, NOW);
            }
        }
    }

    pub fn reading(&self) -> Reading {
        let store = &self.node.store;
        let mut services = store.services();
        services.sort();
        let of = |service: &ServiceKey| {
            let service = service.clone();
            let listed = store.instances(&service);
            listed.into_iter().map(move |instance| (service.clone(), instance))
        };
        Reading {
            digest: store.digest(),
            compared: store.leaf_digests(store.first_compared_minute()),
            listed: services.iter().flat_map(of).collect(),
        }
    }

    /// The next write's time is later than all before it.
    pub fn clock_goes_on(&self) -> bool {
        let hybrid = &self.node.store.hybrid;
        hybrid.tick() < hybrid.tick()
    }

    /// # Errors
    /// Why the file is not believed.
    pub fn read_warm(&self, path: &Path) -> Result<(), String> {
        warm::read_file(&self.node, path).map_err(|error| error.to_string())
    }

    /// Answers the file's path.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_warm(&self, folder: &Path) -> Result<std::path::PathBuf, String> {
        warm::write_file(&self.node, folder).map_err(|error| error.to_string())?;
        Ok(folder.join(warm::FILE))
    }
}
