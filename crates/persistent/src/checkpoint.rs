//! The state in a table, sled's in a process: what has changed since the last checkpoint, written and synced off the apply path.
//!
//! ```text
//! s namespace 0 group 0 name               -> service without instances
//! i namespace 0 group 0 name 0 host 0 port -> instance
//! r number                                 -> block of remembered answers
//! w                                        -> switches
//! seal                                     -> position, note, and how much of everything there is
//! ```
//! Names hold no control characters, so the zeros part them.

use crate::PersistentService;
use crate::metrics;
use crate::record::{InstanceRecord, Malformed, ServiceKeyRecord, ServiceRecord, SwitchesRecord};
use crate::rules::Touched;
use crate::snapshot::{head_record, service_of};
use crate::state::State;
use crate::store::{CheckpointWork, Store};
use crate::window::{BLOCK, CAPACITY, Window};
use bytes::Bytes;
use muster_consensus::{Applied, LogPosition};
use muster_model::{Instance, InstanceKey, MemberId, ServiceKey, Stamp};
use muster_storage::{StateTable, TableChanges, TableConfig, TableError, TableRecord, Tables};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Changed keys remembered between two checkpoints; past that the next one writes everything, which costs no more.
const DIRTY_KEYS_MAX: usize = 500_000;
const SEAL_VERSION: u32 = 1;

/// What has changed since a checkpoint.
#[derive(Debug)]
pub(crate) struct Dirty {
    everything: bool,
    heads: HashSet<ServiceKey>,
    instances: HashSet<(ServiceKey, InstanceKey)>,
    switches: bool,
    /// How many answers had been remembered.
    answers_from: u64,
}

impl Dirty {
    /// Nothing has changed since `state`.
    pub(crate) fn since(state: &State) -> Self {
        Self {
            everything: false,
            heads: HashSet::new(),
            instances: HashSet::new(),
            switches: false,
            answers_from: state.window.next(),
        }
    }

    /// Notes what a batch has changed, and takes its lists.
    pub(crate) fn add(&mut self, touched: &mut Touched) {
        if self.everything {
            return;
        }
        self.heads.extend(std::mem::take(&mut touched.heads));
        self.instances.extend(std::mem::take(&mut touched.instances));
        self.switches |= touched.switches;
        if self.heads.len() + self.instances.len() > DIRTY_KEYS_MAX {
            self.mark_everything();
        }
    }

    pub(crate) fn mark_everything(&mut self) {
        self.everything = true;
        self.heads = HashSet::new();
        self.instances = HashSet::new();
    }
}

/// Writes checkpoints.
pub(crate) struct Checkpointer {
    tables: Arc<dyn Tables>,
    config: TableConfig,
    /// None while a checkpoint is under way, and after one that came to nothing: what is on disk is then unknown, and the next
    /// starts over.
    table: Option<Box<dyn StateTable>>,
    last: Option<Applied>,
}

/// A checkpoint that is yet to be written. One that is dropped instead came to nothing.
pub(crate) struct Checkpoint {
    work: CheckpointWork,
    table: Option<Box<dyn StateTable>>,
}

impl Checkpointer {
    /// Opens the table and loads the state. A damaged one is put aside, counted, and the state is empty.
    pub(crate) fn open(tables: Arc<dyn Tables>, config: TableConfig) -> Result<(Self, State), TableError> {
        let (table, state, last) = match load(&*tables, &config) {
            Err(TableError::Damaged { path, reason }) => {
                metrics::REBUILT.inc();
                tracing::error!(path = %path.display(), reason, "checkpoint is damaged: put aside, rebuilding from snapshot and log");
                (tables.start_over(&config)?, State::default(), None)
            }
            loaded => loaded?,
        };
        let checkpointer = Self {
            tables,
            config,
            table: Some(table),
            last,
        };
        Ok((checkpointer, state))
    }

    /// How far the state on disk is.
    pub(crate) fn last(&self) -> Option<&Applied> {
        self.last.as_ref()
    }

    /// Takes what has changed, if anything has. Quick: it holds up whoever applies writes.
    pub(crate) fn begin(&mut self, store: &Store) -> Option<Checkpoint> {
        let work = store.take_checkpoint_work(self.last.as_ref())?;
        self.last = None;
        Some(Checkpoint {
            work,
            table: self.table.take(),
        })
    }

