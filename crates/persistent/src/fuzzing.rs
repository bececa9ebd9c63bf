//! What is read of the log, of snapshots and of checkpoints, opened to the fuzz targets.

use crate::checkpoint::{self, Loading};
use crate::command::Command;
use crate::outcome::Response;
use crate::state::State;
use crate::store::Store;
use bytes::Bytes;
use muster_consensus::{Applied, Entry, LogPosition, StateMachine};
use muster_model::{ChangeSink, MemberId, ServiceKey, Trace};
use muster_runtime::{Clock, HybridClock};
use muster_storage::TableRecord;
use std::io;
use std::sync::Arc;

struct Nobody;

impl ChangeSink for Nobody {
    fn changed(&self, _service: &ServiceKey, _trace: Trace) {}
}

/// Reads a command as a member applies it and writes it again.
///
/// # Errors
/// Why this version does not know it.
pub fn read_and_write(command: &[u8]) -> Result<Bytes, String> {
    let command = Command::decode(command).map_err(|malformed| malformed.to_string())?;
    Ok(command.encode())
}

/// Reads the answer to a command and writes it again.
///
/// # Errors
/// Why it is not believed.
pub fn read_and_write_answer(answer: &[u8]) -> Result<Bytes, String> {
    let answer = Response::decode(answer).map_err(|malformed| malformed.to_string())?;
    Ok(answer.encode())
}

/// Reads the records of a checkpoint under their seal and writes them again.
///
/// # Errors
/// Why they are not believed.
pub fn read_and_write_checkpoint(
    records: Vec<TableRecord>,
    seal: &[u8],
) -> Result<(Vec<TableRecord>, Vec<u8>), String> {
    let mut loading = Loading::default();
    for (key, value) in records {
        loading.add(&key, value).map_err(|malformed| malformed.to_string())?;
    }
    let (state, applied) = loading.finish(seal).map_err(|malformed| malformed.to_string())?;
    let mut records: Vec<_> = checkpoint::everything(&state).collect();
    records.sort();
    Ok((records, checkpoint::seal(&state, &applied)))
}

/// The state machine in memory.
pub struct Machine {
    store: Store,
    next: u64,
}

impl Default for Machine {
    fn default() -> Self {
        let hybrid = HybridClock::new(Clock::system());
        Self {
            store: Store::new(State::default(), None, hybrid, Arc::new(Nobody)),
            next: 1,
        }
    }
}

fn at(index: u64) -> Applied {
    Applied {
        position: LogPosition {
            term: 1,
            leader: MemberId(1),
            index,
        },
        note: Bytes::new(),
    }
}

impl Machine {
    /// Applies commands as one batch; says of each whether it was known.
    pub fn apply(&mut self, commands: &[Bytes]) -> Vec<bool> {
        let Some(last) = (commands.len() as u64).checked_sub(1).map(|more| self.next + more) else {
            return Vec::new();
        };
        let entries = (self.next..).zip(commands);
        let entries = entries.map(|(index, command)| Entry {
            index,
            command: command.clone(),
        });
        let answers = self
            .store
            .apply(entries.collect(), at(last))
            .expect("it keeps all in memory");
        self.next = last + 1;
        let known = |answer: &Bytes| matches!(Response::decode(answer), Ok(Response::Done { .. }));
        answers.iter().map(known).collect()
    }

    /// What a snapshot of it holds.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.store.freeze().write_to(&mut bytes).expect("Vec takes all");
        bytes
    }

    /// Takes the state of a snapshot over.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn restore(&mut self, snapshot: &mut dyn io::Read) -> io::Result<()> {
        self.store.restore(snapshot, at(self.next))?;
        self.next += 1;
        Ok(())
    }

    /// The records and the seal of a whole checkpoint of it.
    pub fn checkpoint(&self) -> Option<(Vec<TableRecord>, Vec<u8>)> {
        let work = self.store.take_checkpoint_work(None)?;
        let seal = checkpoint::seal(&work.state, &work.applied);
        Some((checkpoint::everything(&work.state).collect(), seal))
    }

    /// The next command's time is later than all before it.
    pub fn clock_goes_on(&self) -> bool {
        self.store.hybrid().tick() < self.store.hybrid().tick()
    }
}

/// Commands as this version writes them, one of every kind.
pub fn samples() -> Vec<Bytes> {
    use crate::command::{Action, RequestId};
    use muster_model::{
        ClusterName, ClusterSettings, GroupName, Host, Instance, InstanceEdit, InstanceKey, Kind, Metadata,
        MetadataEdit, NamespaceId, ServiceName, ServiceSettings, Stamp, Weight,
    };
    let service = ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        ServiceName::parse("s").expect("a name"),
    );
    let key = InstanceKey::new(Host::parse("10.0.0.1").expect("an address"), 80);
    let metadata: Metadata = [("zone".to_owned(), "a".to_owned())].into_iter().collect();
    let cluster = ClusterName::parse("east").expect("a name");
    let instance = Instance {
        weight: Weight::new(2.5).expect("within bounds"),
        cluster: cluster.clone(),
        metadata: metadata.clone(),
        ..Instance::new(key.clone(), Kind::Persistent)
    };
    let edit = InstanceEdit {
        weight: Some(Weight::default()),
        enabled: Some(false),
        healthy: Some(true),
        metadata: Some(MetadataEdit::Merge(metadata.clone())),
    };
    let settings = ServiceSettings {
        protect_threshold: 0.5,
        metadata: metadata.clone(),
        clusters: [(cluster.clone(), ClusterSettings::default())].into(),
    };
    let actions = [
        Action::Register(service.clone(), instance),
        Action::Edit(service.clone(), key.clone(), edit),
        Action::CreateService(service.clone(), settings),
        Action::UpdateService {
            service: service.clone(),
            protect_threshold: 0.25,
            metadata,
            or_create: true,
        },
        Action::SetCluster(service.clone(), cluster, ClusterSettings::default()),
        Action::SetSwitch("healthCheckEnabled".into(), Some("false".into())),
        Action::SetSwitch("healthCheckEnabled".into(), None),
        Action::Deregister(service.clone(), key),
        Action::DeleteService(service),
    ];
    let command = |(sequence, action)| Command {
        id: RequestId { origin: 7, sequence },
        stamp: Stamp::from_millis(1_700_000_000_000),
        action,
    };
    (1..)
        .zip(actions)
        .map(command)
        .map(|command| command.encode())
        .collect()
}
