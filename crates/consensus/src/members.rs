//! Changing who takes part. Asked of anyone, done by the leader.

use crate::door::{Consensus, Inner, Repeat, current};
use crate::error::MemberChangeError;
use crate::forward::{Ask, MemberMessage, Nothing, Outcome, Readmit};
use crate::proposals::write_failed;
use crate::types::{Metrics, Peer};
use crate::wire::NodeMessage;
use muster_model::{Member, MemberId};
use openraft::errors::RaftError;
use openraft::{ChangeMembers, Instant as _};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant};

/// Entries that a learner may be behind when it becomes a voter; it has them a heartbeat later.
const CAUGHT_UP_ENTRIES: u64 = 1_000;
/// Between two looks at how far somebody is.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Consensus {
    /// Adds a voter, as a learner first until it has caught up. Forwarded to the leader. A member at another address than the
    /// recorded one has the record changed.
    ///
    /// # Errors
    /// [`MemberChangeError`]; adding a member that is a voter at the same addresses already is well.
    pub async fn add_member(&self, member: Member, deadline: Instant) -> Result<(), MemberChangeError> {
        let ask = Ask::Add((&member).into());
        self.change(ask, deadline).await.map(drop)
    }

    /// Removes a member; a leader that removes itself hands over first. Forwarded to the leader.
    ///
    /// # Errors
    /// [`MemberChangeError`]; removing one that is not a member is well, removing the last voter is refused.
    pub async fn remove_member(&self, member: MemberId, deadline: Instant) -> Result<(), MemberChangeError> {
        let ask = Ask::Remove(MemberMessage { id: member.0 });
        self.change(ask, deadline).await.map(drop)
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
        let ask = Ask::Transfer(MemberMessage {
            id: to.map_or(0, |to| to.0),
        });
        self.change(ask, deadline).await
    }

    async fn change(&self, ask: Ask, deadline: Instant) -> Result<MemberId, MemberChangeError> {
        match self.inner.ask(ask, deadline, Repeat::Never).await? {
            Outcome::Member(id) => Ok(MemberId(id)),
            Outcome::Refused(reason) => Err(MemberChangeError::Refused(reason)),
            _ => Err(MemberChangeError::Refused(
                "the leader gave an answer of an unknown kind".into(),
            )),
        }
    }
}

fn nothing_done() -> Outcome {
    Outcome::NothingDone(Nothing {})
}

fn voters(metrics: &Metrics) -> BTreeSet<u64> {
    metrics.membership_config.membership().voter_ids().collect()
}

fn peer(node: &NodeMessage) -> Peer {
    Peer {
        client_address: node.client_address.clone(),
        peer_address: node.peer_address.clone(),
    }
}

