//! The door to the group: starting, proposing, reading, stopping.

use crate::config::{Config, StartError, Sync};
use crate::error::ProposeError;
use crate::forward::{Answers, Ask, HelloAnswer, Nothing, Outcome, Request};
use crate::leading::Leading;
use crate::log_store::{LogStore, blocking, flushed};
use crate::machine::StateMachine;
use crate::network::Network;
use crate::proposals::{self, Packer, Proposal};
use crate::reached::Reached;
use crate::state::State;
use crate::status::{Role, Status};
use crate::types::{Metrics, Raft};
use crate::{founding, metrics, wire};
use bytes::Bytes;
use muster_model::MemberId;
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks};
use muster_storage::{Disk, Identity, IdentityError, LogConfig, LogError, RaftLog, RealDisk, Snapshots};
use muster_transport::{Boxed, Handler, HandlerError, Route, Transport};
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

/// Waits between tries of something that was certainly not done.
const BACK_OFF_MIN: Duration = Duration::from_millis(5);
const BACK_OFF_MAX: Duration = Duration::from_millis(50);
/// One try of what is harmless to repeat; a leader that is cut off must not use up the whole deadline.
const HARMLESS_TRY: Duration = Duration::from_secs(1);
/// Indexes move thousands of times a second; watchers hear of it five times.
const STATUS_EVERY: Duration = Duration::from_millis(200);
/// A look at least this often, though nothing has changed.
const STATUS_QUIET_EVERY: Duration = Duration::from_millis(500);
/// Least time between two looks at openraft's metrics.
const STATUS_LOOK: Duration = Duration::from_millis(20);
/// How long whoever has written waits for the member that he asked, once the leader has his write: a round trip, unless that
/// member is slow or cut off.
const SHOWN_HERE_WITHIN: Duration = Duration::from_millis(500);
/// For handing leadership over at the end.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);

/// A command that was committed and applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    pub index: u64,
    /// What the state machine answered.
    pub response: Bytes,
}

/// The door to the group. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Clock,
    pub(crate) raft: Raft,
    pub(crate) leading: Arc<Leading>,
    pub(crate) log: Arc<RaftLog>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Bounded by `permits`: who sends holds one.
    queue: mpsc::Sender<Proposal>,
    permits: Semaphore,
    /// Packs that others forwarded; as many commands as may wait here.
    forwarded: Semaphore,
    reached: Reached,
    /// One change of the membership at a time, on the leader.
    pub(crate) changing: Semaphore,
    status: watch::Sender<Status>,
    /// Founders that were without a group at some time since this member started; see [`founding`].
    pub(crate) blank: Mutex<BTreeSet<u64>>,
    /// The group has gone on without this member; see [`standing`](crate::standing).
    pub(crate) removed: AtomicBool,
    pub(crate) fatal: Fatal,
    pub(crate) ending: Shutdown,
}

/// The reason why this member stopped, from wherever it came first.
#[derive(Clone, Default)]
pub(crate) struct Fatal {
    reason: Arc<Mutex<Option<String>>>,
    told: Arc<Notify>,
}

impl Fatal {
    pub(crate) fn set(&self, reason: String) {
        self.reason.lock().get_or_insert(reason);
        self.told.notify_one();
    }

    fn get(&self) -> Option<String> {
        self.reason.lock().clone()
    }
}

impl Consensus {
    /// Opens the log, recovers, starts taking part and, on a first start, founds the group with `config.founders`.
    ///
    /// Returns once this member's own state is loaded; founding and finding a leader go on meanwhile.
    ///
    /// # Errors
    /// What keeps this member from starting: a log that is damaged anywhere but in its torn tail, a data folder of another
    /// member, an unusable disk.
    pub async fn start(
        config: Config,
        transport: Arc<dyn Transport>,
        machine: Arc<dyn StateMachine>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        Self::start_on(Arc::new(RealDisk), config, transport, machine, clock, tasks).await
    }

