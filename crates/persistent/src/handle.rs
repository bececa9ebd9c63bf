//! The door to the replicated state.

use crate::checkpoint::Checkpointer;
use crate::command::{Action, Command, RequestId};
use crate::metrics;
use crate::outcome::Response;
use crate::proposer::Proposer;
use crate::store::Store;
use crate::{PersistentService, Rejection, WriteError};
use muster_consensus::{Committed, Consensus, ProposeError, StateMachine};
use muster_model::{
    ChangeId, ChangeSink, ClusterName, ClusterSettings, Instance, InstanceEdit, InstanceKey, Metadata, NamespaceId,
    ServiceKey, ServiceSettings,
};
use muster_runtime::{HybridClock, TaskKind, Tasks};
use muster_storage::{SledTables, TableConfig, TableError, Tables};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Between a proposal without an answer and the next try, so that a leader that is being elected is not stormed.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// How often what has changed is written to sled and synced.
    pub checkpoint_every: Duration,
    /// Memory that sled may use for its cache.
    pub sled_cache_bytes: u64,
}

/// The door to the replicated state. Cheap to clone.
#[derive(Clone)]
pub struct Persistent {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    proposer: OnceLock<Arc<dyn Proposer>>,
    /// With `sequence` the idempotence key; random, so that no two handles ever share one.
    origin: u64,
    sequence: AtomicU64,
    /// Held while a checkpoint is written.
    checkpointer: Arc<Mutex<Checkpointer>>,
}

impl Persistent {
    /// Loads the state from disk. The machine goes to [`Consensus::start`]; the handle answers reads at once and takes
    /// writes once [`Persistent::attach`] has been called. What was loaded is not told to `changes`.
    ///
    /// # Errors
    /// An unusable disk. A damaged checkpoint is none: it is put aside, counted, and rebuilt from snapshot and log.
    pub fn open(
        config: Config,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: &Tasks,
    ) -> io::Result<(Self, Arc<dyn StateMachine>)> {
        Self::open_on(Arc::new(SledTables), config, hybrid, changes, tasks)
    }

    /// As [`Persistent::open`], with tables of the caller's. For tests.
    ///
    /// # Errors
    /// As [`Persistent::open`].
    pub fn open_on(
        tables: Arc<dyn Tables>,
        config: Config,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
        tasks: &Tasks,
    ) -> io::Result<(Self, Arc<dyn StateMachine>)> {
        let (persistent, store) = Self::open_store(tables, &config, hybrid, changes)?;
        persistent.spawn_checkpoints(config.checkpoint_every, tasks);
        Ok((persistent, store))
    }

    pub(crate) fn open_store(
        tables: Arc<dyn Tables>,
        config: &Config,
        hybrid: HybridClock,
        changes: Arc<dyn ChangeSink>,
    ) -> io::Result<(Self, Arc<Store>)> {
        metrics::show();
        let table = TableConfig {
            dir: config.data_dir.join("state"),
            cache_bytes: config.sled_cache_bytes,
        };
        let (checkpointer, state) = Checkpointer::open(tables, table).map_err(table_error)?;
        let applied = checkpointer.last().cloned();
        let store = Arc::new(Store::new(state, applied, hybrid, changes));
        let inner = Inner {
            store: store.clone(),
            proposer: OnceLock::new(),
            origin: RandomState::new().hash_one(config.data_dir.as_os_str()),
            sequence: AtomicU64::new(0),
            checkpointer: Arc::new(Mutex::new(checkpointer)),
        };
        Ok((Self { inner: Arc::new(inner) }, store))
    }

