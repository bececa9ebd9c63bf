//! The parts of a running store, shared by its tasks and its door.

use crate::answers::Loading;
use crate::config::Config;
use crate::merge::{Incoming, Merged};
use crate::metrics;
use crate::moment::{Moment, Timeline};
use crate::peers::{Peer, Peers};
use crate::pulse::Pulse;
use crate::store::{Applied, Store};
use crate::wire::{Batch, Garbage};
use muster_membership::Membership;
use muster_model::{ChangeSink, MemberId, ServiceKey, Trace};
use muster_runtime::{TaskKind, Tasks};
use muster_storage::Disk;
use muster_transport::{HandlerError, Route, Transport};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::watch;

/// How far this node has come in loading. On the wire as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    Empty = 0,
    /// Nobody had anything; the warm copy was read.
    Warmed = 1,
    Ready = 2,
}

impl Stage {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Stage::Empty, Stage::Warmed, Stage::Ready]
            .into_iter()
            .find(|stage| *stage as u32 == number)
    }
}

pub(crate) struct Node {
    pub(crate) config: Config,
    /// Of the warm copy.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: Store,
    pub(crate) timeline: Timeline,
    pub(crate) membership: Membership,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) changes: Arc<dyn ChangeSink>,
    pub(crate) tasks: Tasks,
    pub(crate) peers: Peers,
    pub(crate) loading: watch::Sender<Loading>,
    stage: AtomicU8,
    pub(crate) expiry: AtomicBool,
    pub(crate) draining: AtomicBool,
    /// Silence before this moment is not held against anybody.
    amnesty: AtomicU64,
    pub(crate) pulse: Pulse,
    pub(crate) responsible: AtomicUsize,
    /// [`Store::writes`] as of the last warm copy.
    pub(crate) warm_written: tokio::sync::Mutex<u64>,
}

impl Node {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        config: Config,
        membership: Membership,
        transport: Arc<dyn Transport>,
        hybrid: muster_runtime::HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: Tasks,
    ) -> Self {
        let timeline = Timeline::new(hybrid.clock().clone());
        let now = timeline.now();
        let (loading, _) = watch::channel(Loading::Waiting {
            reason: "starting".to_owned(),
        });
        Self {
            store: Store::new(transport.local(), hybrid, config.instances_max, config.tombstone_kept),
            config,
            disk,
            timeline,
            membership,
            transport,
            changes,
            tasks,
            peers: Peers::default(),
            loading,
            stage: AtomicU8::new(Stage::Empty as u8),
            expiry: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            amnesty: AtomicU64::new(now.0),
            pulse: Pulse::new(now),
            responsible: AtomicUsize::new(0),
            warm_written: tokio::sync::Mutex::new(0),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        Stage::from_number(self.stage.load(Ordering::Acquire).into()).unwrap_or(Stage::Empty)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.stage() == Stage::Ready
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        if stage == Stage::Ready {
            self.grant_everyone(self.timeline.now());
        }
        self.stage.store(stage as u8, Ordering::Release);
        if stage == Stage::Ready {
            self.loading.send_replace(Loading::Ready);
        }
    }

    /// From here on everybody has a full period again.
    pub(crate) fn grant_everyone(&self, now: Moment) {
        self.amnesty.fetch_max(now.0, Ordering::AcqRel);
    }

    pub(crate) fn amnesty(&self) -> Moment {
        Moment(self.amnesty.load(Ordering::Acquire))
    }

    /// Serves a route with a synchronous function; bad messages are its error.
    pub(crate) fn serve(
        self: &Arc<Self>,
        route: Route,
        answer: fn(&Arc<Node>, MemberId, bytes::Bytes) -> Result<bytes::Bytes, HandlerError>,
    ) {
        // Weak, for the transport outlives the node in tests and would keep the store otherwise.
        let node = Arc::downgrade(self);
        self.transport.serve(
            route,
            Arc::new(move |from, body| {
                let answered = match node.upgrade() {
                    Some(node) => answer(&node, from, body),
                    None => Err(HandlerError::NotReady),
                };
                async move { answered }
            }),
        );
    }

    /// Spawns the tasks of a peer.
    pub(crate) fn attend(self: &Arc<Self>, peer: Arc<Peer>) {
        let (node, of) = (self.clone(), peer.clone());
        self.tasks.spawn("ephemeral-copy", TaskKind::Critical, async move {
            crate::copier::run(node, of).await;
        });
        let node = self.clone();
        self.tasks.spawn("ephemeral-repair", TaskKind::Critical, async move {
            crate::repair::run(node, peer).await;
        });
    }

    pub(crate) fn is_alive(&self, id: MemberId) -> bool {
        self.membership.view().is_living_peer(id)
    }

    /// Spreads a write of this node: to the peers, then to whoever lists the service.
    pub(crate) fn spread(&self, applied: &Applied, received: Instant) {
        self.peers.note(applied.hash);
        if applied.visible {
            self.tell(std::slice::from_ref(applied), received);
        }
    }

    /// Spreads many writes of this node.
    pub(crate) fn spread_all(&self, applied: &[Applied], received: Instant) {
        if applied.is_empty() {
            return;
        }
        for peer in self.peers.all().iter() {
            peer.note(applied.iter().map(|applied| applied.hash));
        }
        self.tell(applied, received);
    }

    /// Tells of visible changes, once per service, by the newest of them.
    fn tell(&self, applied: &[Applied], received: Instant) {
        let mut newest: HashMap<&ServiceKey, &Applied> = HashMap::new();
        for change in applied.iter().filter(|applied| applied.visible) {
            match newest.entry(&change.service) {
                Entry::Occupied(mut known) if known.get().version < change.version => {
                    known.insert(change);
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(free) => {
                    free.insert(change);
                }
            }
        }
        let now = self.timeline.instant();
        for (service, change) in newest {
            let trace = Trace {
                id: change.version.id(),
                stamp: change.version.stamp,
                received,
                applied: now,
            };
            self.changes.changed(service, trace);
        }
    }

    /// Takes a batch of a peer's records in; says how many were news.
    ///
    /// # Errors
    /// [`Garbage`]; nothing was taken then.
    pub(crate) fn take_in(&self, batch: Batch) -> Result<usize, Garbage> {
        let received = self.timeline.instant();
        let incoming = batch.parse(self.timeline.at(received))?;
        Ok(self.merge_all(incoming, received))
    }

    /// Merges records and spreads the news; says how many there were.
    pub(crate) fn merge_all(&self, incoming: Vec<Incoming>, received: Instant) -> usize {
        let now = self.timeline.at(received);
        if let Some(latest) = incoming.iter().map(|record| record.state.version.stamp).max() {
            self.store.hybrid.observe(latest);
        }
        let (mut taken, mut refuted, mut overtaken) = (Vec::new(), Vec::new(), Vec::new());
        for record in incoming {
            match self.store.merge(record, now) {
                Merged::Nothing => {}
                Merged::Overtaken { hash } => overtaken.push(hash),
                Merged::Taken(applied) => taken.push(applied),
                Merged::Refuted(applied) => refuted.push(applied),
                Merged::Refused => metrics::REFUSED.inc(),
            }
        }
        metrics::MERGED.inc_by(taken.len() as u64);
        metrics::REFUTED.inc_by(refuted.len() as u64);
        if !taken.is_empty() {
            self.tell(&taken, received);
        }
        if !refuted.is_empty() {
            self.spread_all(&refuted, received);
        }
        if !overtaken.is_empty() {
            for peer in self.peers.all().iter() {
                peer.note(overtaken.iter().copied());
            }
        }
        taken.len() + refuted.len()
    }
}