    /// As [`Consensus::start`], on a disk of the caller's. For tests.
    ///
    /// # Errors
    /// As [`Consensus::start`].
    pub async fn start_on(
        disk: Arc<dyn Disk>,
        config: Config,
        transport: Arc<dyn Transport>,
        machine: Arc<dyn StateMachine>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        if config.sync == Sync::Never {
            tracing::error!("the raft log is not synced: a crash of the machine loses acknowledged writes");
        }
        if config.founders.is_empty() {
            return Err(StartError::Refused(
                "no founders are named; an empty member has nobody to ask".into(),
            ));
        }
        metrics::UNSYNCED.set((config.sync == Sync::Never).into());
        let fatal = Fatal::default();
        let opened = {
            let (disk, config, fatal) = (disk.clone(), config.clone(), fatal.clone());
            muster_runtime::blocking(move || Opened::open(disk, &config, fatal))
                .await
                .map_err(|error| StartError::Refused(error.to_string()))??
        };
        let Opened {
            log,
            snapshots,
            identity,
        } = opened;
        let unreadable = |source| StartError::Io {
            path: config.data_dir.clone(),
            source,
        };
        let forgotten = log.state().is_pristine();
        if forgotten && machine.applied().is_some() {
            return Err(StartError::Refused(
                "the data folder holds a state but an empty raft log: what this member promised the cluster is lost; restore \
                 the log, or empty the folder so that the member rejoins as an empty one"
                    .into(),
            ));
        }
        let state = State::new(machine, snapshots.clone()).map_err(&unreadable)?;
        state.cover(&log).await.map_err(unreadable)?;
        let reached = state.reached();
        let network = Network {
            transport: transport.clone(),
            append_within: config.election_min,
        };
        let store = LogStore::of_member(log.clone(), config.local.id.0);
        let raft = Raft::new(config.local.id.0, Arc::new(config.raft()?), network, store, state)
            .await
            .map_err(|error| StartError::Refused(error.to_string()))?;
        if alone(&current(&raft), config.local.id) {
            // Nobody else can lead, and there is nobody to wait for.
            let elected = raft.trigger().elect(false).await;
            elected.map_err(|error| StartError::Refused(error.to_string()))?;
        }

        let waiting_max = config.proposals_waiting_max.clamp(1, Semaphore::MAX_PERMITS);
        let (queue, waiting) = mpsc::channel(waiting_max);
        let (status, _) = watch::channel(Status::new(&current(&raft), None, None));
        let leading = Arc::new(Leading::new(
            raft.clone(),
            config.local.id,
            clock.clone(),
            config.election_max,
        ));
        let inner = Arc::new(Inner {
            transport,
            clock: clock.clone(),
            raft: raft.clone(),
            leading: leading.clone(),
            log,
            disk,
            queue,
            permits: Semaphore::new(waiting_max),
            forwarded: Semaphore::new(waiting_max),
            reached,
            changing: Semaphore::new(1),
            status,
            blank: Mutex::default(),
            removed: AtomicBool::new(false),
            fatal,
            ending: Shutdown::new(),
            config,
        });
        let door: Arc<dyn Handler> = Arc::new(Forwarded(Arc::downgrade(&inner)));
        inner.transport.serve(Route::RaftForward, door);

        let packer = Packer {
            raft,
            leading,
            transport: inner.transport.clone(),
            clock,
        };
        let ending = inner.ending.clone();
        tasks.spawn("raft-proposals", TaskKind::Critical, async move {
            tokio::select! {
                () = packer.run(waiting) => {}
                () = ending.begun() => {}
            }
        });
        tasks.spawn("raft-status", TaskKind::Critical, tell_status(inner.clone()));
        tasks.spawn(
            "raft-founding",
            TaskKind::Critical,
            founding::run(inner.clone(), snapshots, identity, forgotten),
        );
        Ok(Self { inner })
    }

    /// Has `command` committed and applied; forwards it if another member leads. Returns when the leader has applied it, and
    /// this member too unless it lags by more than a moment, or at `deadline`. Commands of one or many callers are committed
    /// together.
    ///
    /// # Errors
    /// [`ProposeError`]; only `OutcomeUnknown` leaves open whether the command takes effect.
    pub async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Committed, ProposeError> {
        let result = self.inner.propose(command, deadline).await;
        let label = result.as_ref().map_or_else(ProposeError::label, |_| "committed");
        metrics::PROPOSALS.with_label_values(&[label]).inc();
        result
    }

