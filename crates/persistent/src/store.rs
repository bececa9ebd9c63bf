//! The state machine: one writer behind a lock, readers beside it.

use crate::PersistentService;
use crate::checkpoint::Dirty;
use crate::command::Command;
use crate::metrics;
use crate::outcome::Response;
use crate::rules::{Touch, Touched};
use crate::snapshot;
use crate::state::State;
use arc_swap::ArcSwap;
use bytes::Bytes;
use muster_consensus::{Applied, Entry, Frozen, StateMachine};
use muster_model::{ChangeId, ChangeSink, ServiceKey, Trace};
use muster_runtime::HybridClock;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// The replicated state of this member.
pub(crate) struct Store {
    /// What readers see; written by `apply` and `restore` alone, under the writer's lock.
    published: papaya::HashMap<ServiceKey, Arc<PersistentService>>,
    switches: ArcSwap<BTreeMap<String, String>>,
    /// Held for a batch; `freeze` and a checkpoint hold it for a clone.
    writer: Mutex<Writer>,
    hybrid: HybridClock,
    changes: Arc<dyn ChangeSink>,
}

/// The state and how far it is, which move together.
struct Writer {
    state: State,
    applied: Option<Applied>,
    dirty: Dirty,
}

/// What one checkpoint has to write.
pub(crate) struct CheckpointWork {
    pub(crate) state: State,
    pub(crate) applied: Applied,
    pub(crate) dirty: Dirty,
}

impl Store {
    /// A store that holds what was found on disk.
    pub(crate) fn new(
        state: State,
        applied: Option<Applied>,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
    ) -> Self {
        let store = Self {
            published: papaya::HashMap::new(),
            switches: ArcSwap::new(state.switches.clone()),
            writer: Mutex::new(Writer {
                dirty: Dirty::since(&state),
                state: State::default(),
                applied,
            }),
            hybrid,
            changes,
        };
        store.hybrid.observe(state.stamp);
        store.publish(&State::default(), &state);
        store.writer.lock().state = state;
        store
    }

    pub(crate) fn service(&self, key: &ServiceKey) -> Option<Arc<PersistentService>> {
        self.published.pin().get(key).cloned()
    }

    pub(crate) fn services(&self) -> Vec<(ServiceKey, Arc<PersistentService>)> {
        let published = self.published.pin();
        published
            .iter()
            .map(|(key, service)| (key.clone(), service.clone()))
            .collect()
    }

    /// Visits the keys without copying them.
    pub(crate) fn for_each_key(&self, mut visit: impl FnMut(&ServiceKey)) {
        self.published.pin().keys().for_each(&mut visit);
    }

    pub(crate) fn switches(&self) -> BTreeMap<String, String> {
        (**self.switches.load()).clone()
    }

    pub(crate) fn hybrid(&self) -> &HybridClock {
        &self.hybrid
    }

    /// Takes what has changed since the last call; `None` if nothing has, not even the position.
    pub(crate) fn take_checkpoint_work(&self, last: Option<&Applied>) -> Option<CheckpointWork> {
        let mut writer = self.writer.lock();
        let applied = writer.applied.clone().filter(|applied| Some(applied) != last)?;
        let next = Dirty::since(&writer.state);
        Some(CheckpointWork {
            state: writer.state.clone(),
            applied,
            dirty: std::mem::replace(&mut writer.dirty, next),
        })
    }

    fn publish_service(&self, state: &State, key: &ServiceKey) {
        let published = self.published.pin();
        match state.service(key) {
            Some(service) => published.insert(key.clone(), service.clone()),
            None => published.remove(key),
        };
    }

    /// Publishes what differs between two states and answers its keys.
    fn publish(&self, from: &State, to: &State) -> Vec<ServiceKey> {
        let gone = from.services().filter(|(key, _)| to.service(key).is_none());
        let different = to
            .services()
            .filter(|(key, service)| from.service(key) != Some(service));
        let mut keys: Vec<_> = gone.chain(different).map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys.iter().for_each(|key| self.publish_service(to, key));
        self.switches.store(to.switches.clone());
        self.gauge(to);
        keys
    }

    fn gauge(&self, state: &State) {
        metrics::SERVICES.set(state.services_count() as i64);
        metrics::INSTANCES.set(state.instances_count() as i64);
    }

    fn apply_entry(&self, state: &mut State, entry: &Entry, touched: &mut Touched) -> Bytes {
        let response = match Command::decode(&entry.command) {
            Ok(command) => {
                self.hybrid.observe(command.stamp);
                let (index, outcome) = state.apply(entry.index, command, touched);
                if index != entry.index {
                    metrics::RETRIES_ANSWERED.inc();
                }
                Response::Done { index, outcome }
            }
            Err(malformed) => {
                metrics::UNKNOWN_COMMANDS.inc();
                tracing::warn!(index = entry.index, reason = %malformed, "unknown command on the log");
                Response::Unknown(malformed.to_string())
            }
        };
        response.encode()
    }

    fn notify(&self, service: &ServiceKey, touch: Touch, received: Instant, applied: Instant) {
        let id = ChangeId::Raft { index: touch.index };
        self.changes.changed(
            service,
            Trace {
                id,
                stamp: touch.stamp,
                received,
                applied,
            },
        );
    }
}

impl StateMachine for Store {
    fn applied(&self) -> Option<Applied> {
        self.writer.lock().applied.clone()
    }

    fn apply(&self, entries: Vec<Entry>, applied: Applied) -> io::Result<Vec<Bytes>> {
        let received = self.hybrid.clock().now();
        let mut touched = Touched::default();
        let responses = {
            let mut writer = self.writer.lock();
            let Writer { state, dirty, .. } = &mut *writer;
            let responses = entries
                .iter()
                .map(|entry| self.apply_entry(state, entry, &mut touched))
                .collect();
            touched.services.keys().for_each(|key| self.publish_service(state, key));
            if touched.switches {
                self.switches.store(state.switches.clone());
            }
            self.gauge(state);
            dirty.add(&mut touched);
            writer.applied = Some(applied);
            responses
        };
        let visible = self.hybrid.clock().now();
        for (service, touch) in &touched.services {
            self.notify(service, *touch, received, visible);
        }
        Ok(responses)
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        let writer = self.writer.lock();
        Box::new(FrozenStore {
            state: writer.state.clone(),
            applied: writer.applied.clone(),
        })
    }

    fn restore(&self, source: &mut dyn io::Read, applied: Applied) -> io::Result<()> {
        let received = self.hybrid.clock().now();
        let state = snapshot::read(source)?;
        let touch = Touch {
            index: applied.position.index,
            stamp: state.stamp,
        };
        self.hybrid.observe(state.stamp);
        let changed = {
            let mut writer = self.writer.lock();
            let changed = self.publish(&writer.state, &state);
            writer.state = state;
            writer.applied = Some(applied);
            writer.dirty.mark_everything();
            changed
        };
        let visible = self.hybrid.clock().now();
        for service in &changed {
            self.notify(service, touch, received, visible);
        }
        Ok(())
    }
}

struct FrozenStore {
    state: State,
    applied: Option<Applied>,
}

impl Frozen for FrozenStore {
    fn applied(&self) -> Option<Applied> {
        self.applied.clone()
    }

    fn write_to(self: Box<Self>, sink: &mut dyn io::Write) -> io::Result<()> {
        snapshot::write(&self.state, sink)
    }
}
