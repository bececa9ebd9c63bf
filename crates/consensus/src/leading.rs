//! Who leads, as far as this member can know now.
//!
//! openraft names the last leader it followed for as long as no other one comes: with pre-votes a member that is cut off
//! never raises its term, so it would name that leader for ever. Here a leader that has been silent is none.

use crate::door::current;
use crate::types::{Metrics, Raft};
use muster_model::MemberId;
use muster_runtime::Clock;
use openraft::Instant as _;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// The leader that this member follows, or that it is.
pub(crate) struct Leading {
    raft: Raft,
    local: MemberId,
    clock: Clock,
    /// Silence after which a leader is none.
    patience: Duration,
    /// When this member last took entries or a heartbeat of a leader.
    heard: Mutex<Option<Instant>>,
}

impl Leading {
    /// `patience` is twice the longest election: a healthy group has chosen another one by then.
    pub(crate) fn new(raft: Raft, local: MemberId, clock: Clock, election_max: Duration) -> Self {
        Self {
            raft,
            local,
            clock,
            patience: election_max * 2,
            heard: Mutex::default(),
        }
    }

    /// A leader has spoken and this member follows it.
    pub(crate) fn heard(&self) {
        *self.heard.lock() = Some(self.clock.now());
    }

    pub(crate) fn leader(&self) -> Option<MemberId> {
        self.leader_of(&current(&self.raft))
    }

    /// The leader by these metrics, unless it has been silent: as a follower towards us, as a leader all others towards it.
    pub(crate) fn leader_of(&self, metrics: &Metrics) -> Option<MemberId> {
        let leader = metrics.current_leader.map(MemberId)?;
        let speaks = if leader == self.local {
            // Of a group of one nobody answers, and openraft leaves the time at that of the election.
            is_alone(metrics, leader)
                || metrics
                    .last_quorum_acked
                    .is_none_or(|acked| acked.elapsed() < self.patience)
        } else {
            let heard = *self.heard.lock();
            heard.is_some_and(|heard| self.clock.now().saturating_duration_since(heard) < self.patience)
        };
        speaks.then_some(leader)
    }
}

/// This member is every majority by itself.
pub(crate) fn is_alone(metrics: &Metrics, local: MemberId) -> bool {
    let membership = metrics.membership_config.membership();
    let mut voters = membership.voter_ids();
    voters.next() == Some(local.0) && voters.next().is_none()
}