    /// Waits until this member has applied everything that was committed when the call was made (read index).
    ///
    /// # Errors
    /// As [`Consensus::propose`]; never `OutcomeUnknown`.
    pub async fn read_barrier(&self, deadline: Instant) -> Result<u64, ProposeError> {
        let inner = &self.inner;
        let started = inner.clock.now();
        let index = match inner.ask(Ask::ReadIndex(Nothing {}), deadline, Repeat::Harmless).await {
            Ok(Outcome::Index(index)) => index,
            Ok(Outcome::Refused(reason)) => return Err(ProposeError::Stopped(reason)),
            Err(error @ (ProposeError::Overloaded { .. } | ProposeError::Stopped(_))) => return Err(error),
            Ok(_) | Err(_) => return Err(inner.no_leader(started)),
        };
        if inner.applied_here(index, deadline).await {
            Ok(index)
        } else {
            Err(inner.no_leader(started))
        }
    }

    pub fn status(&self) -> Status {
        self.inner.look()
    }

    /// The status on every change, at most a few times a second while nothing but indexes moves. A [`Status::fatal`] in it is
    /// for the process to end.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    /// Hands leadership over if this member leads, stops taking part and syncs the log.
    pub async fn stop(&self) {
        let inner = &self.inner;
        let others = inner.look().members.iter().filter(|member| member.voter).count() > 1;
        if inner.look().role == Role::Leader && others {
            let deadline = inner.clock.now() + HAND_OVER_WITHIN;
            if let Err(error) = self.transfer_leader(None, deadline).await {
                tracing::warn!(%error, "leadership was not handed over");
            }
        }
        inner.ending.begin();
        if let Err(error) = inner.raft.shutdown().await {
            tracing::warn!(%error, "raft did not end well");
        }
        if let Err(error) = flushed(|done| inner.log.flush(done)).await {
            tracing::warn!(%error, "the raft log was not synced at the end");
        }
        let log = inner.log.clone();
        if let Err(error) = blocking(move || {
            log.close();
            Ok(())
        })
        .await
        {
            tracing::warn!(%error, "the raft log was not closed");
        }
        inner.status.send_replace(inner.look());
    }
}

/// Whether a request may be sent again when the answer to it is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Harmless,
    Never,
}

impl Inner {
    pub(crate) fn local(&self) -> MemberId {
        self.config.local.id
    }

    pub(crate) fn look(&self) -> Status {
        let metrics = current(&self.raft);
        let mut status = Status::new(&metrics, self.leading.leader_of(&metrics), self.fatal.get());
        if self.removed.load(Ordering::Acquire) {
            let local = self.local();
            status.members.retain(|known| known.member.id != local);
        }
        status
    }

    fn running(&self) -> Result<(), ProposeError> {
        if let Some(reason) = self.fatal.get() {
            return Err(ProposeError::Stopped(reason));
        }
        if self.ending.has_begun() {
            return Err(ProposeError::Stopped("it is stopping".into()));
        }
        Ok(())
    }

    fn waited(&self, since: Instant) -> Duration {
        self.clock.now().saturating_duration_since(since)
    }

    pub(crate) fn no_leader(&self, since: Instant) -> ProposeError {
        ProposeError::NoLeader {
            waited: self.waited(since),
        }
    }

    async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Committed, ProposeError> {
        let started = self.clock.now();
        let overloaded = || ProposeError::Overloaded {
            waiting: self.config.proposals_waiting_max,
        };
        let _permit = self.permits.try_acquire().map_err(|_| overloaded())?;
        let mut back_off = BACK_OFF_MIN;
        loop {
            self.running()?;
            let (answer, answered) = oneshot::channel();
            let proposal = Proposal {
                command: command.clone(),
                deadline,
                answer,
            };
            self.queue.try_send(proposal).map_err(|_| overloaded())?;
            let outcome = tokio::time::timeout_at(deadline.into(), answered).await;
            match outcome {
                Ok(Ok(Outcome::Committed(committed))) => {
                    self.show_here(committed.index, deadline).await;
                    return Ok(Committed {
                        index: committed.index,
                        response: committed.response,
                    });
                }
                Ok(Ok(Outcome::NothingDone(_))) => {}
                Ok(Ok(Outcome::Overloaded(waiting))) => {
                    return Err(ProposeError::Overloaded {
                        waiting: waiting as usize,
                    });
                }
                Ok(Ok(Outcome::Refused(reason))) => return Err(ProposeError::Stopped(reason)),
                // No answer in time, the packer ended with the command in its hands, or an answer of another kind.
                Ok(_) | Err(_) => {
                    return Err(ProposeError::OutcomeUnknown {
                        waited: self.waited(started),
                    });
                }
            }
            self.back_off(&mut back_off, started, deadline).await?;
        }
    }

