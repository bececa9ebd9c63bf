//! The door itself: how it is made, and what it answers from memory.

use crate::changes::{Changes, Joined, ReadModel};
use crate::metrics::{self, REQUESTS};
use crate::probes::{self, Prober};
use crate::stores::{Group, Responsible, Stores, Subscribers};
use crate::switches::{Board, Switches};
use crate::{Context, Counts, Error, Page, Parts, Readiness, ServiceFilter, keeper};
use muster_consensus::{Consensus, Status};
use muster_ephemeral::{Ephemeral, Loading};
use muster_membership::Membership;
use muster_model::{NamespaceId, ServiceKey, ServiceSnapshot};
use muster_push::{Push, Subscribed, SubscriptionInfo, SubscriptionKey};
use muster_runtime::{Shutdown, Tasks};
use std::sync::Arc;

/// Committed and not applied entries that readiness is silent about: a second of writes at full load.
const BEHIND_MAX: u64 = 10_000;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Naming(Arc<Inner>);

struct Inner {
    model: Arc<ReadModel>,
    stores: Stores,
    group: Arc<dyn Group>,
    subscribers: Arc<dyn Subscribers>,
    switches: Arc<Board>,
    handles: Handles,
    shutdown: Shutdown,
}

/// The parts themselves, for those who ask for them; a stand-in of [`testing`](crate::testing) has only some.
#[derive(Default)]
pub(crate) struct Handles {
    pub(crate) ephemeral: Option<Ephemeral>,
    pub(crate) membership: Option<Membership>,
    pub(crate) consensus: Option<Consensus>,
    pub(crate) push: Option<Push>,
}

/// The parts as the door sees them.
pub(crate) struct Joints {
    pub(crate) stores: Stores,
    pub(crate) group: Arc<dyn Group>,
    pub(crate) subscribers: Arc<dyn Subscribers>,
    pub(crate) responsible: Arc<dyn Responsible>,
    pub(crate) handles: Handles,
}

impl Naming {
    /// Joins the parts, starts the health probes and begins to answer.
    pub fn start(changes: Changes, parts: Parts, tasks: &Tasks) -> Self {
        let joints = Joints {
            stores: Stores {
                ephemeral: Arc::new(parts.ephemeral.clone()),
                persistent: Arc::new(parts.persistent),
            },
            group: Arc::new(parts.consensus.clone()),
            subscribers: Arc::new(parts.push.clone()),
            responsible: Arc::new(parts.membership.clone()),
            handles: Handles {
                ephemeral: Some(parts.ephemeral),
                membership: Some(parts.membership),
                consensus: Some(parts.consensus),
                push: Some(parts.push),
            },
        };
        Self::join(changes, joints, probes::Limits::default(), tasks)
    }

    pub(crate) fn join(changes: Changes, joints: Joints, limits: probes::Limits, tasks: &Tasks) -> Self {
        metrics::init();
        let model = changes.0;
        model.join(Joined {
            stores: joints.stores.clone(),
            push: joints.subscribers.clone(),
        });
        let switches = Arc::new(Board::new(joints.stores.clone(), joints.subscribers.clone()));
        switches.refresh();
        keeper::start(model.clone(), switches.clone(), tasks);
        Prober {
            model: model.clone(),
            persistent: joints.stores.persistent.clone(),
            responsible: joints.responsible,
            switches: switches.clone(),
            limits,
        }
        .start(tasks);
        Self(Arc::new(Inner {
            model,
            stores: joints.stores,
            group: joints.group,
            subscribers: joints.subscribers,
            switches,
            handles: joints.handles,
            shutdown: tasks.shutdown().clone(),
        }))
    }

    /// The list of a service as this node holds it now. An unknown service has an empty one.
    pub fn snapshot(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        REQUESTS.query.ok.inc();
        self.0.model.snapshot(service)
    }

    /// Waits until this node holds every persistent write that was acknowledged before the call (`consistency=strong`).
    ///
    /// # Errors
    /// [`Error::Consensus`].
    pub async fn read_barrier(&self, context: &Context) -> Result<(), Error> {
        let answer = self.0.stores.persistent.read_barrier(context.deadline).await;
        let answer = answer.map(|_index| ()).map_err(Error::from);
        REQUESTS.read_barrier.count(&answer);
        answer
    }

