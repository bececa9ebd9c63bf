//! A [`Naming`](crate::Naming) over stores in memory, without Raft, peers or disks, for tests of the doors above.
//!
//! ```no_run
//! # async fn demo() {
//! use muster_naming::testing::Testbed;
//! let bed = Testbed::start();
//! bed.naming.register(&bed.context(), &muster_naming::testing::service("s"),
//!     muster_naming::testing::instance("10.0.0.1:80", muster_model::Kind::Ephemeral)).await.unwrap();
//! bed.set_leader(false); // persistent writes now answer `NoLeader`
//! bed.set_loading(Some("waiting for a peer")); // `readiness` says so
//! # }
//! ```
//!
//! Leases do not run out here; [`MemoryEphemeral::expire`] does what the end of one does. `Naming::consensus` and
//! `Naming::ephemeral` panic, as there are none; `Naming::raft_status` works. `Naming::push` and `Naming::membership` are
//! what [`Testbed::start_with`] was given.

mod ephemeral;
mod persistent;
mod push;

pub use ephemeral::MemoryEphemeral;
pub use persistent::MemoryPersistent;
pub use push::Recorder;

use crate::changes::ReadModel;
use crate::naming::{Handles, Joints};
use crate::probes::Limits;
use crate::stores::{Group, Responsible, Stores, Subscribers};
use crate::{Changes, Config, Context, Naming};
use muster_consensus::{RaftMember, Role, Status};
use muster_ephemeral::Loading;
use muster_membership::Membership;
use muster_model::{
    ChangeId, ChangeSink, ClientId, GroupName, Host, Instance, InstanceKey, Kind, Member, MemberId, NamespaceId,
    Principal, Renders, ServiceKey, ServiceName, ServiceSnapshot, Stamp, Trace,
};
use muster_push::{Push, Snapshots};
use muster_runtime::{Clock, HybridClock, Shutdown, Tasks};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Makes the push from the read model that it asks for snapshots.
pub type MakePush = Box<dyn FnOnce(Onlooker, &Tasks) -> Push>;

/// The read model as stores and push see it. In a program they own it, and it them, for as long as the program runs; a testbed is
/// gone when it is dropped, of which there may be thousands in one run.
#[derive(Clone)]
pub struct Onlooker(Weak<ReadModel>);

impl ChangeSink for Onlooker {
    fn changed(&self, service: &ServiceKey, trace: Trace) {
        if let Some(model) = self.0.upgrade() {
            model.mark(service, Some(trace));
        }
    }
}

impl Snapshots for Onlooker {
    fn newest(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        let Some(model) = self.0.upgrade() else {
            return Arc::new(ServiceSnapshot {
                key: service.clone(),
                revision: 0,
                stamp_ms: 0,
                exists: false,
                instances: Box::default(),
                settings: Arc::default(),
                trace: None,
                renders: Renders::default(),
            });
        };
        model.snapshot(service)
    }
}

/// What a [`Testbed`] is made of; `Default` is right for most tests.
#[derive(Default)]
pub struct Parts {
    pub config: Config,
    pub clock: Clock,
    /// Makes the push from the read model; none records instead, see [`Testbed::recorder`].
    pub push: Option<MakePush>,
    pub membership: Option<Membership>,
}

/// A door over stores in memory, and the handles to move what is behind it.
pub struct Testbed {
    pub naming: Naming,
    /// The read model, as `push` is given it.
    pub changes: Changes,
    pub tasks: Tasks,
    pub clock: Clock,
    pub hybrid: HybridClock,
    pub ephemeral: Arc<MemoryEphemeral>,
    pub persistent: Arc<MemoryPersistent>,
    /// What was told to push where no real one was given.
    pub recorder: Arc<Recorder>,
    group: Arc<MemoryGroup>,
}

impl Testbed {
    /// All parts in memory. Must be called within a tokio runtime, as the door starts its tasks.
    pub fn start() -> Self {
        Self::start_with(Parts::default())
    }

    pub fn start_with(parts: Parts) -> Self {
        Self::start_probing(parts, Limits::default())
    }

