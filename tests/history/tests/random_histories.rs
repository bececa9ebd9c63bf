//! Histories made linearizable by construction hold, and ones that a fault was planted into do not.
//!
//! A history is made by carrying operations out one after the other, at moments that grow; each call is then stretched around
//! its moment, as far as its client's calls before and after allow.

use muster_history::linearizable::{Limits, check, check_list};
use muster_history::{Call, Edit, Event, History, List, Operation, Outcome, Value, Verdict};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two moments; stretching reaches over many of them.
const STEP_US: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Register,
    Deregister,
    EditTag,
    EditWeight,
    EditBoth,
    Read,
}

/// What was drawn for one call.
#[derive(Clone, Copy, Debug)]
struct Draw {
    client: u32,
    instance: u8,
    kind: Kind,
    before: u64,
    after: u64,
    /// Of 10: below the number for its outcome to be unknown, and then whether it happened.
    fate: u8,
    happened: bool,
}

fn draws(count: usize, clients: u32, instances: u8) -> impl Strategy<Value = Vec<Draw>> {
    let kind = prop_oneof![
        3 => Just(Kind::Register),
        2 => Just(Kind::Deregister),
        1 => Just(Kind::EditTag),
        1 => Just(Kind::EditWeight),
        1 => Just(Kind::EditBoth),
        4 => Just(Kind::Read),
    ];
    let draw = (
        0..clients,
        0..instances,
        kind,
        0..20 * STEP_US,
        0..20 * STEP_US,
        0..10_u8,
        any::<bool>(),
    );
    let draw = draw.prop_map(|(client, instance, kind, before, after, fate, happened)| Draw {
        client,
        instance,
        kind,
        before,
        after,
        fate,
        happened,
    });
    prop::collection::vec(draw, count)
}

fn instance(number: u8) -> String {
    format!("10.0.0.{number}:80")
}

/// Carries the draws out; `unknown_of_10` of ten writes have an unknown outcome.
fn history(draws: &[Draw], unknown_of_10: u8) -> Vec<Call> {
    let mut list = List::new();
    let mut calls: Vec<Call> = Vec::new();
    // each client's last moment, to keep its calls apart
    let mut last: BTreeMap<u32, (u64, Option<usize>)> = BTreeMap::new();
    for (number, draw) in draws.iter().enumerate() {
        let moment = (number as u64 + 1) * STEP_US;
        let tag = number as u64 + 1;
        let weight = number as u32 + 1;
        let name = instance(draw.instance);
        let operation = match draw.kind {
            Kind::Register => Operation::Register {
                instance: name.clone(),
                value: Value { weight, tag },
            },
            Kind::Deregister => Operation::Deregister { instance: name.clone() },
            Kind::EditTag | Kind::EditWeight | Kind::EditBoth => Operation::Edit {
                instance: name.clone(),
                edit: Edit {
                    weight: (!matches!(draw.kind, Kind::EditTag)).then_some(weight),
                    tag: (!matches!(draw.kind, Kind::EditWeight)).then_some(tag),
                },
            },
            Kind::Read => Operation::StrongRead,
        };
        let unknown = draw.fate < unknown_of_10 && operation != Operation::StrongRead;
        let happens = !unknown || draw.happened;
        let mut outcome = Outcome::Done;
        match &operation {
            _ if !happens => {}
            Operation::Register { value, .. } => drop(list.insert(name, *value)),
            Operation::Deregister { .. } => drop(list.remove(&name)),
            Operation::Edit { edit, .. } => match list.get_mut(&name) {
                Some(value) => *value = edit.apply(*value),
                None => outcome = Outcome::Refused("not there".to_owned()),
            },
            Operation::StrongRead | Operation::LocalRead => outcome = Outcome::Saw(list.clone()),
        }
        if unknown {
            outcome = Outcome::Unknown("lost".to_owned());
        }
        let (free_from, previous) = last.get(&draw.client).copied().unwrap_or((0, None));
        if let Some(previous) = previous {
            // the call before ends between its moment and this one's
            let previous: &mut Call = &mut calls[previous];
            previous.returned_us = previous.returned_us.min(moment - 2);
        }
        let invoked_us = moment.saturating_sub(draw.before).max(free_from + 1);
        calls.push(Call {
            client: draw.client,
            node: 1,
            service: "s".to_owned(),
            operation,
            invoked_us: invoked_us.min(moment),
            returned_us: moment + draw.after,
            outcome,
        });
        last.insert(draw.client, (moment, Some(calls.len() - 1)));
    }
    for call in &mut calls {
        // an unknown outcome is known to be unknown at some time, maybe before it takes effect
        if matches!(call.outcome, Outcome::Unknown(_)) {
            call.returned_us = call.invoked_us + 1;
        }
    }
    calls
}

fn verdict(calls: &[Call]) -> Verdict {
    check_list(&calls.iter().collect::<Vec<_>>(), Limits::default())
}