    /// Waits until this member has applied what the leader has, so that whoever reads here next finds his own write: for a
    /// moment only, since the write is done whether this member hears of it or not.
    async fn show_here(&self, index: u64, deadline: Instant) {
        let until = deadline.min(self.clock.now() + SHOWN_HERE_WITHIN);
        if !self.applied_here(index, until).await {
            metrics::NOT_SHOWN_HERE.inc();
        }
    }

    /// Whether this member has applied the entry at `index` by then. One that has stopped is not waited for.
    async fn applied_here(&self, index: u64, until: Instant) -> bool {
        let mut status = self.status.subscribe();
        tokio::select! {
            biased;
            () = self.reached.wait(index) => true,
            () = tokio::time::sleep_until(until.into()) => false,
            _ = status.wait_for(|status| status.role == Role::Stopped) => false,
        }
    }

    /// Waits a little; an error at the deadline.
    async fn back_off(&self, pause: &mut Duration, started: Instant, deadline: Instant) -> Result<(), ProposeError> {
        let now = self.clock.now();
        tokio::time::sleep_until((now + *pause).min(deadline).into()).await;
        *pause = (*pause * 2).min(BACK_OFF_MAX);
        if self.clock.now() >= deadline {
            return Err(self.no_leader(started));
        }
        Ok(())
    }

    /// Asks the leader, whoever it is, until something was done or `deadline`. Answers what it said; never `NothingDone`,
    /// `Unknown` or `Overloaded`.
    pub(crate) async fn ask(&self, ask: Ask, deadline: Instant, repeat: Repeat) -> Result<Outcome, ProposeError> {
        let started = self.clock.now();
        let mut back_off = BACK_OFF_MIN;
        loop {
            self.running()?;
            let try_until = match repeat {
                Repeat::Harmless => deadline.min(self.clock.now() + HARMLESS_TRY),
                Repeat::Never => deadline,
            };
            let outcome = match self.leading.leader() {
                None => Outcome::NothingDone(Nothing {}),
                Some(leader) if leader == self.local() => self
                    .answer(self.local(), ask.clone(), try_until)
                    .await
                    .into_one()
                    .unwrap_or(Outcome::Unknown(Nothing {})),
                Some(leader) => self.ask_member(leader, ask.clone(), try_until).await,
            };
            match outcome {
                Outcome::NothingDone(_) => {}
                Outcome::Unknown(_) if repeat == Repeat::Harmless => {}
                Outcome::Unknown(_) => {
                    return Err(ProposeError::OutcomeUnknown {
                        waited: self.waited(started),
                    });
                }
                Outcome::Overloaded(waiting) => {
                    return Err(ProposeError::Overloaded {
                        waiting: waiting as usize,
                    });
                }
                outcome => return Ok(outcome),
            }
            self.back_off(&mut back_off, started, deadline).await?;
        }
    }

    /// Asks one member for one answer.
    pub(crate) async fn ask_member(&self, member: MemberId, ask: Ask, deadline: Instant) -> Outcome {
        let within = deadline.saturating_duration_since(self.clock.now());
        let request = Request {
            within_ms: within.as_millis() as u64,
            ask: Some(ask),
        };
        let call = self
            .transport
            .call(member, Route::RaftForward, wire::encode(&request), within);
        match call.await {
            Ok(body) => wire::decode::<Answers>(body)
                .ok()
                .and_then(Answers::into_one)
                .unwrap_or(Outcome::Unknown(Nothing {})),
            Err(error) if error.is_not_delivered() => Outcome::NothingDone(Nothing {}),
            Err(_) => Outcome::Unknown(Nothing {}),
        }
    }

