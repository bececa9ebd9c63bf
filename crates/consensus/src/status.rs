//! What this member knows of the group, from openraft's metrics.

use crate::leading::is_alone;
use crate::metrics;
use crate::types::Metrics;
use muster_model::{Member, MemberId};
use openraft::{Instant as _, ServerState};
use std::time::Duration;

/// This member's part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Leader,
    Follower,
    Candidate,
    /// Receives the log and does not vote.
    Learner,
    /// Stopped by an error that a person must see; see [`Status::fatal`]. Or on request.
    Stopped,
}

/// One member as Raft sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaftMember {
    pub member: Member,
    /// Counts in every majority. One that is being added or removed is no voter until the change is complete or after it has
    /// begun.
    pub voter: bool,
    /// Highest entry known to be on its disk; the leader alone knows.
    pub matched_index: Option<u64>,
}

/// What this member knows of the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub role: Role,
    pub term: u64,
    /// None as soon as the last one known has been silent for twice the longest election.
    pub leader: Option<MemberId>,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// Entries up to here are gone from the log; who lacks them needs a snapshot.
    pub purged_index: u64,
    /// Leader alone: time since a majority has answered. None of a group of one, where nobody is to answer.
    pub quorum_silent: Option<Duration>,
    pub members: Vec<RaftMember>,
    pub initialized: bool,
    /// Why this member stopped taking part, if it did.
    pub fatal: Option<String>,
}

impl Status {
    /// `leader` is who leads by [`Leading`](crate::leading::Leading).
    pub(crate) fn new(metrics: &Metrics, leader: Option<MemberId>, fatal: Option<String>) -> Self {
        let index = |id: &Option<crate::types::LogId>| id.as_ref().map_or(0, |id| id.index);
        let membership = metrics.membership_config.membership();
        let is_voter = |id: &u64| membership.get_joint_config().iter().all(|voters| voters.contains(id));
        let members = membership
            .nodes()
            .map(|(id, peer)| RaftMember {
                member: peer.member(*id),
                voter: is_voter(id),
                matched_index: metrics
                    .replication
                    .as_ref()
                    .and_then(|matched| matched.get(id).cloned().flatten())
                    .map(|id| id.index),
            })
            .collect::<Vec<_>>();
        let stopped = match &metrics.running_state {
            Ok(()) => None,
            // Asked for; a reason, if there is one, comes from the log.
            Err(openraft::errors::Fatal::Stopped) => Some(fatal.clone()),
            Err(error) => Some(fatal.clone().or_else(|| Some(error.to_string()))),
        };
        let role = match metrics.state {
            _ if stopped.is_some() || fatal.is_some() => Role::Stopped,
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        };
        Self {
            role,
            term: metrics.current_term,
            leader: leader.filter(|_| role != Role::Stopped),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index(&metrics.cluster_committed).max(index(&metrics.local_committed)),
            applied_index: index(&metrics.last_applied),
            snapshot_index: index(&metrics.snapshot),
            purged_index: index(&metrics.purged),
            quorum_silent: metrics
                .last_quorum_acked
                .filter(|_| role == Role::Leader && !is_alone(metrics, MemberId(metrics.id)))
                .map(|acked| acked.elapsed()),
            initialized: !members.is_empty(),
            members,
            fatal: stopped.flatten().or(fatal),
        }
    }

    /// Whether `other` differs in more than indexes and times.
    pub(crate) fn differs_in_kind(&self, other: &Self) -> bool {
        let addresses = |status: &Self| {
            let members = status.members.iter();
            members
                .map(|member| (member.member.clone(), member.voter))
                .collect::<Vec<_>>()
        };
        (self.role, self.term, self.leader, self.initialized)
            != (other.role, other.term, other.leader, other.initialized)
            || self.fatal != other.fatal
            || addresses(self) != addresses(other)
    }

    pub(crate) fn measure(&self) {
        metrics::TERM.set(self.term as i64);
        metrics::IS_LEADER.set((self.role == Role::Leader).into());
        metrics::HAS_LEADER.set(self.leader.is_some().into());
        metrics::COMMITTED.set(self.committed_index as i64);
        metrics::APPLIED.set(self.applied_index as i64);
    }
}
