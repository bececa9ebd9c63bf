//! G1, G2, G3: "An acknowledged persistent write is synced on a majority." "The client sees one answer. A write whose outcome
//! is unknown is said to be unknown." "`consistency=strong` makes a read linearizable."
//!
//! Each persistent instance is a register of its own: empty, or a value that one write alone has written. The history of
//! its calls must be linearizable (Herlihy and Wing 1990): every call takes effect at one moment between its call and its
//! answer, and all answers fit. So an acknowledged write that is lost, a refused one that appears, a strong read of an older
//! value, an edit that is answered well where nothing is: each has no such order.
//!
//! A call of unknown outcome takes effect at any moment after its call, or never: a node may carry it out long after its
//! client has gone. Refused calls are left out: they take no effect. An edit that finds nothing has looked behind a read barrier:
//! then there was nothing. The search is Wing and Gong's (1993) with Lowe's memory of what was tried (2017).
//!
//! The list that the leader reads right after it acknowledged a write holds that write or a later one ("own writes are
//! read"). A follower acknowledges what the leader has applied; it lists it itself some milliseconds later, and only a strong
//! read there is sure to show it.

use super::{Invariant, Violation};
use crate::facts::{Action, Fact, Operation, Outcome};
use crate::names::Key;
use crate::world::World;
use std::collections::{BTreeMap, HashSet};

/// States looked at before the search gives up; a history of these sizes needs thousands.
const STATES_MAX: usize = 3_000_000;

#[derive(Default)]
pub(super) struct Linearizable {
    /// Writes read back at their own node: key, written, read, when.
    read_back: Vec<(Key, Option<u64>, Option<u64>, u64)>,
}

/// A call as the search sees it.
#[derive(Clone, Copy, Debug)]
struct Call {
    action: Action,
    outcome: Outcome,
    called_ms: u64,
    answered_ms: u64,
}

/// The value after the call on `value`, if its answer fits.
fn after(call: &Call, value: Option<u64>) -> Option<Option<u64>> {
    match (call.action, call.outcome) {
        (Action::Register(new), Outcome::Done | Outcome::Unknown) => Some(Some(new)),
        (Action::Deregister, Outcome::Done | Outcome::Unknown) => Some(None),
        (Action::Edit(new), Outcome::Done) => value.map(|_| Some(new)),
        (Action::Edit(_), Outcome::NotFound) => value.is_none().then_some(None),
        (Action::Edit(new), Outcome::Unknown) => Some(value.map(|_| new)),
        (Action::StrongRead, Outcome::Read(read)) => (read == value).then_some(value),
        // Nobody learned anything of it.
        (Action::StrongRead, _) => Some(value),
        (_, Outcome::Refused | Outcome::Read(_) | Outcome::NotFound) => None,
    }
}

/// Whether there is an order of all known calls, with any of the unknown ones between, in which all answers fit.
fn is_linearizable(calls: &[Call]) -> Result<bool, usize> {
    let words = calls.len().div_ceil(64);
    let mut tried: HashSet<(Vec<u64>, Option<u64>)> = HashSet::new();
    let mut open = vec![(vec![0u64; words], None)];
    while let Some((done, value)) = open.pop() {
        if tried.len() > STATES_MAX {
            return Err(tried.len());
        }
        let is_done = |index: usize| done[index / 64] & (1 << (index % 64)) != 0;
        let waiting = || calls.iter().enumerate().filter(|(index, _)| !is_done(*index));
        // Who is answered first must come before everything that is called later.
        let first_answer = waiting()
            .filter(|(_, call)| call.outcome != Outcome::Unknown)
            .map(|(_, call)| call.answered_ms)
            .min();
        let Some(first_answer) = first_answer else {
            return Ok(true);
        };
        for (index, call) in waiting().filter(|(_, call)| call.called_ms <= first_answer) {
            let Some(next) = after(call, value) else { continue };
            if call.outcome == Outcome::Unknown && next == value {
                continue;
            }
            let mut done = done.clone();
            done[index / 64] |= 1 << (index % 64);
            if tried.insert((done.clone(), next)) {
                open.push((done, next));
            }
        }
    }
    Ok(false)
}

fn calls(operations: &[Operation]) -> Vec<Call> {
    let reads: HashSet<u64> = operations
        .iter()
        .filter_map(|operation| match operation.outcome {
            Outcome::Read(read) => read,
            _ => None,
        })
        .collect();
    let conditional = operations
        .iter()
        .any(|operation| matches!(operation.action, Action::Edit(_)));
    let matters = |operation: &&Operation| match (operation.outcome, operation.action) {
        (Outcome::Refused, _) | (Outcome::Unknown, Action::StrongRead) => false,
        // Nobody has seen it, and nobody is answered well only where there is something.
        (Outcome::Unknown, Action::Register(value)) => conditional || reads.contains(&value),
        _ => true,
    };
    let call = |operation: &Operation| Call {
        action: operation.action,
        outcome: operation.outcome,
        called_ms: operation.called_ms,
        answered_ms: operation.answered_ms.unwrap_or(u64::MAX),
    };
    operations.iter().filter(matters).map(call).collect()
}

