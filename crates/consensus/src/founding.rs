//! From an empty folder to a member, and keeping what the group knows of this member true.
//!
//! Why a member with an empty folder asks first: it may be new, or it may have lost its disk. One that lost its disk has
//! forgotten whom it voted for and which entries it acknowledged; taking part under its old name it could help a second leader
//! or a shorter log to a majority. So it serves none of Raft's calls until it knows:
//!
//! - every founder has known of no group since this member started: it founds, as they do. A majority is not enough: two
//!   that have both lost their disks would found a new group beside the third, and what that one alone still has would be
//!   lost when it comes. A group that a majority of the founders, heard without one by this member, forms meanwhile has no
//!   promise of this member, so it takes its place in it;
//! - there is a group, and its leader counts this member: the leader removes it and adds it again as a learner, which needs
//!   a majority *without* it, and then as a voter;
//! - there is a group, and its leader does not: it waits to be added.

use crate::door::{Inner, Repeat};
use crate::forward::{Ask, Hello, HelloAnswer, Outcome, Readmit};
use crate::serve;
use crate::status::Status;
use crate::types::Peer;
use muster_model::MemberId;
use muster_storage::{Identity, Snapshots};
use openraft::errors::{InitializeError, RaftError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For one founder to answer.
const HELLO_WITHIN: Duration = Duration::from_millis(500);
/// Between two rounds of asking.
const ROUND_EVERY: Duration = Duration::from_millis(100);
/// Between two words about the founders that are waited for.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Two membership changes and a learner.
const READMIT_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at what the group knows of this member.
const CARE_EVERY: Duration = Duration::from_millis(500);

/// What to do next, by what the founders said.
#[derive(PartialEq, Eq, Debug)]
enum Next {
    Found,
    /// There is a group; its leader knows whether this member belongs to it. Nobody else's word counts: it may be old.
    AskTheLeader,
    AskAgain,
    ListsDiffer(u64),
}

/// What a member with an empty folder knows of the founders.
struct Known {
    is_founder: bool,
    hash: u64,
    /// How many founders there are.
    founders: usize,
    /// Other founders that knew of no group at some time since this member started.
    blank: BTreeSet<u64>,
}

/// The rule.
fn decide(known: &Known, answers: &[(u64, HelloAnswer)]) -> Next {
    let group_exists = answers.iter().any(|(_, answer)| answer.has_history);
    let other_list = answers.iter().find(|(_, answer)| answer.founders_hash != known.hash);
    if let Some((other, _)) = other_list.filter(|_| known.is_founder && !group_exists) {
        return Next::ListsDiffer(*other);
    }
    // One that has a history now and was never heard without may have had it before this member lost its own.
    if answers
        .iter()
        .any(|(id, answer)| answer.has_history && !known.blank.contains(id))
    {
        return Next::AskTheLeader;
    }
    let heard = known.blank.len() + 1;
    if known.is_founder && (heard == known.founders || (group_exists && heard * 2 > known.founders)) {
        return Next::Found;
    }
    if group_exists {
        return Next::AskTheLeader;
    }
    Next::AskAgain
}

pub(crate) async fn run(inner: Arc<Inner>, snapshots: Arc<Snapshots>, mut identity: Identity, forgotten: bool) {
    if forgotten {
        tokio::select! {
            admitted = admit(&inner, &mut identity, &snapshots) => if !admitted { return },
            () = inner.ending.begun() => return,
        }
    } else {
        serve::serve(&*inner.transport, &inner.raft, &inner.leading, &snapshots);
    }
    tokio::select! {
        () = care(&inner, identity) => {}
        () = inner.ending.begun() => {}
    }
}

/// Serves once this member may; whether it may.
async fn admit(inner: &Arc<Inner>, identity: &mut Identity, snapshots: &Arc<Snapshots>) -> bool {
    let local = inner.local();
    let founders = &inner.config.founders;
    let others: Vec<MemberId> = founders
        .iter()
        .map(|member| member.id)
        .filter(|id| *id != local)
        .collect();
    let is_founder = founders.iter().any(|member| member.id == local);
    let hash = inner.config.founders_hash();
    // An earlier start, or an earlier request, may have had it removed.
    let mut again = identity.rejoining;
    let mut said = inner.clock.now();
    loop {
        let answers = hello(inner, &others, hash).await;
        let known = Known {
            is_founder,
            hash,
            founders: founders.len(),
            blank: inner.blank_founders(&answers),
        };
        match decide(&known, &answers) {
            Next::Found if !identity.rejoining => {
                serve::serve(&*inner.transport, &inner.raft, &inner.leading, snapshots);
                found(inner).await;
                return true;
            }
            Next::ListsDiffer(other) if !identity.rejoining => {
                inner.fatal.set(format!(
                    "member {other} was given other founders than this one; give all founders the same list"
                ));
                return false;
            }
            Next::AskTheLeader => {
                // Before the leader acts: a crash in between must not be taken for an operator's removal.
                if !identity.rejoining && !remember(inner, identity, true) {
                    return false;
                }
                match readmit(inner, &others, again).await {
                    Readmitted::Yes => {
                        tracing::warn!(
                            "the data folder was empty although the group knows this member: taken in again"
                        );
                        break;
                    }
                    Readmitted::NotAMember => {
                        if !remember(inner, identity, false) {
                            return false;
                        }
                        tracing::info!("this member is not one of the group; it waits to be added");
                        break;
                    }
                    Readmitted::Unknown => again = true,
                    Readmitted::NotYet => {}
                }
            }
            Next::Found | Next::ListsDiffer(_) | Next::AskAgain => {}
        }
        if inner.clock.now().saturating_duration_since(said) >= SAID_EVERY {
            said = inner.clock.now();
            let unheard = others.iter().filter(|id| !known.blank.contains(&id.0));
            tracing::warn!(
                founders = ?unheard.map(|id| id.0).collect::<Vec<_>>(),
                "waiting for all founders: start them. Of a new cluster, one that will never come can be left out of the list \
                 of the others and added later; of one that was there before, it may be the last to have its data"
            );
        }
        tokio::time::sleep(ROUND_EVERY).await;
    }
    serve::serve(&*inner.transport, &inner.raft, &inner.leading, snapshots);
    true
}

fn remember(inner: &Inner, identity: &mut Identity, rejoining: bool) -> bool {
    identity.rejoining = rejoining;
    match identity.store(&*inner.disk, &inner.config.data_dir) {
        Ok(()) => true,
        Err(error) => {
            inner.fatal.set(format!("the identity file cannot be written: {error}"));
            false
        }
    }
}

async fn hello(inner: &Inner, others: &[MemberId], hash: u64) -> Vec<(u64, HelloAnswer)> {
    let deadline = inner.clock.now() + HELLO_WITHIN;
    let asked = others.iter().map(|other| async move {
        let ask = Ask::Hello(Hello { founders_hash: hash });
        match inner.ask_member(*other, ask, deadline).await {
            Outcome::Hello(answer) => Some((other.0, answer)),
            _ => None,
        }
    });
    futures_util::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

async fn found(inner: &Inner) {
    let founders: BTreeMap<u64, Peer> = inner
        .config
        .founders
        .iter()
        .map(|member| (member.id.0, Peer::from(member)))
        .collect();
    match inner.raft.initialize(founders).await {
        Ok(()) => tracing::info!(founders = inner.config.founders.len(), "the group is founded"),
        // A leader was faster.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(error) => inner.fatal.set(format!("the group cannot be founded: {error}")),
    }
}

enum Readmitted {
    Yes,
    NotAMember,
    /// Certainly nothing was done.
    NotYet,
    Unknown,
}

/// Asks every founder: this member does not know who leads. Who does not passes it on to the leader, who may be no founder.
async fn readmit(inner: &Inner, others: &[MemberId], again: bool) -> Readmitted {
    for other in others {
        let deadline = inner.clock.now() + READMIT_WITHIN;
        let ask = Ask::Readmit(Readmit {
            node: Some((&inner.config.local).into()),
            again,
            passed_on: false,
        });
        match inner.ask_member(*other, ask, deadline).await {
            Outcome::Member(_) => return Readmitted::Yes,
            Outcome::NotAMember(_) => return Readmitted::NotAMember,
            Outcome::NothingDone(_) => {}
            Outcome::Refused(reason) => {
                tracing::warn!(leader = other.0, reason, "not taken in yet");
                return Readmitted::Unknown;
            }
            _ => return Readmitted::Unknown,
        }
    }
    Readmitted::NotYet
}

/// Has the group record this member's addresses, and makes it a voter again once it is back.
///
/// A changed address is safe to record without removing the member: calls go by id, the transport refuses an answer of anybody
/// else, and that this is the same member is proved by the folder it started from.
async fn care(inner: &Inner, mut identity: Identity) {
    loop {
        tokio::time::sleep(CARE_EVERY).await;
        let status = inner.look();
        let known = status.members.iter().find(|member| member.member.id == inner.local());
        inner.look_at_standing(&status).await;
        if identity.rejoining && known.is_some_and(|known| known.voter) {
            identity.rejoining = false;
            if let Err(error) = identity.store(&*inner.disk, &inner.config.data_dir) {
                tracing::error!(%error, "the identity file cannot be written");
            }
        }
        let moved = known.is_some_and(|known| known.member != inner.config.local);
        if moved || identity.rejoining {
            let deadline = inner.clock.now() + READMIT_WITHIN;
            let ask = Ask::Add((&inner.config.local).into());
            if inner.leading.leader().is_none() {
                // The leader calls this member at its old address, so it is not heard from and not known.
                ask_each_other(inner, &status, ask, deadline).await;
                continue;
            }
            match inner.ask(ask, deadline, Repeat::Harmless).await {
                Ok(Outcome::Refused(reason)) => tracing::warn!(reason, "the group does not record this member yet"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the group does not record this member yet"),
            }
        }
    }
}

/// Asks one member after the other until one that leads has done it. Those that do not lead say so at once.
async fn ask_each_other(inner: &Inner, status: &Status, ask: Ask, deadline: Instant) {
    let others = status.members.iter().map(|known| known.member.id);
    for other in others.filter(|id| *id != inner.local()) {
        if let Outcome::Member(_) = inner.ask_member(other, ask.clone(), deadline).await {
            return;
        }
    }
}

impl Inner {
    /// Notes which founders are without a group, by their answers; which have been so since this member started.
    fn blank_founders(&self, answers: &[(u64, HelloAnswer)]) -> BTreeSet<u64> {
        let hash = self.config.founders_hash();
        let mut blank = self.blank.lock();
        let without = answers
            .iter()
            .filter(|(_, answer)| !answer.has_history && answer.founders_hash == hash);
        blank.extend(without.map(|(id, _)| *id));
        blank.clone()
    }

    /// Notes that `founder` has asked: only members with an empty folder that know of no group do.
    pub(crate) fn blank_founder_asked(&self, founder: MemberId, hash: u64) {
        let founders = &self.config.founders;
        if hash == self.config.founders_hash() && founders.iter().any(|member| member.id == founder) {
            self.blank.lock().insert(founder.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(member: u64, has_history: bool) -> (u64, HelloAnswer) {
        let answer = HelloAnswer {
            founders_hash: 9,
            has_history,
        };
        (member, answer)
    }

    /// What founder 1 knows.
    fn known(founders: usize, blank: &[u64]) -> Known {
        Known {
            is_founder: true,
            hash: 9,
            founders,
            blank: blank.iter().copied().collect(),
        }
    }

    #[test]
    fn founders_that_have_all_been_heard_found_at_once() {
        assert_eq!(decide(&known(1, &[]), &[]), Next::Found);
        assert_eq!(decide(&known(3, &[2, 3]), &[]), Next::Found);
    }

    #[test]
    fn founders_that_have_not_all_been_heard_found_nothing() {
        assert_eq!(decide(&known(3, &[]), &[]), Next::AskAgain);
        assert_eq!(decide(&known(3, &[2]), &[says(2, false)]), Next::AskAgain);
        assert_eq!(decide(&known(5, &[2, 3, 4]), &[]), Next::AskAgain);
    }

    #[test]
    fn an_empty_member_never_founds_beside_a_group_that_was_there_before_it() {
        let answers = [says(2, false), says(3, true)];
        // Member 2 starts for the first time; 3 and this one, before it lost its disk, were the group.
        assert_eq!(decide(&known(3, &[2]), &answers), Next::AskTheLeader);
        assert_eq!(decide(&known(5, &[2]), &answers), Next::AskTheLeader);
        let newcomer = Known {
            is_founder: false,
            ..known(3, &[2, 3])
        };
        assert_eq!(decide(&newcomer, &answers), Next::AskTheLeader);
    }

    #[test]
    fn a_founder_that_is_late_by_a_moment_takes_its_place_in_the_group() {
        let answers = [says(2, true), says(3, true)];
        assert_eq!(decide(&known(3, &[2, 3]), &answers), Next::Found);
        assert_eq!(decide(&known(3, &[2]), &answers), Next::AskTheLeader);
        // It has not heard the third before, and need not: the group was formed by those that it has.
        assert_eq!(decide(&known(3, &[2]), &[says(2, true)]), Next::Found);
        assert_eq!(decide(&known(5, &[2]), &[says(2, true)]), Next::AskTheLeader);
    }

    #[test]
    fn who_is_no_founder_never_founds() {
        let newcomer = Known {
            is_founder: false,
            ..known(3, &[1, 2, 3])
        };
        let answers = [says(1, false), says(2, false), says(3, false)];
        assert_eq!(decide(&newcomer, &answers), Next::AskAgain);
    }

    #[test]
    fn founders_with_another_list_are_noticed() {
        let mut other = says(2, false);
        other.1.founders_hash = 8;
        assert_eq!(decide(&known(3, &[]), &[other]), Next::ListsDiffer(2));
    }
}