    fn spawn_checkpoints(&self, every: Duration, tasks: &Tasks) {
        let persistent = self.clone();
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("persistent checkpoint", TaskKind::Contained, async move {
            let mut last = false;
            while !last {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = shutdown.begun() => last = true,
                }
                if let Err(error) = persistent.checkpoint().await {
                    tracing::error!(%error, "checkpoint of the replicated state failed; the next one starts over");
                }
            }
        });
    }

    /// Gives the handle the group to propose to. The first one given stays.
    pub fn attach(&self, consensus: Consensus) {
        self.attach_proposer(Arc::new(consensus));
    }

    pub(crate) fn attach_proposer(&self, proposer: Arc<dyn Proposer>) {
        if self.inner.proposer.set(proposer).is_err() {
            tracing::warn!("a second consensus group was offered and not taken");
        }
    }

    /// Writes and syncs what has changed since the last checkpoint, now. For the end of the drain, after consensus has
    /// stopped; otherwise it happens every `checkpoint_every` and when shutdown begins.
    ///
    /// # Errors
    /// Those of the disk. Nothing is lost by one: snapshot and log hold the state.
    pub async fn checkpoint(&self) -> io::Result<()> {
        let mut checkpointer = self.inner.checkpointer.clone().lock_owned().await;
        // Begun here: the thread that writes has stepped back, and could be put off while it keeps the state from its writer.
        let Some(checkpoint) = checkpointer.begin(&self.inner.store) else {
            return Ok(());
        };
        let written = muster_runtime::background(move || checkpointer.write(checkpoint)).await;
        written?.map_err(table_error)
    }

    /// Adds or replaces an instance.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn register(
        &self,
        service: &ServiceKey,
        instance: Instance,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        self.write(Action::Register(service.clone(), instance), deadline).await
    }

    /// Removes an instance; one that is not there is well, and answers `None`.
    ///
    /// # Errors
    /// [`WriteError::Propose`].
    pub async fn deregister(
        &self,
        service: &ServiceKey,
        key: &InstanceKey,
        deadline: Instant,
    ) -> Result<Option<ChangeId>, WriteError> {
        let action = Action::Deregister(service.clone(), key.clone());
        let (index, changed) = self.answered(action, deadline).await?;
        Ok(changed.then_some(ChangeId::Raft { index }))
    }

    /// # Errors
    /// [`WriteError`], [`Rejection::InstanceNotFound`] among them.
    pub async fn edit(
        &self,
        service: &ServiceKey,
        key: &InstanceKey,
        edit: InstanceEdit,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        self.write(Action::Edit(service.clone(), key.clone(), edit), deadline)
            .await
    }

    /// Creates a service without instances. One that only its instances made is taken over, not refused; clusters that
    /// were set before and that `settings` does not name stay.
    ///
    /// # Errors
    /// [`WriteError`], [`Rejection::ServiceExists`] among them.
    pub async fn create_service(
        &self,
        service: &ServiceKey,
        settings: ServiceSettings,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        self.write(Action::CreateService(service.clone(), settings), deadline)
            .await
    }

    /// Replaces threshold and metadata of a service and keeps its clusters' settings. `or_create` makes a record for a
    /// service that only ephemeral instances made, if there is anything to record.
    ///
    /// # Errors
    /// [`WriteError`], [`Rejection::ServiceNotFound`] among them.
    pub async fn update_service(
        &self,
        service: &ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let action = Action::UpdateService {
            service: service.clone(),
            protect_threshold,
            metadata,
            or_create,
        };
        self.write(action, deadline).await
    }

    /// Removes a service that has no persistent instances.
    ///
    /// # Errors
    /// [`WriteError`], [`Rejection::ServiceNotFound`] and [`Rejection::ServiceNotEmpty`] among them.
    pub async fn delete_service(&self, service: &ServiceKey, deadline: Instant) -> Result<ChangeId, WriteError> {
        self.write(Action::DeleteService(service.clone()), deadline).await
    }

    /// Replaces the settings of one cluster of a service; creates the service's record if there is none.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn set_cluster(
        &self,
        service: &ServiceKey,
        cluster: &ClusterName,
        settings: ClusterSettings,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        let action = Action::SetCluster(service.clone(), cluster.clone(), settings);
        self.write(action, deadline).await
    }

    /// Sets a switch of the whole cluster; `None` gives it its default back. Meaning and validation are `naming`'s.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn set_switch(
        &self,
        entry: &str,
        value: Option<String>,
        deadline: Instant,
    ) -> Result<ChangeId, WriteError> {
        self.write(Action::SetSwitch(entry.to_owned(), value), deadline).await
    }

    /// What this member holds of a service, from memory.
    pub fn service(&self, service: &ServiceKey) -> Option<Arc<PersistentService>> {
        self.inner.store.service(service)
    }

    /// All services this member holds, in no order.
    pub fn services(&self) -> Vec<(ServiceKey, Arc<PersistentService>)> {
        self.inner.store.services()
    }

    /// Namespaces that hold a service, sorted.
    pub fn namespaces(&self) -> Vec<NamespaceId> {
        let mut namespaces = BTreeSet::new();
        self.inner.store.for_each_key(|key| {
            if !namespaces.contains(key.namespace()) {
                namespaces.insert(key.namespace().clone());
            }
        });
        namespaces.into_iter().collect()
    }

    /// The switches that are not at their default.
    pub fn switches(&self) -> BTreeMap<String, String> {
        self.inner.store.switches()
    }

    /// Waits until everything committed by now is visible here (`consistency=strong`).
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn read_barrier(&self, deadline: Instant) -> Result<u64, ProposeError> {
        self.proposer()?.read_barrier(deadline).await
    }

    fn proposer(&self) -> Result<&Arc<dyn Proposer>, ProposeError> {
        let not_yet = || ProposeError::Stopped("it is still starting".to_owned());
        self.inner.proposer.get().ok_or_else(not_yet)
    }

    async fn write(&self, action: Action, deadline: Instant) -> Result<ChangeId, WriteError> {
        let (index, _) = self.answered(action, deadline).await?;
        Ok(ChangeId::Raft { index })
    }

    /// Has the action carried out; answers the index it took effect at and whether anything changed.
    async fn answered(&self, action: Action, deadline: Instant) -> Result<(u64, bool), WriteError> {
        let command = Command {
            id: RequestId {
                origin: self.inner.origin,
                sequence: self.inner.sequence.fetch_add(1, Ordering::Relaxed),
            },
            stamp: self.inner.store.hybrid().tick(),
            action,
        };
        let committed = self.propose(&command, deadline).await?;
        let response = Response::decode(&committed.response)
            .map_err(|malformed| Rejection::UnknownCommand(format!("the answer is not understood: {malformed}")))?;
        response.to_caller(&command.action)
    }

    /// Proposes until there is an answer or no time. The idempotence key makes the repetition harmless, and with it an
    /// unknown outcome becomes a known one wherever a leader is found in time.
    async fn propose(&self, command: &Command, deadline: Instant) -> Result<Committed, ProposeError> {
        let proposer = self.proposer()?;
        let clock = self.inner.store.hybrid().clock();
        let bytes = command.encode();
        let start = clock.now();
        let mut outcome_unknown = false;
        loop {
            let error = match proposer.propose(bytes.clone(), deadline).await {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            outcome_unknown |= matches!(error, ProposeError::OutcomeUnknown { .. });
            if !outcome_unknown {
                return Err(error);
            }
            // an earlier copy may be carried out yet, whatever became of this one
            if clock.now() + RETRY_PAUSE >= deadline || matches!(error, ProposeError::Stopped(_)) {
                let waited = clock.now() - start;
                return Err(ProposeError::OutcomeUnknown { waited });
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

fn table_error(error: TableError) -> io::Error {
    match error {
        TableError::InUse { .. } => io::Error::new(io::ErrorKind::ResourceBusy, error),
        TableError::Io { ref source, .. } => io::Error::new(source.kind(), error),
        TableError::Damaged { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
