//! Rules with a state: lists of things that happen, in any order.

use super::node::WALL_MS;
use crate::input::block_on;
use arbitrary::{Result, Unstructured};
use muster_ephemeral::fuzzing::{Member, Reading, What, Write};
use muster_push::fuzzing::Step;
use std::collections::BTreeMap;

const WRITES_MAX: usize = 16;
const TELLINGS_MAX: usize = 64;
const STEPS_MAX: usize = 200;
const KEYS: u16 = 3;
/// Members that write; the one that merges is none of them.
const ORIGINS: u64 = 3;
const MILLIS: u64 = 8;

/// Some writes, and the order in which they are told.
pub(crate) fn merge(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(writes) = writes(&mut input) else { return };
    if writes.is_empty() {
        return;
    }
    let mut told = Vec::new();
    while told.len() < TELLINGS_MAX
        && let Ok(nth) = input.choose_index(writes.len())
        && !input.is_empty()
    {
        told.push(&writes[nth]);
    }
    block_on(async {
        let expected = after(writes.iter());
        // Any order, any repetition, and then each at least once.
        assert_eq!(
            after(told.iter().copied().chain(writes.iter().rev())),
            expected,
            "{told:?} of {writes:?}"
        );
        // Two members that heard one half each, and one then all of the other.
        let (left, right) = writes.split_at(writes.len() / 2);
        let (one, two) = (Member::new(WALL_MS), Member::new(WALL_MS));
        right.iter().for_each(|write| one.merge(write));
        left.iter().for_each(|write| two.merge(write));
        one.take_all_of(&two);
        assert_eq!(one.reading(), expected, "in two halves: {writes:?}");
    });
}

fn after<'a>(writes: impl Iterator<Item = &'a Write>) -> Reading {
    let member = Member::new(WALL_MS);
    writes.for_each(|write| member.merge(write));
    member.reading()
}

fn writes(input: &mut Unstructured<'_>) -> Result<Vec<Write>> {
    let mut writes = BTreeMap::new();
    let count = input.int_in_range(1..=WRITES_MAX)?;
    for _ in 0..count {
        let port = 1 + input.int_in_range(0..=KEYS - 1)?;
        let at_ms = input.int_in_range(0..=MILLIS - 1)?;
        let origin = 2 + input.int_in_range(0..=ORIGINS - 1)?;
        let what = match input.int_in_range(0..=5_u8)? {
            0 => What::Deregistered,
            1 => What::Expired,
            2 => What::Released {
                claim_at_ms: input.int_in_range(0..=MILLIS - 1)?,
                claim_origin: 2 + input.int_in_range(0..=ORIGINS - 1)?,
            },
            _ => {
                let healthy = input.arbitrary()?;
                What::Listed {
                    weight: input.int_in_range(0..=3)?,
                    healthy,
                    held_by: if input.arbitrary()? { origin } else { 0 },
                    by_silence: !healthy && input.arbitrary()?,
                }
            }
        };
        // A version names one write.
        writes.entry((port, at_ms, origin)).or_insert(Write {
            port,
            at_ms,
            origin,
            what,
        });
    }
    Ok(writes.into_values().collect())
}

/// What happens to subscribers.
pub(crate) fn push(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut steps = Vec::new();
    while steps.len() < STEPS_MAX
        && !input.is_empty()
        && let Ok(step) = step(&mut input)
    {
        steps.push(step);
    }
    muster_push::fuzzing::run(&steps);
}

fn step(input: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match input.int_in_range(0..=10_u8)? {
        0 => Step::Change {
            service: input.arbitrary()?,
        },
        1 => Step::Poll {
            subscriber: input.arbitrary()?,
        },
        2 => Step::Subscribe {
            connection: input.arbitrary()?,
            service: input.arbitrary()?,
        },
        3 => Step::Unsubscribe {
            connection: input.arbitrary()?,
            service: input.arbitrary()?,
        },
        4 => Step::End {
            connection: input.arbitrary()?,
        },
        5 => Step::Outcome {
            which: input.arbitrary()?,
        },
        6 => Step::Pass {
            millis: input.arbitrary()?,
        },
        7 => Step::Arrive {
            nth: input.arbitrary()?,
            again: input.arbitrary()?,
        },
        8 => Step::Lose {
            nth: input.arbitrary()?,
        },
        9 => Step::Allow {
            allowed: input.arbitrary()?,
        },
        _ => Step::Hurry,
    })
}
