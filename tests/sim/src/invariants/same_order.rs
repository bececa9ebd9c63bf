//! G1, and what Raft is for: all members apply the same commands in the same order.
//!
//! Whenever a member's state stands at some index of the log, it is the state that every other member has, had or will
//! have at that index, in this run or another: the content of all its services is compared, by its hash. An acknowledged
//! command that is lost, or an index that holds two commands, shows as two states at one index.
//!
//! A member's state never goes back while it runs.
//!
//! Two members that both believe to lead in one term are none of it: openraft lets a candidate of a higher id take over within
//! a term, and the one before may learn of it later. That only one of them commits shows in the states.

use super::{Invariant, Violation};
use crate::facts::Run;
use crate::world::{Running, World};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

#[derive(Default)]
pub(super) struct SameOrder {
    /// By index: the hash of the state, and who showed it first.
    states: BTreeMap<u64, (u64, Run)>,
    last: BTreeMap<Run, u64>,
}

fn violation(what: String) -> Violation {
    Violation {
        promise: "G1 one order for all",
        what,
    }
}

/// The hash of everything that is replicated.
fn state_of(running: &Running) -> Option<(u64, u64)> {
    let parts = running.parts()?;
    let index = parts.core.machine.applied()?.position.index;
    let mut services = parts.core.persistent.services();
    services.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = DefaultHasher::new();
    for (key, service) in &services {
        format!("{key} {:?} {:?}", service.settings, service.instances).hash(&mut hasher);
    }
    Some((index, hasher.finish()))
}

impl Invariant for SameOrder {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        for node in &world.field.nodes {
            let Some(running) = node.moves() else { continue };
            let Some(parts) = running.parts() else { continue };
            let Some(applied) = parts.core.machine.applied() else {
                continue;
            };
            let index = applied.position.index;
            let last = self.last.insert(running.run, index);
            if last == Some(index) {
                continue;
            }
            if last.is_some_and(|last| last > index) {
                return Err(violation(format!(
                    "the state of member {} went back from {last:?} to {index}",
                    node.id()
                )));
            }
            let Some((index, hash)) = state_of(running) else {
                continue;
            };
            let (known, first) = *self.states.entry(index).or_insert((hash, running.run));
            if known != hash {
                return Err(violation(format!(
                    "at index {index} the state of member {} is another than that of member {}",
                    node.id(),
                    first.member
                )));
            }
        }
        Ok(())
    }
}