    /// Subscribes and answers with the list in one step, so that no change falls between.
    ///
    /// The list answered is the one that push counts as told. A change that came after it and before push knew of the
    /// subscription is found by looking again, and told.
    pub fn subscribe(
        &self,
        _context: &Context,
        key: SubscriptionKey,
        info: SubscriptionInfo,
    ) -> (Arc<ServiceSnapshot>, Subscribed) {
        REQUESTS.subscribe.ok.inc();
        let Some(seen) = self.0.model.snapshot_kept(&key.service) else {
            return (self.0.model.snapshot(&key.service), Subscribed::Refused);
        };
        let service = key.service.clone();
        let subscribed = self.0.subscribers.subscribe(key, info, &seen);
        if self.0.model.snapshot(&service).revision != seen.revision {
            self.0.subscribers.changed(&service);
        }
        (seen, subscribed)
    }

    /// Services in a stable order, by name and then group; pages never overlap while nothing changes.
    pub fn services(&self, filter: &ServiceFilter, offset: usize, limit: usize) -> Page {
        REQUESTS.list_services.ok.inc();
        self.0.model.fold_all();
        self.0.model.listing.page(filter, offset, limit)
    }

    /// Namespaces that hold a service, sorted, and how many each holds.
    pub fn namespaces(&self) -> Vec<(NamespaceId, usize)> {
        self.0.model.fold_all();
        self.0.model.listing.namespaces()
    }

    pub fn counts(&self) -> Counts {
        self.0.model.fold_all();
        let (ephemeral_instances, persistent_instances) = self.0.model.instances();
        Counts {
            services: self.0.model.listing.len(),
            instances: ephemeral_instances + persistent_instances,
            ephemeral_instances,
            persistent_instances,
            subscriptions: self.0.subscribers.count(),
            responsible_instances: self.0.stores.ephemeral.responsible(),
        }
    }

    pub fn readiness(&self) -> Readiness {
        let status = self.0.group.status();
        let mut not_ready = Vec::new();
        if let Loading::Waiting { reason } = self.0.stores.ephemeral.loading() {
            not_ready.push(format!("ephemeral instances are not loaded: {reason}"));
        }
        if !status.initialized {
            not_ready.push("the raft group is not founded yet".to_owned());
        }
        if status.initialized && self.was_removed(&status) {
            not_ready.push("this node is not a member of the cluster any more".to_owned());
        }
        if let Some(fatal) = &status.fatal {
            not_ready.push(format!("raft has stopped: {fatal}"));
        }
        if let Some(set) = self.switches().server_status.as_deref().filter(|set| *set != "UP") {
            not_ready.push(format!("overriddenServerStatus is {set}"));
        }
        let ready = not_ready.is_empty();
        let mut reasons = not_ready;
        if status.leader.is_none() {
            reasons.push("no raft leader: persistent writes are refused".to_owned());
        }
        let behind = status.committed_index.saturating_sub(status.applied_index);
        if behind > BEHIND_MAX {
            reasons.push(format!(
                "{behind} committed writes are not applied yet: persistent instances are shown as they were"
            ));
        }
        Readiness {
            ready,
            reasons,
            has_leader: status.leader.is_some(),
        }
    }

    /// Whether the group has gone on without this member: what it lists is not kept up to date any more.
    fn was_removed(&self, status: &Status) -> bool {
        let Some(membership) = &self.0.handles.membership else {
            return false;
        };
        let local = membership.view().local;
        status.members.iter().all(|seen| seen.member.id != local)
    }

    pub fn switches(&self) -> Arc<Switches> {
        self.0.switches.current()
    }

    /// What this member knows of the Raft group; what [`Naming::consensus`] answers, and there in tests as well.
    pub fn raft_status(&self) -> Status {
        self.0.group.status()
    }

    /// # Panics
    /// In a test stand-in that was given no `Push`.
    pub fn push(&self) -> &Push {
        self.0.handles.push.as_ref().expect("this stand-in was given no push")
    }

    /// # Panics
    /// In a test stand-in: it has no Raft. [`Naming::raft_status`] is there in both.
    pub fn consensus(&self) -> &Consensus {
        self.0.handles.consensus.as_ref().expect("a stand-in has no raft")
    }

    /// # Panics
    /// In a test stand-in that was given no `Membership`.
    pub fn membership(&self) -> &Membership {
        self.0
            .handles
            .membership
            .as_ref()
            .expect("this stand-in was given no membership")
    }

    /// # Panics
    /// In a test stand-in: its store is another.
    pub fn ephemeral(&self) -> &Ephemeral {
        self.0
            .handles
            .ephemeral
            .as_ref()
            .expect("a stand-in has its own ephemeral store")
    }

    pub(crate) fn model(&self) -> &ReadModel {
        &self.0.model
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    pub(crate) fn subscribers(&self) -> &dyn Subscribers {
        &*self.0.subscribers
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    pub(crate) fn board(&self) -> &Board {
        &self.0.switches
    }
}
