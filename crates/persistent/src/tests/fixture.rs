//! Parts that the tests share: stores without a disk, a sink that listens, a group of one that can fail.

use crate::command::{Action, Command, RequestId};
use crate::outcome::Response;
use crate::proposer::{Answer, Proposer};
use crate::state::State;
use crate::store::Store;
use crate::{Config, Persistent};
use bytes::Bytes;
use muster_consensus::{Applied, Committed, Entry, LogPosition, ProposeError, StateMachine};
use muster_model::{
    ChangeSink, GroupName, Host, Instance, InstanceKey, Kind, MemberId, NamespaceId, ServiceKey, ServiceName, Stamp,
    Trace,
};
use muster_runtime::{Clock, HybridClock};
use muster_storage::{SledTables, Tables};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) fn service(name: &str) -> ServiceKey {
    let name = ServiceName::parse(name).unwrap();
    ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name)
}

pub(super) fn key(port: u16) -> InstanceKey {
    InstanceKey::new(Host::parse("10.0.0.1").unwrap(), port)
}

pub(super) fn instance(port: u16) -> Instance {
    Instance::new(key(port), Kind::Persistent)
}

pub(super) fn command(sequence: u64, action: Action) -> Command {
    Command {
        id: RequestId { origin: 1, sequence },
        stamp: Stamp::from_millis(1_000 + sequence),
        action,
    }
}

pub(super) fn at(index: u64) -> Applied {
    Applied {
        position: LogPosition {
            term: 1,
            leader: MemberId(1),
            index,
        },
        note: Bytes::from(format!("members at {index}")),
    }
}

#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<(ServiceKey, Trace)>>);

impl ChangeSink for Heard {
    fn changed(&self, service: &ServiceKey, trace: Trace) {
        self.0.lock().push((service.clone(), trace));
    }
}

impl Heard {
    pub(super) fn take(&self) -> Vec<(ServiceKey, Trace)> {
        std::mem::take(&mut self.0.lock())
    }
}

pub(super) fn hybrid() -> HybridClock {
    HybridClock::new(Clock::system())
}

pub(super) fn store() -> (Store, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    (Store::new(State::default(), None, hybrid(), heard.clone()), heard)
}

/// Applies the actions as one batch that ends at index `first + actions - 1`.
pub(super) fn apply(store: &Store, first: u64, actions: &[Action]) -> Vec<Response> {
    let commands: Vec<_> = (first..)
        .zip(actions)
        .map(|(index, action)| command(index, action.clone()))
        .collect();
    apply_commands(store, first, commands.iter().map(Command::encode).collect())
}

pub(super) fn apply_commands(store: &Store, first: u64, commands: Vec<Bytes>) -> Vec<Response> {
    let last = first + commands.len() as u64 - 1;
    let entries = (first..)
        .zip(commands)
        .map(|(index, command)| Entry { index, command })
        .collect();
    let responses = store.apply(entries, at(last)).unwrap();
    responses
        .iter()
        .map(|response| Response::decode(response).unwrap())
        .collect()
}

pub(super) fn frozen(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.freeze().write_to(&mut bytes).unwrap();
    bytes
}

pub(super) fn open(dir: &Path) -> (Persistent, Arc<Store>) {
    open_on(Arc::new(SledTables), dir).unwrap()
}

pub(super) fn open_on(tables: Arc<dyn Tables>, dir: &Path) -> std::io::Result<(Persistent, Arc<Store>)> {
    let config = Config {
        data_dir: dir.to_owned(),
        checkpoint_every: Duration::from_secs(1),
        sled_cache_bytes: 8 * 1024 * 1024,
    };
    Persistent::open_store(tables, &config, hybrid(), Arc::new(Heard::default()))
}

/// A group of one that commits in the order it is asked, after the failures it was told of.
pub(super) struct FakeGroup {
    pub(super) store: Arc<Store>,
    pub(super) index: Mutex<u64>,
    /// What the next proposals come to; nothing left means well.
    pub(super) failures: Mutex<VecDeque<Failure>>,
}

pub(super) enum Failure {
    /// Nothing is done.
    NoLeader,
    /// It is committed, and nobody says so.
    AnswerLost,
    /// Nothing is done, and nobody says so.
    ProposalLost,
}

impl FakeGroup {
    pub(super) fn new(store: Arc<Store>, failures: impl IntoIterator<Item = Failure>) -> Arc<Self> {
        Arc::new(Self {
            store,
            index: Mutex::new(0),
            failures: Mutex::new(failures.into_iter().collect()),
        })
    }

    fn commit(&self, command: Bytes) -> Committed {
        let mut index = self.index.lock();
        *index += 1;
        let entry = Entry { index: *index, command };
        let mut responses = self.store.apply(vec![entry], at(*index)).unwrap();
        Committed {
            index: *index,
            response: responses.remove(0),
        }
    }
}

impl Proposer for FakeGroup {
    fn propose(&self, command: Bytes, _deadline: Instant) -> Answer<'_, Committed> {
        let waited = Duration::from_millis(1);
        let outcome = match self.failures.lock().pop_front() {
            None => Ok(self.commit(command)),
            Some(Failure::NoLeader) => Err(ProposeError::NoLeader { waited }),
            Some(Failure::ProposalLost) => Err(ProposeError::OutcomeUnknown { waited }),
            Some(Failure::AnswerLost) => {
                self.commit(command);
                Err(ProposeError::OutcomeUnknown { waited })
            }
        };
        Box::pin(std::future::ready(outcome))
    }

    fn read_barrier(&self, _deadline: Instant) -> Answer<'_, u64> {
        Box::pin(std::future::ready(Ok(*self.index.lock())))
    }
}
