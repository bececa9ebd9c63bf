//! The door to the store.

use crate::answers::{Beat, Counts, Error, Loading};
use crate::config::{Config, Rules};
use crate::node::{Node, Stage};
use crate::peers::Peer;
use crate::repair::Haste;
use crate::store::Applied;
use crate::{copier, keeper, loader, repair, seen, warm};
use muster_membership::Membership;
use muster_model::{ChangeId, ChangeSink, Instance, InstanceEdit, InstanceKey, Kind, MemberId, ServiceKey};
use muster_runtime::{HybridClock, TaskKind, Tasks};
use muster_storage::{Disk, RealDisk};
use muster_transport::Transport;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The door to the store. Cheap to clone.
#[derive(Clone)]
pub struct Ephemeral {
    pub(crate) node: Arc<Node>,
}

impl Ephemeral {
    /// Starts copying, comparing and expiring; loads from peers first, and again whenever this node has become a member of
    /// the group (see [`Ephemeral::loading`]).
    pub fn start(
        config: Config,
        membership: Membership,
        transport: Arc<dyn Transport>,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: &Tasks,
    ) -> Self {
        Self::start_on(
            Arc::new(RealDisk),
            config,
            membership,
            transport,
            hybrid,
            changes,
            tasks,
        )
    }

    /// As [`Ephemeral::start`], with the warm copy on a disk of the caller's. For tests.
    pub fn start_on(
        disk: Arc<dyn Disk>,
        config: Config,
        membership: Membership,
        transport: Arc<dyn Transport>,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: &Tasks,
    ) -> Self {
        let node = Arc::new(Node::new(
            disk,
            config,
            membership,
            transport,
            hybrid,
            changes,
            tasks.clone(),
        ));
        follow_members(&node);
        copier::serve(&node);
        seen::serve(&node);
        repair::serve(&node);
        loader::serve(&node);
        let view = node.membership.view();
        if view.belongs && view.members.len() <= 1 && node.config.warm_dir.is_none() {
            node.set_stage(Stage::Ready);
        }
        tasks.spawn("ephemeral-load", TaskKind::Critical, loader::run(node.clone()));
        tasks.spawn("ephemeral-members", TaskKind::Critical, watch_members(node.clone()));
        tasks.spawn("ephemeral-keep", TaskKind::Critical, keeper::run(node.clone()));
        if node.config.warm_dir.is_some() {
            tasks.spawn("ephemeral-warm", TaskKind::Critical, warm::run(node.clone()));
        }
        Self { node }
    }