    /// Writes and syncs it. Blocks on the disk. A sync that failed once may answer well later without having kept the bytes,
    /// so nothing is trusted after an error.
    pub(crate) fn write(&mut self, checkpoint: Checkpoint) -> Result<(), TableError> {
        let timer = metrics::CHECKPOINT_SECONDS.start_timer();
        let Checkpoint { work, table } = checkpoint;
        let written = self.write_to(table, &work);
        match written {
            Ok(table) => {
                timer.observe_duration();
                metrics::DISK_BYTES.set(table.disk_bytes() as i64);
                self.table = Some(table);
                self.last = Some(work.applied);
                Ok(())
            }
            Err(error) => {
                timer.stop_and_discard();
                metrics::CHECKPOINT_FAILURES.inc();
                Err(error)
            }
        }
    }

    fn write_to(
        &self,
        table: Option<Box<dyn StateTable>>,
        work: &CheckpointWork,
    ) -> Result<Box<dyn StateTable>, TableError> {
        let seal = seal(&work.state, &work.applied);
        let (mut table, fresh) = match table {
            Some(table) => (table, false),
            None => (self.tables.start_over(&self.config)?, true),
        };
        if fresh || work.dirty.everything {
            table.replace(&mut everything(&work.state), &seal)?;
        } else {
            table.checkpoint(&changes(&work.state, &work.dirty), &seal)?;
        }
        Ok(table)
    }
}

type Loaded = (Box<dyn StateTable>, State, Option<Applied>);

fn load(tables: &dyn Tables, config: &TableConfig) -> Result<Loaded, TableError> {
    let table = tables.open(config)?;
    let mut loading = Loading::default();
    let seal = table.load(&mut |key, value| loading.add(key, value).map_err(|malformed| malformed.0))?;
    let Some(seal) = seal else {
        return Ok((table, State::default(), None));
    };
    let loaded = loading.finish(&seal).map_err(|malformed| TableError::Damaged {
        path: config.dir.clone(),
        reason: malformed.0,
    });
    loaded.map(|(state, applied)| (table, state, Some(applied)))
}

fn service_key(tag: u8, key: &ServiceKey) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(key.namespace().as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.group().as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.name().as_str().as_bytes());
    bytes
}

fn instance_key(service: &ServiceKey, key: &InstanceKey) -> Vec<u8> {
    let mut bytes = service_key(b'i', service);
    bytes.push(0);
    bytes.extend_from_slice(key.host.as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&key.port.to_be_bytes());
    bytes
}

fn head(key: &ServiceKey, service: &PersistentService) -> TableRecord {
    (service_key(b's', key), head_record(service).encode_to_vec())
}

fn instance(service: &ServiceKey, instance: &Instance) -> TableRecord {
    let value = InstanceRecord::from(instance).encode_to_vec();
    (instance_key(service, &instance.key), value)
}

fn switches(state: &State) -> TableRecord {
    let values = (*state.switches).clone();
    (vec![b'w'], SwitchesRecord { values }.encode_to_vec())
}

fn answers(state: &State, block: u64) -> TableRecord {
    (vec![b'r', block as u8], state.window.encode_block(block))
}

fn changes(state: &State, dirty: &Dirty) -> TableChanges {
    let mut changes = TableChanges::default();
    for key in &dirty.heads {
        match state.service(key) {
            Some(service) => changes.put.push(head(key, service)),
            None => changes.remove.push(service_key(b's', key)),
        }
    }
    for (service, key) in &dirty.instances {
        match state.service(service).and_then(|it| it.instances.get(key)) {
            Some(held) => changes.put.push(instance(service, held)),
            None => changes.remove.push(instance_key(service, key)),
        }
    }
    if dirty.switches {
        changes.put.push(switches(state));
    }
    let blocks = state.window.blocks_since(dirty.answers_from);
    changes.put.extend(blocks.map(|block| answers(state, block)));
    changes
}

pub(crate) fn everything(state: &State) -> impl Iterator<Item = TableRecord> {
    let services = state.services().flat_map(|(key, service)| {
        let instances = service.instances.values().map(move |it| instance(key, it));
        std::iter::once(head(key, service)).chain(instances)
    });
    let blocks = (0..CAPACITY / BLOCK).map(|block| answers(state, block));
    services.chain(std::iter::once(switches(state))).chain(blocks)
}