/// Every order of every subset of the unknown ones, without any cleverness. For histories of a few calls.
fn plain(calls: &[Call]) -> bool {
    fn go_on(calls: &[&Call], open: u32, list: &List) -> bool {
        let is_open = |number: usize| open & 1 << number != 0;
        let known = |call: &Call| call.is_done();
        if !(0..calls.len()).any(|number| is_open(number) && known(calls[number])) {
            return true;
        }
        (0..calls.len()).filter(|number| is_open(*number)).any(|number| {
            let call = calls[number];
            let first = (0..calls.len())
                .filter(|other| is_open(*other) && known(calls[*other]))
                .all(|other| calls[other].returned_us >= call.invoked_us);
            if !first {
                return false;
            }
            let mut next = list.clone();
            match (&call.operation, &call.outcome) {
                (_, Outcome::Saw(seen)) if seen != list => return false,
                (Operation::Register { instance, value }, _) => drop(next.insert(instance.clone(), *value)),
                (Operation::Deregister { instance }, _) => drop(next.remove(instance)),
                (Operation::Edit { instance, edit }, outcome) => match next.get_mut(instance) {
                    Some(value) => *value = edit.apply(*value),
                    None if *outcome == Outcome::Done => return false,
                    None => {}
                },
                _ => {}
            }
            go_on(calls, open & !(1 << number), &next)
        })
    }
    let calls: Vec<_> = calls.iter().filter(|call| !call.is_refused()).collect();
    go_on(&calls, (1 << calls.len()) - 1, &List::new())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn histories_made_linearizable_hold(draws in draws(120, 6, 3), unknown_of_10 in 0..5_u8) {
        let calls = history(&draws, unknown_of_10);
        prop_assert_eq!(verdict(&calls), Verdict::Holds);
    }

    #[test]
    fn a_read_that_sees_what_was_overwritten_before_it_began_is_caught(draws in draws(60, 4, 2)) {
        let mut calls = history(&draws, 0);
        // after all others: a registration, another one, and a read of the first
        let end = calls.iter().map(|call| call.returned_us).max().unwrap_or(0);
        let call = |at: u64, operation, outcome| Call {
            client: 99, node: 1, service: "s".to_owned(), operation, invoked_us: end + at, returned_us: end + at + 1, outcome,
        };
        let mut list = List::new();
        for tag in [1_001, 1_002] {
            let value = Value { weight: tag as u32, tag };
            let operation = Operation::Register { instance: instance(0), value };
            calls.push(call(tag * 10, operation, Outcome::Done));
            list.entry(instance(0)).or_insert(value);
        }
        let last = calls.iter().filter_map(|call| call.seen()).next_back().cloned().unwrap_or_default();
        list.extend(last.into_iter().filter(|(name, _)| *name != instance(0)));
        calls.push(call(20_000, Operation::StrongRead, Outcome::Saw(list)));
        prop_assert!(verdict(&calls).is_broken());
    }

    #[test]
    fn a_read_with_one_value_changed_to_what_nobody_wrote_is_caught(draws in draws(80, 5, 2), which in any::<prop::sample::Index>()) {
        let mut calls = history(&draws, 3);
        let reads: Vec<_> = (0..calls.len()).filter(|at| calls[*at].seen().is_some_and(|list| !list.is_empty())).collect();
        prop_assume!(!reads.is_empty());
        let read = reads[which.index(reads.len())];
        if let Outcome::Saw(list) = &mut calls[read].outcome {
            list.values_mut().for_each(|value| value.tag = 1_000_000);
        }
        prop_assert!(verdict(&calls).is_broken());
    }

    /// The search with all its cuts answers as one that tries everything, on mutated histories too.
    #[test]
    fn the_search_agrees_with_one_that_tries_everything(
        draws in draws(9, 3, 2),
        unknown_of_10 in 0..8_u8,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
    ) {
        let mut calls = history(&draws, unknown_of_10);
        for (one, other) in mutations {
            // two reads see what the other saw, or two writes change places
            let (one, other) = (one.index(calls.len()), other.index(calls.len()));
            if calls[one].seen().is_some() == calls[other].seen().is_some() {
                let of_one = (calls[one].operation.clone(), calls[one].outcome.clone());
                calls[one].operation = calls[other].operation.clone();
                calls[one].outcome = calls[other].outcome.clone();
                (calls[other].operation, calls[other].outcome) = of_one;
            }
        }
        prop_assert_eq!(verdict(&calls) == Verdict::Holds, plain(&calls));
    }
}

/// `count` draws without a strategy's overhead, the same for the same seed.
fn many(count: usize, clients: u32, instances: u8, seed: u64) -> Vec<Draw> {
    let mut state = seed;
    let mut next = move |below: u64| {
        // a multiplicative generator (L'Ecuyer's constants for 2^64) is random enough to spread calls
        state = state
            .wrapping_mul(3_935_559_000_370_003_845)
            .wrapping_add(2_691_343_689_449_507_681);
        (state >> 33) % below
    };
    let kinds = [
        Kind::Register,
        Kind::Register,
        Kind::Deregister,
        Kind::EditTag,
        Kind::EditWeight,
        Kind::Read,
        Kind::Read,
        Kind::Read,
    ];
    (0..count)
        .map(|_| Draw {
            client: next(u64::from(clients)) as u32,
            instance: next(u64::from(instances)) as u8,
            kind: kinds[next(kinds.len() as u64) as usize],
            before: next(20 * STEP_US),
            after: next(20 * STEP_US),
            fate: next(10) as u8,
            happened: next(2) == 0,
        })
        .collect()
}

/// Ten thousand calls by ten clients on four instances, a tenth of the writes of unknown outcome; the time is printed.
#[test]
#[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "says how long it took")]
fn ten_thousand_calls_are_decided() {
    for unknown_of_10 in [0, 1] {
        let calls = history(&many(10_000, 10, 4, 7), unknown_of_10);
        let history: History = calls.into_iter().map(Event::Call).collect();
        let begun = std::time::Instant::now();
        let report = check(&history, Limits::default());
        let took: Duration = begun.elapsed();
        println!("{unknown_of_10} of 10 unknown: {took:?}\n{report}");
        assert!(report.holds() && report.undecided() == 0, "{report}");
        assert_eq!(report.checked.len(), 2);
    }
}
