//! Raft, by openraft: one group, opaque commands.
//!
//! A command is acknowledged when a majority has it on disk (synced) and the leader has applied it. Any member takes a
//! proposal and forwards it to the leader once; the caller sees one answer. What this crate has never heard of: services,
//! instances, clients.

mod machine;

pub use machine::{Applied, Entry, Frozen, LogPosition, StateMachine};

use bytes::Bytes;
use muster_model::{Member, MemberId};
use muster_runtime::{Clock, Tasks};
use muster_transport::Transport;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// When the log tells the disk to keep what it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sync {
    /// Before anything is acknowledged.
    #[default]
    Always,
    /// Never by us; for benchmarks beside peers that do not sync either. Said loudly in log and metrics.
    Never,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// This member and its addresses.
    pub local: Member,
    /// The voters that the cluster starts with, this one included; the same on every member. Not used once initialized.
    pub founders: Vec<Member>,
    pub sync: Sync,
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
    /// Entries after which a snapshot is written and the log before it may go.
    pub snapshot_every_entries: u64,
    /// Proposals waiting at this member; more are refused with [`ProposeError::Overloaded`].
    pub proposals_waiting_max: usize,
}

/// This member's part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Leader,
    Follower,
    Candidate,
    /// Receives the log and does not vote.
    Learner,
    /// Stopped by an error that a person must see; see [`Status::fatal`].
    Stopped,
}

/// One member as Raft sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaftMember {
    pub member: Member,
    pub voter: bool,
    /// Highest entry known to be on its disk; the leader alone knows.
    pub matched_index: Option<u64>,
}

/// What this member knows of the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub role: Role,
    pub term: u64,
    pub leader: Option<MemberId>,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// Leader alone: time since a majority has answered.
    pub quorum_silent: Option<Duration>,
    pub members: Vec<RaftMember>,
    pub initialized: bool,
    /// Why this member stopped taking part, if it did.
    pub fatal: Option<String>,
}

/// A command that was committed and applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    pub index: u64,
    /// What the state machine answered.
    pub response: Bytes,
}

/// Why a proposal has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was done. Worded as Nacos 2 words it, because clients and scripts look for it.
    #[error("did not find the Leader node: no leader for {waited:?}")]
    NoLeader { waited: Duration },
    /// It may be carried out yet. A retry under the same idempotence key is harmless.
    #[error("outcome unknown: no majority answered within {waited:?}")]
    OutcomeUnknown { waited: Duration },
    /// Nothing was done; too many proposals wait already.
    #[error("too many writes are waiting ({waiting})")]
    Overloaded { waiting: usize },
    /// Nothing was done; this member is stopping or has stopped.
    #[error("this node takes no part in consensus: {0}")]
    Stopped(String),
}

/// Why a membership change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberChangeError {
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error("{0}")]
    Refused(String),
}

/// The door to the group. Cheap to clone.
#[derive(Clone)]
pub struct Consensus {
    #[allow(dead_code, reason = "skeleton")]
    status: watch::Receiver<Status>,
}

impl Consensus {
    /// Opens the log, recovers, starts taking part and, on a first start, founds the group with `config.founders`.
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
        let _ = (config, transport, machine, clock, tasks);
        todo!("skeleton")
    }

    /// Has `command` committed and applied; forwards it if another member leads. Returns when the leader has applied it, or
    /// at `deadline`. Commands of one or many callers are committed together.
    ///
    /// # Errors
    /// [`ProposeError`]; only `OutcomeUnknown` leaves open whether the command takes effect.
    pub async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Committed, ProposeError> {
        let _ = (command, deadline);
        todo!("skeleton")
    }

    /// Waits until this member has applied everything that was committed when the call was made (read index).
    ///
    /// # Errors
    /// As [`Consensus::propose`]; never `OutcomeUnknown`.
    pub async fn read_barrier(&self, deadline: Instant) -> Result<u64, ProposeError> {
        let _ = deadline;
        todo!("skeleton")
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The status on every change, at most a few times a second while nothing but indexes moves.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Adds a voter, as a learner first until it has caught up. Forwarded to the leader.
    ///
    /// # Errors
    /// [`MemberChangeError`]; adding a member that is a voter at the same addresses already is well.
    pub async fn add_member(&self, member: Member, deadline: Instant) -> Result<(), MemberChangeError> {
        let _ = (member, deadline);
        todo!("skeleton")
    }

    /// Removes a member; a leader that removes itself hands over first. Forwarded to the leader.
    ///
    /// # Errors
    /// [`MemberChangeError`]; removing one that is not a member is well, removing the last voter is refused.
    pub async fn remove_member(&self, member: MemberId, deadline: Instant) -> Result<(), MemberChangeError> {
        let _ = (member, deadline);
        todo!("skeleton")
    }

    /// Hands leadership to `to`, or to the most up-to-date other voter.
    ///
    /// # Errors
    /// [`MemberChangeError`].
    pub async fn transfer_leader(
        &self,
        to: Option<MemberId>,
        deadline: Instant,
    ) -> Result<MemberId, MemberChangeError> {
        let _ = (to, deadline);
        todo!("skeleton")
    }

    /// Hands leadership over if this member leads, stops taking part and syncs the log.
    pub async fn stop(&self) {
        todo!("skeleton")
    }
}

/// Why this member did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Refused(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}