#[derive(Clone, PartialEq, Message)]
struct SealRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(uint64, tag = "3")]
    leader: u64,
    #[prost(uint64, tag = "4")]
    index: u64,
    #[prost(bytes = "bytes", tag = "5")]
    note: Bytes,
    #[prost(uint64, tag = "6")]
    stamp: u64,
    #[prost(uint64, tag = "7")]
    services: u64,
    #[prost(uint64, tag = "8")]
    instances: u64,
    #[prost(uint64, tag = "9")]
    switches: u64,
    #[prost(uint64, tag = "10")]
    answers_ever: u64,
}

pub(crate) fn seal(state: &State, applied: &Applied) -> Vec<u8> {
    let record = SealRecord {
        version: SEAL_VERSION,
        term: applied.position.term,
        leader: applied.position.leader.0,
        index: applied.position.index,
        note: applied.note.clone(),
        stamp: state.stamp.0,
        services: state.services_count(),
        instances: state.instances_count(),
        switches: state.switches.len() as u64,
        answers_ever: state.window.next(),
    };
    record.encode_to_vec()
}

/// Records as they come from the table: an instance may come before its service.
#[derive(Default)]
pub(crate) struct Loading {
    heads: HashMap<ServiceKey, PersistentService>,
    instances: HashMap<ServiceKey, Vec<Arc<Instance>>>,
    switches: SwitchesRecord,
    answers: Vec<Vec<u8>>,
}

impl Loading {
    pub(crate) fn add(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), Malformed> {
        let wrong = |error| Malformed::of("record", error);
        match key.split_first() {
            Some((b's', rest)) => {
                let service = service_of(ServiceRecord::decode(value.as_slice()).map_err(wrong)?)?;
                self.heads.insert(parse_service_key(rest)?.0, service);
            }
            Some((b'i', rest)) => {
                let record = InstanceRecord::decode(value.as_slice()).map_err(wrong)?;
                let (service, _) = parse_service_key(rest)?;
                let instance = Instance::try_from(record)?;
                self.instances.entry(service).or_default().push(Arc::new(instance));
            }
            Some((b'w', [])) => self.switches = SwitchesRecord::decode(value.as_slice()).map_err(wrong)?,
            Some((b'r', [_])) => self.answers.push(value),
            _ => return Err(Malformed("a record of an unknown kind".to_owned())),
        }
        Ok(())
    }

    pub(crate) fn finish(mut self, seal: &[u8]) -> Result<(State, Applied), Malformed> {
        let seal = SealRecord::decode(seal).map_err(|error| Malformed::of("seal", error))?;
        if seal.version != SEAL_VERSION {
            let version = seal.version;
            return Err(Malformed(format!(
                "checkpoint version {version}, this node knows {SEAL_VERSION}"
            )));
        }
        for (key, instances) in self.instances {
            let service = self
                .heads
                .get_mut(&key)
                .ok_or_else(|| Malformed(format!("no record of service {key}")))?;
            service
                .instances
                .extend(instances.into_iter().map(|it| (it.key.clone(), it)));
        }
        let answers = self.answers.iter().map(Vec::as_slice);
        let mut state = State::default();
        state.switches = Arc::new(self.switches.values);
        state.window = Arc::new(Window::decode(answers, seal.answers_ever)?);
        state.stamp = Stamp(seal.stamp);
        for (key, service) in self.heads {
            state.insert(key, service);
        }
        let found = (
            state.services_count(),
            state.instances_count(),
            state.switches.len() as u64,
        );
        let expected = (seal.services, seal.instances, seal.switches);
        if found != expected {
            return Err(Malformed(format!(
                "services, instances and switches are {found:?} instead of {expected:?}"
            )));
        }
        let position = LogPosition {
            term: seal.term,
            leader: MemberId(seal.leader),
            index: seal.index,
        };
        Ok((
            state,
            Applied {
                position,
                note: seal.note,
            },
        ))
    }
}

/// The service key at the start of a record's key, and what follows it.
fn parse_service_key(bytes: &[u8]) -> Result<(ServiceKey, &[u8]), Malformed> {
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let mut text = || {
        let part = parts.next().unwrap_or_default();
        String::from_utf8(part.to_vec()).map_err(|error| Malformed::of("record key", error))
    };
    let record = ServiceKeyRecord {
        namespace: text()?,
        group: text()?,
        name: text()?,
    };
    Ok((record.try_into()?, parts.next().unwrap_or_default()))
}
