//! Histories of which a person can say at once whether they are linearizable.

use super::{Limits, check_list};
use crate::{Call, Edit, List, Operation, Outcome, Value, Verdict};

const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

fn value(tag: u64) -> Value {
    Value {
        weight: tag as u32,
        tag,
    }
}

fn call(client: u32, times: (u64, u64), operation: Operation, outcome: Outcome) -> Call {
    Call {
        client,
        node: 1,
        service: "s".to_owned(),
        operation,
        invoked_us: times.0,
        returned_us: times.1,
        outcome,
    }
}

fn register(instance: &str, tag: u64) -> Operation {
    Operation::Register {
        instance: instance.to_owned(),
        value: value(tag),
    }
}

fn deregister(instance: &str) -> Operation {
    Operation::Deregister {
        instance: instance.to_owned(),
    }
}

fn retag(instance: &str, tag: u64) -> Operation {
    Operation::Edit {
        instance: instance.to_owned(),
        edit: Edit {
            weight: None,
            tag: Some(tag),
        },
    }
}

fn done(client: u32, times: (u64, u64), operation: Operation) -> Call {
    call(client, times, operation, Outcome::Done)
}

fn unknown(client: u32, invoked: u64, operation: Operation) -> Call {
    call(
        client,
        (invoked, invoked + 1),
        operation,
        Outcome::Unknown("lost".to_owned()),
    )
}

fn refused(client: u32, times: (u64, u64), operation: Operation) -> Call {
    call(client, times, operation, Outcome::Refused("no leader".to_owned()))
}

fn read(client: u32, times: (u64, u64), list: &[(&str, Value)]) -> Call {
    let list: List = list
        .iter()
        .map(|(instance, value)| ((*instance).to_owned(), *value))
        .collect();
    call(client, times, Operation::StrongRead, Outcome::Saw(list))
}

fn verdict(calls: &[Call]) -> Verdict {
    check_list(&calls.iter().collect::<Vec<_>>(), Limits::default())
}

fn holds(calls: &[Call]) {
    assert_eq!(verdict(calls), Verdict::Holds, "{calls:#?}");
}

fn is_broken(calls: &[Call]) {
    assert!(verdict(calls).is_broken(), "{calls:#?}");
}

#[test]
fn what_was_acknowledged_is_read() {
    holds(&[done(1, (0, 1), register(ONE, 7)), read(2, (2, 3), &[(ONE, value(7))])]);
    is_broken(&[done(1, (0, 1), register(ONE, 7)), read(2, (2, 3), &[])]);
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    for seen in [&[][..], &[(ONE, value(7))][..]] {
        holds(&[done(1, (0, 10), register(ONE, 7)), read(2, (2, 3), seen)]);
    }
}

#[test]
fn a_read_that_touches_a_write_in_one_microsecond_is_beside_it() {
    holds(&[done(1, (0, 2), register(ONE, 7)), read(2, (2, 3), &[])]);
}

#[test]
fn two_reads_agree_on_the_order_of_two_writes() {
    let writes = [done(1, (0, 10), register(ONE, 1)), done(2, (0, 10), register(ONE, 2))];
    let reads = |first, second| {
        [
            read(3, (11, 12), &[(ONE, value(first))]),
            read(4, (13, 14), &[(ONE, value(second))]),
        ]
    };
    holds(&[writes.clone(), reads(1, 1)].concat());
    holds(&[writes.clone(), reads(2, 2)].concat());
    is_broken(&[writes.clone(), reads(1, 2)].concat());
    // while the writes are open the value may change between the reads
    let open = [done(1, (0, 20), register(ONE, 1)), done(2, (0, 20), register(ONE, 2))];
    holds(&[open.clone(), reads(1, 2)].concat());
    is_broken(
        &[
            open.to_vec(),
            reads(1, 2).to_vec(),
            vec![read(3, (15, 16), &[(ONE, value(1))])],
        ]
        .concat(),
    );
}

#[test]
fn a_stale_read_after_a_newer_one_is_caught() {
    is_broken(&[
        done(1, (0, 1), register(ONE, 1)),
        done(1, (10, 100), register(ONE, 2)),
        read(2, (20, 30), &[(ONE, value(2))]),
        read(3, (40, 50), &[(ONE, value(1))]),
    ]);
}

#[test]
fn an_unknown_write_takes_effect_at_any_later_time_or_never() {
    let write = unknown(1, 5, register(ONE, 7));
    holds(&[write.clone(), read(2, (900, 901), &[])]);
    holds(&[write.clone(), read(2, (900, 901), &[(ONE, value(7))])]);
    holds(&[
        write.clone(),
        read(2, (10, 11), &[]),
        read(2, (900, 901), &[(ONE, value(7))]),
        read(2, (902, 903), &[(ONE, value(7))]),
    ]);
    // but once, and not before it was asked for
    is_broken(&[
        write.clone(),
        read(2, (10, 11), &[(ONE, value(7))]),
        done(2, (12, 13), deregister(ONE)),
        read(2, (14, 15), &[(ONE, value(7))]),
    ]);
    is_broken(&[read(2, (0, 4), &[(ONE, value(7))]), write]);
}

