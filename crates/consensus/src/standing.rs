//! Whether a member that no leader speaks to still belongs to the group.
//!
//! A leader tells nothing more to whom it has removed, so a removed member that was away, or simply slower than its removal,
//! goes on believing that it is one. It asks: only a leader that a majority confirms answers.

use crate::door::{Inner, current};
use crate::forward::{Ask, Nothing, Outcome};
use crate::status::Status;
use muster_model::MemberId;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// For one other member to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

impl Inner {
    /// Notes whether the group has gone on without this member.
    pub(crate) async fn look_at_standing(&self, status: &Status) {
        if self.leading.leader().is_some() {
            self.removed.store(false, Ordering::Release);
            return;
        }
        let local = self.local();
        for other in status
            .members
            .iter()
            .map(|known| known.member.id)
            .filter(|id| *id != local)
        {
            let deadline = self.clock.now() + ANSWER_WITHIN;
            match self.ask_member(other, Ask::Standing(Nothing {}), deadline).await {
                Outcome::NotAMember(_) => {
                    if !self.removed.swap(true, Ordering::AcqRel) {
                        tracing::warn!(leader = other.0, "this member has been removed from the group");
                    }
                    return;
                }
                Outcome::Member(_) => {
                    self.removed.store(false, Ordering::Release);
                    return;
                }
                _ => {}
            }
        }
    }

    /// As the leader: whether `member` is one of the group.
    pub(crate) async fn standing_of(&self, member: MemberId, deadline: Instant) -> Outcome {
        if !matches!(self.read_index(deadline).await, Outcome::Index(_)) {
            return Outcome::NothingDone(Nothing {});
        }
        let metrics = current(&self.raft);
        match metrics.membership_config.membership().get_node(&member.0) {
            Some(_) => Outcome::Member(member.0),
            None => Outcome::NotAMember(Nothing {}),
        }
    }
}