    pub(crate) fn start_probing(parts: Parts, limits: Limits) -> Self {
        let tasks = Tasks::new(Shutdown::new());
        let hybrid = HybridClock::new(parts.clock.clone());
        let changes = Changes::new(parts.config, hybrid.clone());
        let onlooker = Onlooker(Arc::downgrade(&changes.0));
        let sink = Arc::new(onlooker.clone());
        let ephemeral = Arc::new(MemoryEphemeral::new(hybrid.clone(), sink.clone()));
        let persistent = Arc::new(MemoryPersistent::new(hybrid.clone(), sink));
        let recorder = Arc::new(Recorder::default());
        let push = parts.push.map(|make| make(onlooker, &tasks));
        let subscribers: Arc<dyn Subscribers> = match &push {
            Some(push) => Arc::new(push.clone()),
            None => recorder.clone(),
        };
        let group = Arc::new(MemoryGroup::default());
        let joints = Joints {
            stores: Stores {
                ephemeral: ephemeral.clone(),
                persistent: persistent.clone(),
            },
            group: group.clone(),
            subscribers,
            responsible: group.clone(),
            handles: Handles {
                membership: parts.membership,
                push,
                ..Handles::default()
            },
        };
        Self {
            naming: Naming::join(changes.clone(), joints, limits, &tasks),
            changes,
            tasks,
            clock: parts.clock,
            hybrid,
            ephemeral,
            persistent,
            recorder,
            group,
        }
    }

    /// A request of now that waits three seconds.
    pub fn context(&self) -> Context {
        let received = self.clock.now();
        Context {
            principal: Principal::Anonymous,
            received,
            deadline: received + Duration::from_secs(3),
        }
    }

    /// Whether there is a Raft leader; without one persistent writes fail with `NoLeader`.
    pub fn set_leader(&self, there: bool) {
        self.group.status.lock().leader = there.then_some(MemberId(1));
        self.persistent.set_leader(there);
    }

    /// What keeps the ephemeral store from being loaded; `None`: it is.
    pub fn set_loading(&self, reason: Option<&str>) {
        self.ephemeral.set_loading(match reason {
            Some(reason) => Loading::Waiting {
                reason: reason.to_owned(),
            },
            None => Loading::Ready,
        });
    }

    /// Whether this node answers for clients, and so probes persistent instances.
    pub fn set_responsible(&self, here: bool) {
        self.group.responsible.store(here, Ordering::Relaxed);
    }

    /// Replaces what the Raft group says of itself.
    pub fn set_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.group.status.lock());
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}

/// A group of one, which answers for everybody unless told otherwise.
struct MemoryGroup {
    status: Mutex<Status>,
    responsible: AtomicBool,
}

impl Default for MemoryGroup {
    fn default() -> Self {
        let member = Member {
            id: MemberId(1),
            client_address: "127.0.0.1:8848".to_owned(),
            peer_address: "127.0.0.1:9849".to_owned(),
        };
        let status = Status {
            role: Role::Leader,
            term: 1,
            leader: Some(MemberId(1)),
            last_log_index: 0,
            committed_index: 0,
            applied_index: 0,
            snapshot_index: 0,
            purged_index: 0,
            quorum_silent: None,
            members: vec![RaftMember {
                member,
                voter: true,
                matched_index: None,
            }],
            initialized: true,
            fatal: None,
        };
        Self {
            status: Mutex::new(status),
            responsible: AtomicBool::new(true),
        }
    }
}

impl Group for MemoryGroup {
    fn status(&self) -> Status {
        self.status.lock().clone()
    }
}

impl Responsible for MemoryGroup {
    fn is_here(&self, _client: &ClientId) -> bool {
        self.responsible.load(Ordering::Relaxed)
    }
}

/// A service of the public namespace and the default group.
pub fn service(name: &str) -> ServiceKey {
    service_in("public", "DEFAULT_GROUP", name)
}

pub fn service_in(namespace: &str, group: &str, name: &str) -> ServiceKey {
    ServiceKey::new(
        NamespaceId::parse(namespace).expect("a namespace"),
        GroupName::parse(group).expect("a group"),
        ServiceName::parse(name).expect("a service name"),
    )
}

/// An instance key from `host:port`.
pub fn key(address: &str) -> InstanceKey {
    let (host, port) = address.rsplit_once(':').expect("host:port");
    InstanceKey::new(Host::parse(host).expect("a host"), port.parse().expect("a port"))
}

/// An enabled, healthy instance of weight 1 at `host:port`.
pub fn instance(address: &str, kind: Kind) -> Instance {
    Instance::new(key(address), kind)
}

/// A change of hybrid time `stamp`.
pub fn trace(stamp: u64) -> Trace {
    trace_of(
        ChangeId::Ephemeral {
            stamp: Stamp(stamp),
            origin: MemberId(1),
        },
        Stamp(stamp),
    )
}

fn trace_of(id: ChangeId, stamp: Stamp) -> Trace {
    let now = Clock::system().now();
    Trace {
        id,
        stamp,
        received: now,
        applied: now,
    }
}
