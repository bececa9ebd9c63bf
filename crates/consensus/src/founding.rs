//! From an empty folder to a member, and keeping what the group knows of this member true.
//!
//! Why a member with an empty folder asks first: it may be new, or it may have lost its disk. One that lost its disk has
//! forgotten whom it voted for and which entries it acknowledged; taking part under its old name it could help a second leader
//! or a shorter log to a majority. So it serves none of Raft's calls until it knows:
//!
//! - a majority of the founders, itself included, knows of no group: it founds, as they do;
//! - there is a group, and its leader counts this member: the leader removes it and adds it again as a learner, which needs
//!   a majority *without* it, and then as a voter;
//! - there is a group, and its leader does not: it waits to be added.

use crate::door::{Inner, Repeat};
use crate::forward::{Ask, Hello, HelloAnswer, Outcome, Readmit};
use crate::serve;
use crate::types::Peer;
use muster_model::MemberId;
use muster_storage::{Identity, Snapshots};
use openraft::errors::{InitializeError, RaftError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// For one founder to answer.
const HELLO_WITHIN: Duration = Duration::from_millis(500);
/// Between two rounds of asking.
const ROUND_EVERY: Duration = Duration::from_millis(100);
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

/// The rule, for founders `count` in number.
fn decide(is_founder: bool, hash: u64, count: usize, answers: &[(u64, HelloAnswer)]) -> Next {
    if answers.iter().any(|(_, answer)| answer.has_history) {
        return Next::AskTheLeader;
    }
    if !is_founder {
        return Next::AskAgain;
    }
    if let Some((other, _)) = answers.iter().find(|(_, answer)| answer.founders_hash != hash) {
        return Next::ListsDiffer(*other);
    }
    if (answers.len() + 1) * 2 > count {
        return Next::Found;
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
        serve::serve(&*inner.transport, &inner.raft, &snapshots);
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
    loop {
        match decide(is_founder, hash, founders.len(), &hello(inner, &others, hash).await) {
            Next::Found if !identity.rejoining => {
                serve::serve(&*inner.transport, &inner.raft, snapshots);
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
        tokio::time::sleep(ROUND_EVERY).await;
    }
    serve::serve(&*inner.transport, &inner.raft, snapshots);
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

/// Asks everybody: this member does not know who leads.
async fn readmit(inner: &Inner, others: &[MemberId], again: bool) -> Readmitted {
    for other in others {
        let deadline = inner.clock.now() + READMIT_WITHIN;
        let ask = Ask::Readmit(Readmit {
            node: Some((&inner.config.local).into()),
            again,
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
            match inner.ask(ask, deadline, Repeat::Harmless).await {
                Ok(Outcome::Refused(reason)) => tracing::warn!(reason, "the group does not record this member yet"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the group does not record this member yet"),
            }
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

    #[test]
    fn a_founder_alone_waits_for_a_majority() {
        assert_eq!(decide(true, 9, 3, &[]), Next::AskAgain);
        assert_eq!(decide(true, 9, 1, &[]), Next::Found);
        assert_eq!(decide(true, 9, 3, &[says(2, false)]), Next::Found);
        assert_eq!(decide(true, 9, 5, &[says(2, false)]), Next::AskAgain);
    }

    #[test]
    fn an_empty_member_never_founds_beside_a_group() {
        assert_eq!(decide(true, 9, 3, &[says(2, false), says(3, true)]), Next::AskTheLeader);
        assert_eq!(decide(false, 9, 3, &[says(3, true)]), Next::AskTheLeader);
    }

    #[test]
    fn who_is_no_founder_never_founds() {
        assert_eq!(
            decide(false, 9, 3, &[says(1, false), says(2, false), says(3, false)]),
            Next::AskAgain
        );
    }

    #[test]
    fn founders_with_another_list_are_noticed() {
        let mut other = says(2, false);
        other.1.founders_hash = 8;
        assert_eq!(decide(true, 9, 3, &[other]), Next::ListsDiffer(2));
    }
}