impl Inner {
    /// As the leader: records `node` and makes it a voter.
    pub(crate) async fn add(&self, node: NodeMessage, deadline: Instant) -> Outcome {
        if let Some(failed) = self.record(&node, deadline).await {
            return failed;
        }
        if voters(&current(&self.raft)).contains(&node.id) {
            return Outcome::Member(node.id);
        }
        // Other changes go on meanwhile: a member with an empty folder asks to be readmitted before it takes anything.
        if !self.caught_up(node.id, deadline).await {
            return Outcome::Refused(format!(
                "member {} takes no vote yet: it has not caught up; is it running under that id at {}?",
                node.id, node.peer_address
            ));
        }
        let Ok(_one_at_a_time) = tokio::time::timeout_at(deadline.into(), self.changing.acquire()).await else {
            return nothing_done();
        };
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([node.id]));
        self.change_membership(change, true, deadline)
            .await
            .unwrap_or(Outcome::Member(node.id))
    }

    /// Makes the record of `node` what it says it is; what went wrong, if anything did.
    async fn record(&self, node: &NodeMessage, deadline: Instant) -> Option<Outcome> {
        let Ok(_one_at_a_time) = tokio::time::timeout_at(deadline.into(), self.changing.acquire()).await else {
            return Some(nothing_done());
        };
        let metrics = current(&self.raft);
        let nodes = BTreeMap::from([(node.id, peer(node))]);
        let change = match metrics.membership_config.membership().get_node(&node.id) {
            None => ChangeMembers::AddNodes(nodes),
            Some(recorded) if *recorded != peer(node) => ChangeMembers::SetNodes(nodes),
            Some(_) => return None,
        };
        self.change_membership(change, true, deadline).await
    }

    /// As the leader: removes a member.
    pub(crate) async fn remove(&self, id: u64, deadline: Instant) -> Outcome {
        let metrics = current(&self.raft);
        let remaining: BTreeSet<u64> = voters(&metrics).into_iter().filter(|voter| *voter != id).collect();
        if metrics.membership_config.membership().get_node(&id).is_none() {
            return Outcome::Member(id);
        }
        if remaining.is_empty() {
            return Outcome::Refused(format!("member {id} is the last voter"));
        }
        if id == self.local().0 {
            // The new leader is asked again by whoever asked.
            return match self.hand_over(None, deadline).await {
                Outcome::Member(_) => nothing_done(),
                other => other,
            };
        }
        if let Some(refused) = self.too_few_alive(&remaining, deadline).await {
            return refused;
        }
        let Ok(_one_at_a_time) = tokio::time::timeout_at(deadline.into(), self.changing.acquire()).await else {
            return nothing_done();
        };
        self.take_out(id, deadline).await.unwrap_or(Outcome::Member(id))
    }

    /// As the leader: forgets all that a member has promised, then takes it as a learner.
    pub(crate) async fn readmit(&self, request: Readmit, deadline: Instant) -> Outcome {
        let Some(node) = request.node else {
            return Outcome::Refused("no member is named".into());
        };
        // Only who leads for certain knows who is a member.
        match self.read_index(deadline).await {
            Outcome::Index(_) => {}
            other => return other,
        }
        let Ok(_one_at_a_time) = tokio::time::timeout_at(deadline.into(), self.changing.acquire()).await else {
            return nothing_done();
        };
        let metrics = current(&self.raft);
        if metrics.membership_config.membership().get_node(&node.id).is_none() && !request.again {
            return Outcome::NotAMember(Nothing {});
        }
        let remaining: BTreeSet<u64> = voters(&metrics).into_iter().filter(|voter| *voter != node.id).collect();
        if let Some(refused) = self.too_few_alive(&remaining, deadline).await {
            return refused;
        }
        if let Some(failed) = self.take_out(node.id, deadline).await {
            return failed;
        }
        let change = ChangeMembers::AddNodes(BTreeMap::from([(node.id, peer(&node))]));
        self.change_membership(change, true, deadline)
            .await
            .unwrap_or(Outcome::Member(node.id))
    }

    /// Has the leader readmit a member that knows the founders alone.
    pub(crate) async fn pass_on(&self, request: Readmit, deadline: Instant) -> Outcome {
        match self.leading.leader() {
            Some(leader) if leader != self.local() => {
                let ask = Ask::Readmit(Readmit {
                    passed_on: true,
                    ..request
                });
                self.ask_member(leader, ask, deadline).await
            }
            _ => nothing_done(),
        }
    }

    async fn take_out(&self, id: u64, deadline: Instant) -> Option<Outcome> {
        let metrics = current(&self.raft);
        let ids = BTreeSet::from([id]);
        if voters(&metrics).contains(&id) {
            self.change_membership(ChangeMembers::RemoveVoters(ids), false, deadline)
                .await
        } else if metrics.membership_config.membership().get_node(&id).is_some() {
            self.change_membership(ChangeMembers::RemoveNodes(ids), false, deadline)
                .await
        } else {
            None
        }
    }

    /// A change that leaves a majority of the voters dead can never be committed and blocks all that follow. A leader that is
    /// new has not heard of everybody yet, so it gets a moment.
    async fn too_few_alive(&self, remaining: &BTreeSet<u64>, deadline: Instant) -> Option<Outcome> {
        let fresh = self.config.election_max * 2;
        let alive = |metrics: &Metrics| {
            let heard = |id: &u64| {
                metrics
                    .heartbeat
                    .as_ref()
                    .and_then(|heard| heard.get(id).copied().flatten())
            };
            remaining
                .iter()
                .filter(|id| **id == self.local().0 || heard(id).is_some_and(|heard| heard.elapsed() < fresh))
                .count()
        };
        let moment = deadline.min(self.clock.now() + fresh);
        if self.until(moment, |metrics| alive(metrics) * 2 > remaining.len()).await {
            return None;
        }
        Some(Outcome::Refused(format!(
            "of the {} voters that would remain only {} answer, which is no majority",
            remaining.len(),
            alive(&current(&self.raft))
        )))
    }

    async fn caught_up(&self, id: u64, deadline: Instant) -> bool {
        self.until(deadline, |metrics| {
            let matched = metrics
                .replication
                .as_ref()
                .and_then(|all| all.get(&id).cloned().flatten());
            let last = metrics.last_log_index.unwrap_or(0);
            matched.is_some_and(|matched| matched.index + CAUGHT_UP_ENTRIES >= last)
        })
        .await
    }

    /// As the leader: makes another voter lead.
    pub(crate) async fn hand_over(&self, to: Option<u64>, deadline: Instant) -> Outcome {
        let local = self.local().0;
        let metrics = current(&self.raft);
        if to == Some(local) {
            return Outcome::Member(local);
        }
        let others: Vec<u64> = voters(&metrics).into_iter().filter(|id| *id != local).collect();
        let to = match to {
            Some(to) if others.contains(&to) => to,
            Some(to) => return Outcome::Refused(format!("member {to} is not a voter")),
            None => {
                let matched = |id: &u64| {
                    metrics
                        .replication
                        .as_ref()
                        .and_then(|all| all.get(id).cloned().flatten())
                };
                match others.into_iter().max_by_key(matched) {
                    Some(best) => best,
                    None => return Outcome::Refused("there is no other voter".into()),
                }
            }
        };
        if let Err(error) = self.raft.trigger().transfer_leader(to).await {
            return Outcome::Refused(error.to_string());
        }
        let moved = self
            .until(deadline, |metrics| {
                metrics.current_leader.is_some_and(|leader| leader != local)
            })
            .await;
        match current(&self.raft).current_leader {
            Some(leader) if moved && leader != local => Outcome::Member(leader),
            _ => Outcome::Refused(format!("member {to} has not taken over in time")),
        }
    }

    async fn until(&self, deadline: Instant, met: impl Fn(&Metrics) -> bool) -> bool {
        loop {
            if met(&current(&self.raft)) {
                return true;
            }
            if self.clock.now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Carries a change out; what went wrong, if anything did.
    async fn change_membership(
        &self,
        change: ChangeMembers<u64, Peer>,
        retain: bool,
        deadline: Instant,
    ) -> Option<Outcome> {
        let text = change.to_string();
        let changed = within(deadline, self.raft.change_membership(change, retain)).await;
        match changed {
            Some(Ok(_)) => {
                tracing::info!(change = text, "membership changed");
                None
            }
            Some(Err(RaftError::APIError(error))) => Some(write_failed(error)),
            Some(Err(RaftError::Fatal(error))) => Some(Outcome::Refused(error.to_string())),
            None => Some(Outcome::Unknown(Nothing {})),
        }
    }
}

async fn within<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}