impl Invariant for Linearizable {
    fn at_each_turn(&mut self, world: &World) -> Result<(), Violation> {
        for (_, fact) in &world.facts.fresh {
            if let Fact::ReadBack { key, wrote, read } = fact {
                self.read_back.push((*key, *wrote, *read, world.now_ms()));
            }
        }
        Ok(())
    }

    fn at_the_end(&mut self, world: &World) -> Result<(), Violation> {
        for (key, operations) in &world.facts.operations {
            let calls = calls(operations);
            match is_linearizable(&calls) {
                Ok(true) => {}
                Ok(false) => {
                    let history: Vec<String> = operations.iter().map(|operation| format!("  {operation:?}")).collect();
                    return Err(Violation {
                        promise: "G1, G2, G3 persistent writes and strong reads are linearizable",
                        what: format!("{key} has no order:\n{}", history.join("\n")),
                    });
                }
                Err(states) => {
                    return Err(Violation {
                        promise: "the check itself",
                        what: format!("{key}: no answer after {states} states of {} calls", calls.len()),
                    });
                }
            }
        }
        self.own_writes_are_read(world)
    }
}

impl Linearizable {
    fn own_writes_are_read(&self, world: &World) -> Result<(), Violation> {
        // When each value's write was answered and called.
        let mut writes: BTreeMap<(Key, u64), &Operation> = BTreeMap::new();
        for (key, operations) in &world.facts.operations {
            for operation in operations {
                if let Action::Register(value) | Action::Edit(value) = operation.action {
                    writes.insert((*key, value), operation);
                }
            }
        }
        for (key, wrote, read, at_ms) in &self.read_back {
            if wrote == read {
                continue;
            }
            // Another one came between, which must not have been over before this one was called.
            let overtaken = match (wrote, read) {
                (Some(wrote), Some(read)) => {
                    let (Some(mine), Some(other)) = (writes.get(&(*key, *wrote)), writes.get(&(*key, *read))) else {
                        continue;
                    };
                    other
                        .answered_ms
                        .is_none_or(|answered_ms| answered_ms >= mine.called_ms)
                }
                _ => true,
            };
            if !overtaken {
                return Err(Violation {
                    promise: "G3 own writes are read",
                    what: format!("{key}: {read:?} was read at {at_ms} where {wrote:?} had just been written"),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: Action, outcome: Outcome, called_ms: u64, answered_ms: u64) -> Call {
        Call {
            action,
            outcome,
            called_ms,
            answered_ms,
        }
    }

    #[test]
    fn a_lost_acknowledged_write_has_no_order() {
        let written = call(Action::Register(1), Outcome::Done, 0, 10);
        let read = |value, at| call(Action::StrongRead, Outcome::Read(value), at, at + 5);
        assert_eq!(is_linearizable(&[written, read(Some(1), 20)]), Ok(true));
        assert_eq!(is_linearizable(&[written, read(None, 20)]), Ok(false));
        assert_eq!(is_linearizable(&[written, read(None, 5)]), Ok(true), "beside the write");
    }

    #[test]
    fn an_unknown_write_may_appear_late_or_never_and_only_once() {
        let unknown = call(Action::Register(1), Outcome::Unknown, 0, u64::MAX);
        let gone = call(Action::Deregister, Outcome::Done, 30, 40);
        let read = |value, at| call(Action::StrongRead, Outcome::Read(value), at, at + 5);
        assert_eq!(is_linearizable(&[unknown, read(None, 20), read(Some(1), 25)]), Ok(true));
        assert_eq!(
            is_linearizable(&[unknown, read(Some(1), 20), gone, read(None, 50)]),
            Ok(true)
        );
        let twice = [unknown, read(Some(1), 20), gone, read(Some(1), 50)];
        assert_eq!(is_linearizable(&twice), Ok(false));
    }

    #[test]
    fn an_edit_that_is_answered_well_needs_something_to_edit() {
        let written = call(Action::Register(1), Outcome::Done, 0, 10);
        let edit = call(Action::Edit(2), Outcome::Done, 20, 30);
        assert_eq!(is_linearizable(&[edit]), Ok(false));
        assert_eq!(is_linearizable(&[written, edit]), Ok(true));
        let nothing_found = call(Action::Edit(2), Outcome::NotFound, 20, 30);
        assert_eq!(is_linearizable(&[nothing_found]), Ok(true));
        assert_eq!(is_linearizable(&[written, nothing_found]), Ok(false));
    }

    #[test]
    fn a_strong_read_of_an_older_value_has_no_order() {
        let first = call(Action::Register(1), Outcome::Done, 0, 10);
        let second = call(Action::Register(2), Outcome::Done, 20, 30);
        let read = call(Action::StrongRead, Outcome::Read(Some(1)), 40, 45);
        assert_eq!(is_linearizable(&[first, second, read]), Ok(false));
    }
}