    /// What this member itself says to a request. It asks no other one, but who leads for a member that cannot know him.
    async fn answer(&self, from: MemberId, ask: Ask, deadline: Instant) -> Answers {
        let leads = self.leading.leader() == Some(self.local());
        match ask {
            Ask::Hello(hello) => {
                self.blank_founder_asked(from, hello.founders_hash);
                Outcome::Hello(self.hello()).into()
            }
            Ask::Propose(commands) => {
                let count = commands.commands.len();
                let all = |outcome: Outcome| Answers {
                    answers: vec![crate::forward::Answer { outcome: Some(outcome) }; count],
                };
                if !leads {
                    return all(Outcome::NothingDone(Nothing {}));
                }
                let Ok(_permits) = self.forwarded.try_acquire_many(count as u32) else {
                    return all(Outcome::Overloaded(self.config.proposals_waiting_max as u64));
                };
                let written = proposals::write_forwarded(&self.raft, commands.commands);
                match tokio::time::timeout_at(deadline.into(), written).await {
                    Ok(answers) => answers,
                    Err(_) => all(Outcome::Unknown(Nothing {})),
                }
            }
            Ask::Readmit(readmit) if !leads && !readmit.passed_on => self.pass_on(readmit, deadline).await.into(),
            _ if !leads => Outcome::NothingDone(Nothing {}).into(),
            Ask::ReadIndex(_) => self.read_index(deadline).await.into(),
            Ask::Add(node) => self.add(node, deadline).await.into(),
            Ask::Remove(member) => self.remove(member.id, deadline).await.into(),
            Ask::Transfer(to) => self.hand_over((to.id != 0).then_some(to.id), deadline).await.into(),
            Ask::Readmit(readmit) => self.readmit(readmit, deadline).await.into(),
            Ask::Standing(_) => self.standing_of(from, deadline).await.into(),
        }
    }

    fn hello(&self) -> HelloAnswer {
        let log = self.log.state();
        // The founding entry is 0, in term 0; what is behind it was written by a leader that a majority had chosen.
        let has_history =
            log.last.is_some_and(|last| last.index > 0) || log.vote.is_some_and(|vote| vote.committed && vote.term > 0);
        HelloAnswer {
            founders_hash: self.config.founders_hash(),
            has_history,
        }
    }

    pub(crate) async fn read_index(&self, deadline: Instant) -> Outcome {
        let read = self.raft.get_read_log_id(ReadPolicy::ReadIndex);
        match tokio::time::timeout_at(deadline.into(), read).await {
            Ok(Ok((read, _))) => Outcome::Index(read.index()),
            Ok(Err(RaftError::APIError(
                LinearizableReadError::ForwardToLeader(_) | LinearizableReadError::QuorumNotEnough(_),
            )))
            | Err(_) => Outcome::NothingDone(Nothing {}),
            Ok(Err(RaftError::Fatal(error))) => Outcome::Refused(error.to_string()),
        }
    }
}

/// Whether this member is the only voter.
fn alone(metrics: &Metrics, local: MemberId) -> bool {
    metrics.membership_config.membership().voter_ids().eq([local.0])
}

pub(crate) fn current(raft: &Raft) -> Metrics {
    raft.metrics().borrow_watched().clone()
}

/// Tells watchers, metrics and the log how this member stands.
async fn tell_status(inner: Arc<Inner>) {
    let mut changes = inner.raft.metrics();
    let mut told_at = inner.clock.now();
    let mut untold = false;
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                // Of an error it tells, and when it is to end is known here. Of a panic it tells nothing.
                if !inner.ending.has_begun() && current(&inner.raft).running_state.is_ok() {
                    inner.fatal.set("raft has panicked; the log says where".to_owned());
                }
                break;
            },
            () = inner.fatal.told.notified() => {}
            // A leader falls silent without anything changing.
            () = tokio::time::sleep(if untold { STATUS_EVERY } else { STATUS_QUIET_EVERY }) => {}
            () = inner.ending.begun() => break,
        }
        let status = inner.look();
        let now = inner.clock.now();
        let differs = status.differs_in_kind(&inner.status.borrow());
        untold = !differs && now.saturating_duration_since(told_at) < STATUS_EVERY;
        if differs {
            tracing::info!(role = ?status.role, term = status.term, leader = ?status.leader.map(|id| id.0), "raft");
        }
        if !untold {
            status.measure();
            inner.status.send_replace(status);
            told_at = now;
        }
        tokio::time::sleep(STATUS_LOOK).await;
    }
    inner.status.send_replace(inner.look());
}

