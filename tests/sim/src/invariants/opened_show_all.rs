//! G7, G8: "A list never shrinks from our own ignorance (start, cut, unknown owner)." "A node answers only when it has
//! loaded its state."
//!
//! In the first ten seconds in which a node answers,
//!
//! - it lists every living instance that another answering node has listed for the last ten seconds, if the two have reached
//!   each other over sound links since this one was started: it has copied from that one, or compared digests with it. One that
//!   it has listed once may go again: a client may leave it, and the other hear of that a moment later. After the ten seconds
//!   `living_are_listed` goes on;
//! - its replicated state is not older than what was acknowledged before it was started, if it was together with a majority
//!   all the time: the read barrier of the start.

use super::{Invariant, Violation};
use crate::facts::{Action, Outcome, Run};
use crate::names::Key;
use crate::network::Place;
use crate::world::{Node, World};
use muster_model::MemberId;
use std::collections::{BTreeMap, BTreeSet};

const FIRST_MS: u64 = 10_000;
const SETTLED_MS: u64 = 10_000;

#[derive(Default)]
pub(super) struct OpenedShowAll {
    /// Since when a node that answers lists an instance.
    since: BTreeMap<(Run, Key), u64>,
    /// What a node has listed at some time since it answers.
    ever: BTreeSet<(Run, Key)>,
    judged: BTreeMap<MemberId, u32>,
}

fn reached_since_start(world: &World, node: &Node, other: &Node, started_ms: u64) -> bool {
    let sound = world
        .field
        .links
        .sound_since(Place::Member(node.id()), Place::Member(other.id()));
    sound.is_some_and(|sound_ms| sound_ms <= started_ms) && other.changed_ms <= started_ms
}

impl OpenedShowAll {
    fn note_listed(&mut self, world: &World) {
        let now_ms = world.now_ms();
        for node in &world.field.nodes {
            let Some(running) = node.serves() else { continue };
            for (key, life) in &world.facts.lives {
                if life.lives() && world.listed(running.run, *key) == Some(true) {
                    self.since.entry((running.run, *key)).or_insert(now_ms);
                    self.ever.insert((running.run, *key));
                } else {
                    self.since.remove(&(running.run, *key));
                }
            }
        }
    }
}

impl Invariant for OpenedShowAll {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        self.note_listed(world);
        for node in world.field.nodes.iter().filter(|node| node.belongs) {
            let Some(running) = node.serves() else { continue };
            let Some(opened_ms) = running.opened_ms.filter(|opened_ms| now_ms < opened_ms + FIRST_MS) else {
                continue;
            };
            let others = world
                .field
                .nodes
                .iter()
                .filter(|other| other.id() != node.id() && other.belongs);
            for other in others {
                let Some(other_running) = other.serves() else { continue };
                if !reached_since_start(world, node, other, running.started_ms) || node.changed_ms > opened_ms {
                    continue;
                }
                for (key, life) in world.facts.lives.iter().filter(|(_, life)| life.lives()) {
                    let settled = self
                        .since
                        .get(&(other_running.run, *key))
                        .is_some_and(|since| now_ms >= since + SETTLED_MS);
                    let begun = life.begun_ms.is_some_and(|begun_ms| now_ms >= begun_ms + SETTLED_MS);
                    if settled && begun && !self.ever.contains(&(running.run, *key)) {
                        return Err(Violation {
                            promise: "G7 a list never shrinks from ignorance",
                            what: format!(
                                "member {} answers since {opened_ms} and lacks {key}, which member {} lists",
                                node.id(),
                                other.id()
                            ),
                        });
                    }
                }
            }
            self.judge_state(world, node, running.run.number)?;
        }
        Ok(())
    }
}

impl OpenedShowAll {
    /// Once for each opening: every value read from the state it opened with must be possible at its start.
    fn judge_state(&mut self, world: &World, node: &Node, run: u32) -> Result<(), Violation> {
        if self.judged.insert(node.id(), run) == Some(run) {
            return Ok(());
        }
        let Some(running) = node.serves() else { return Ok(()) };
        let with = world
            .field
            .nodes
            .iter()
            .filter(|other| other.id() != node.id() && other.belongs)
            .filter(|other| other.serves().is_some() && reached_since_start(world, node, other, running.started_ms))
            .count();
        let members = world.field.nodes.iter().filter(|node| node.belongs).count();
        if (with + 1) * 2 <= members {
            return Ok(());
        }
        for (key, operations) in &world.facts.operations {
            let done = |operation: &&crate::facts::Operation| {
                operation.outcome == Outcome::Done
                    && operation
                        .answered_ms
                        .is_some_and(|answered_ms| answered_ms < running.started_ms)
            };
            let Some(last) = operations
                .iter()
                .filter(done)
                .max_by_key(|operation| operation.called_ms)
            else {
                continue;
            };
            let mut writes = operations.iter().filter(|other| {
                let changes = !matches!(other.outcome, Outcome::Refused | Outcome::NotFound | Outcome::Read(_));
                changes && other.action != Action::StrongRead && !std::ptr::eq(*other, last)
            });
            let later = writes.any(|other| {
                let over = other.answered_ms.filter(|_| other.outcome != Outcome::Unknown);
                over.is_none_or(|answered_ms| answered_ms > last.called_ms)
            });
            if later {
                // Others may have come after it, or beside it: `linearizable` tells what is possible then.
                continue;
            }
            let expected = match last.action {
                Action::Register(value) | Action::Edit(value) => Some(value),
                Action::Deregister => None,
                Action::StrongRead => continue,
            };
            let list = running
                .within(|parts| crate::doors::list_of(key.service, &parts.core.naming.snapshot(&key.service.key())));
            let found = list.as_ref().and_then(|list| crate::doors::value_in(list, *key));
            if found != expected {
                return Err(Violation {
                    promise: "G8 a node answers when it has loaded",
                    what: format!(
                        "member {} was started at {} and opened with {key} = {found:?}; {last:?} was acknowledged before",
                        node.id(),
                        running.started_ms
                    ),
                });
            }
        }
        Ok(())
    }
}