#[test]
fn an_unknown_write_overwrites_what_was_acknowledged_after_it() {
    holds(&[
        unknown(1, 0, register(ONE, 1)),
        done(2, (10, 11), register(ONE, 2)),
        read(3, (20, 21), &[(ONE, value(2))]),
        read(3, (30, 31), &[(ONE, value(1))]),
    ]);
    holds(&[
        done(1, (0, 1), register(ONE, 1)),
        unknown(2, 2, deregister(ONE)),
        read(3, (10, 11), &[(ONE, value(1))]),
        read(3, (20, 21), &[]),
    ]);
    is_broken(&[
        done(1, (0, 1), register(ONE, 1)),
        unknown(2, 2, deregister(ONE)),
        read(3, (10, 11), &[]),
        read(3, (20, 21), &[(ONE, value(1))]),
    ]);
}

#[test]
fn what_was_refused_never_happens() {
    is_broken(&[
        refused(1, (0, 1), register(ONE, 7)),
        read(2, (2, 3), &[(ONE, value(7))]),
    ]);
    holds(&[refused(1, (0, 1), register(ONE, 7)), read(2, (2, 3), &[])]);
}

#[test]
fn an_edit_that_was_done_found_the_instance_there() {
    is_broken(&[done(1, (0, 1), retag(ONE, 7)), read(2, (2, 3), &[])]);
    is_broken(&[
        done(1, (0, 1), register(ONE, 1)),
        done(1, (2, 3), deregister(ONE)),
        done(1, (4, 5), retag(ONE, 7)),
    ]);
    holds(&[
        unknown(1, 0, register(ONE, 1)),
        done(2, (4, 5), retag(ONE, 7)),
        read(2, (6, 7), &[(ONE, Value { weight: 1, tag: 7 })]),
    ]);
}

#[test]
fn an_edit_keeps_what_it_does_not_set() {
    let calls = |weight| {
        [
            done(1, (0, 1), register(ONE, 1)),
            done(1, (2, 3), register(ONE, 2)),
            done(2, (4, 5), retag(ONE, 7)),
            read(2, (6, 7), &[(ONE, Value { weight, tag: 7 })]),
        ]
    };
    holds(&calls(2));
    is_broken(&calls(1));
}

#[test]
fn a_lost_update_between_two_edits_is_caught() {
    let heavier = Operation::Edit {
        instance: ONE.to_owned(),
        edit: Edit {
            weight: Some(50),
            tag: None,
        },
    };
    let edits = [
        done(1, (0, 1), register(ONE, 1)),
        done(1, (2, 9), retag(ONE, 7)),
        done(2, (2, 9), heavier),
    ];
    let with = |weight, tag| [edits.to_vec(), vec![read(3, (10, 11), &[(ONE, Value { weight, tag })])]].concat();
    holds(&with(50, 7));
    is_broken(&with(1, 7));
    is_broken(&with(50, 1));
}

#[test]
fn unknown_edits_explain_a_value_together() {
    let heavier = Operation::Edit {
        instance: ONE.to_owned(),
        edit: Edit {
            weight: Some(50),
            tag: None,
        },
    };
    holds(&[
        unknown(1, 0, register(ONE, 1)),
        unknown(2, 0, retag(ONE, 7)),
        unknown(3, 0, heavier.clone()),
        read(4, (10, 11), &[(ONE, Value { weight: 50, tag: 7 })]),
    ]);
    // an edit of what is not there does nothing
    is_broken(&[
        unknown(2, 0, retag(ONE, 7)),
        unknown(3, 0, heavier),
        read(4, (10, 11), &[(ONE, Value { weight: 50, tag: 7 })]),
    ]);
    // one that came between a registration and an edit that was done
    holds(&[
        done(1, (0, 1), register(ONE, 1)),
        unknown(2, 2, register(ONE, 2)),
        done(3, (4, 5), retag(ONE, 7)),
        read(4, (10, 11), &[(ONE, Value { weight: 2, tag: 7 })]),
    ]);
}

#[test]
fn a_list_is_read_at_one_moment() {
    // each instance by itself could be read so, both together could not
    let calls = [
        done(1, (0, 1), register(ONE, 1)),
        done(1, (10, 20), register(ONE, 2)),
        done(1, (30, 40), register(TWO, 3)),
        read(2, (15, 35), &[(ONE, value(1)), (TWO, value(3))]),
    ];
    is_broken(&calls);
    holds(
        &[
            calls[..3].to_vec(),
            vec![read(2, (15, 35), &[(ONE, value(2)), (TWO, value(3))])],
        ]
        .concat(),
    );
}

#[test]
fn a_search_that_is_given_up_says_so() {
    let mut calls: Vec<_> = (1..=12)
        .map(|tag| done(tag as u32, (0, 100), register(ONE, tag)))
        .collect();
    // twelve writes side by side, and two values that cannot come one after the other twice
    calls.push(read(20, (101, 102), &[(ONE, value(3))]));
    calls.push(read(20, (103, 104), &[(ONE, value(4))]));
    let few = Limits { steps_max: 50 };
    let verdict = check_list(&calls.iter().collect::<Vec<_>>(), few);
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict:?}");
    is_broken(&calls);
}

#[test]
fn what_does_not_fit_is_told() {
    let Verdict::Broken(found) = verdict(&[done(1, (0, 1), register(ONE, 7)), read(2, (2_000, 3_000), &[])]) else {
        panic!("it is broken");
    };
    assert!(found[0].contains("10.0.0.1:80=absent"), "{}", found[0]);
    assert!(found[0].contains("[2.000..3.000 ms] client 2"), "{}", found[0]);
}