/// Serves [`Route::RaftForward`].
struct Forwarded(Weak<Inner>);

impl Handler for Forwarded {
    fn handle(&self, from: MemberId, body: Bytes) -> Boxed<Result<Bytes, HandlerError>> {
        let inner = self.0.upgrade();
        Box::pin(async move {
            let inner = inner.ok_or(HandlerError::NotReady)?;
            if inner.running().is_err() {
                return Err(HandlerError::NotReady);
            }
            let request: Request = wire::decode(body).map_err(|error| HandlerError::Failed(error.to_string()))?;
            let ask = request
                .ask
                .ok_or_else(|| HandlerError::Failed("an unknown request".into()))?;
            // A caller waits minutes at most; the bound keeps the sum representable.
            let within = Duration::from_millis(request.within_ms.min(3_600_000));
            let answers = inner.answer(from, ask, inner.clock.now() + within).await;
            Ok(wire::encode(&answers))
        })
    }
}

/// What is on this member's disk.
struct Opened {
    log: Arc<RaftLog>,
    snapshots: Arc<Snapshots>,
    identity: Identity,
}

impl Opened {
    fn open(disk: Arc<dyn Disk>, config: &Config, fatal: Fatal) -> Result<Self, StartError> {
        let folder = &config.data_dir;
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| StartError::Io { path, source }
        };
        let refused = |error: IdentityError| match error {
            IdentityError::Io(source) => StartError::Io {
                path: folder.clone(),
                source,
            },
            error => StartError::Refused(error.to_string()),
        };
        disk.create_folder(folder).map_err(unusable(folder))?;
        let log_folder = folder.join("log");
        let identity = Identity::load(&*disk, folder).map_err(refused)?;
        // Before the log is opened, which would make a new one.
        if let Some(identity) = identity {
            let names = disk.list(&log_folder).map_err(unusable(&log_folder))?;
            if names.is_empty() {
                return Err(refused(IdentityError::LogMissing {
                    member: identity.member,
                }));
            }
            if identity.member != config.local.id.0 {
                return Err(refused(IdentityError::OtherMember {
                    found: identity.member,
                    asked: config.local.id.0,
                }));
            }
        }
        let log_config = LogConfig {
            sync: match config.sync {
                Sync::Always => muster_storage::Sync::Always,
                Sync::Never => muster_storage::Sync::Never,
            },
            ..LogConfig::new(log_folder.clone())
        };
        let on_fatal = Box::new(move |reason| fatal.set(reason));
        let log = RaftLog::open(log_config, disk.clone(), on_fatal).map_err(|error| match error {
            LogError::Io(source) => unusable(&log_folder)(source),
            error => StartError::Refused(error.to_string()),
        })?;
        let snapshot_folder = folder.join("snapshots");
        let snapshots = Snapshots::open(disk.clone(), snapshot_folder.clone()).map_err(unusable(&snapshot_folder))?;
        let pristine = log.state().is_pristine();
        let identity = Identity::claim(&*disk, folder, config.local.id.0, identity, pristine).map_err(refused)?;
        Ok(Self {
            log: Arc::new(log),
            snapshots: Arc::new(snapshots),
            identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Journal;
    use muster_model::Member;
    use muster_transport::memory::Network;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_member_whose_raft_panics_says_that_it_has_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let local = Member {
            id: MemberId(1),
            client_address: "10.0.0.1:8848".to_owned(),
            peer_address: "10.0.0.1:9849".to_owned(),
        };
        let config = Config::new(folder.path().to_owned(), local.clone(), vec![local.clone()]);
        let (tasks, transport) = (Tasks::new(Shutdown::new()), Network::new().join(local.id));
        let machine = Arc::new(Journal::new());
        let consensus = Consensus::start(config, transport, machine, Clock::system(), &tasks).await;
        let consensus = consensus.unwrap();
        let mut status = consensus.watch();
        let asked = consensus.inner.raft.external_request(|_| panic!("on purpose"));
        asked.await.unwrap();
        let told = status.wait_for(|status| status.fatal.is_some());
        let told = tokio::time::timeout(Duration::from_secs(15), told)
            .await
            .unwrap()
            .unwrap();
        assert!(told.fatal.as_ref().unwrap().contains("panicked"), "{told:?}");
    }
}