    /// Adds or replaces an instance and grants its lease; clears a tombstone. A registration that equals what is listed
    /// renews the lease and changes nothing else (no push). From now on beats renew it, also where a connection held it.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn register(&self, service: &ServiceKey, mut instance: Instance) -> Result<ChangeId, Error> {
        instance.kind = Kind::Ephemeral;
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let (id, applied) = self.node.store.register(service, instance, now)?;
        self.spread(applied, received);
        Ok(id)
    }

    /// Removes an instance and leaves a tombstone; says whether it was there. The tombstone is left all the same when it
    /// was not: its registration may be on the way from another node.
    ///
    /// It is an order by name, and holds against a living connection that publishes the instance, too: the instance leaves
    /// what that connection publishes, until its client publishes it again.
    pub fn deregister(&self, service: &ServiceKey, key: &InstanceKey) -> Option<ChangeId> {
        let received = self.node.timeline.instant();
        let applied = self
            .node
            .store
            .deregister(service, key, self.node.timeline.at(received))?;
        self.node.spread(&applied, received);
        applied.visible.then(|| applied.version.id())
    }

    /// Renews a lease; an unhealthy instance is healthy again at once, unless it is one that a connection holds: the health
    /// of those is what their client said.
    pub fn beat(&self, service: &ServiceKey, key: &InstanceKey) -> Beat {
        let received = self.node.timeline.instant();
        let (beat, applied) = self.node.store.beat(service, key, self.node.timeline.at(received));
        self.spread(applied, received);
        beat
    }

    /// # Errors
    /// [`Error::InstanceNotFound`].
    pub fn edit(&self, service: &ServiceKey, key: &InstanceKey, edit: InstanceEdit) -> Result<ChangeId, Error> {
        let received = self.node.timeline.instant();
        let (id, applied) = self.node.store.edit(service, key, &edit)?;
        self.spread(applied, received);
        Ok(id)
    }

    fn spread(&self, applied: Option<Applied>, received: Instant) {
        if let Some(applied) = applied {
            self.node.spread(&applied, received);
        }
    }

    /// One instance as listed, from memory.
    pub fn instance(&self, service: &ServiceKey, key: &InstanceKey) -> Option<Arc<Instance>> {
        self.node.store.instance(service, key)
    }

    /// All instances of a service, disabled and unhealthy ones too, sorted by key.
    pub fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        self.node.store.instances(service)
    }

    /// Services that have an instance, in no order.
    pub fn services(&self) -> Vec<ServiceKey> {
        self.node.store.services()
    }

    pub fn counts(&self) -> Counts {
        Counts {
            services: self.node.store.services_count(),
            instances: self.node.store.instances_count(),
            tombstones: self.node.store.tombstones_count(),
            responsible: self.node.responsible.load(Ordering::Relaxed),
        }
    }

    /// One number over all that is listed (not over ages): equal on all members when they have converged.
    pub fn digest(&self) -> u64 {
        self.node.store.digest()
    }

    pub fn loading(&self) -> watch::Receiver<Loading> {
        self.node.loading.subscribe()
    }

    /// Takes the switches over. Expiry that is switched on again counts silence from then on.
    pub fn set_rules(&self, rules: Rules) {
        let was_on = self.node.expiry.swap(rules.expiry, Ordering::AcqRel);
        if rules.expiry && !was_on {
            self.node.grant_everyone(self.node.timeline.now());
        }
    }

    /// From now on this node ends no lease: clients whose connections end are on their way to other nodes. Called when the
    /// node stops being ready, before it closes connections.
    pub fn begin_drain(&self) {
        self.node.draining.store(true, Ordering::Release);
    }

    /// Sends what the copier holds to all living peers and writes the warm copy; at most for `deadline`. From now on this
    /// node ends no lease.
    pub async fn drain(&self, deadline: Duration) {
        self.begin_drain();
        let drained = tokio::time::timeout(deadline, async {
            // Half the time at most, so that the warm copy has its share.
            if tokio::time::timeout(deadline / 2, self.flush()).await.is_err() {
                tracing::warn!("not all copies were acknowledged before the end");
            }
            warm::write(&self.node).await;
        });
        if drained.await.is_err() {
            tracing::warn!(?deadline, "the store was not drained in time");
        }
    }

    /// Sends all peers what they lack; ends when they have it.
    async fn flush(&self) {
        seen::tell_all(&self.node);
        let (done, mut all_done) = tokio::sync::mpsc::channel::<()>(1);
        for peer in self.node.peers.all().iter() {
            let (node, peer, done) = (self.node.clone(), peer.clone(), done.clone());
            self.node
                .tasks
                .spawn("ephemeral-flush", TaskKind::Contained, async move {
                    flush_peer(&node, &peer).await;
                    drop(done);
                });
        }
        drop(done);
        // Nobody sends: it ends when the last flush does.
        let _ = all_done.recv().await;
    }
}

/// Copies until nothing is left for a peer, or it is dead.
async fn flush_peer(node: &Node, peer: &Peer) {
    const RETRY: Duration = Duration::from_millis(50);
    if peer.has_overflowed() && node.is_alive(peer.id) {
        repair::compare(node, peer, Haste::Fetch).await;
    }
    while node.is_alive(peer.id) {
        match copier::send_next(node, peer).await {
            copier::Sent::Nothing => return,
            copier::Sent::Batch => {}
            copier::Sent::Failed => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn watch_members(node: Arc<Node>) {
    let mut views = node.membership.watch();
    loop {
        tokio::select! {
            () = node.tasks.shutdown().begun() => return,
            changed = views.changed() => if changed.is_err() { return },
        }
        views.borrow_and_update();
        follow_members(&node);
    }
}

/// Keeps a peer for each other member, and wakes the copiers of those that live.
fn follow_members(node: &Arc<Node>) {
    let view = node.membership.view();
    let ids: Vec<MemberId> = view.peers().map(|member| member.id).collect();
    let now = node.timeline.now();
    for peer in node.peers.set(&ids, node.config.copies_pending_max, now) {
        node.attend(peer);
    }
    for peer in node.peers.all().iter() {
        peer.wake.notify_one();
    }
}
