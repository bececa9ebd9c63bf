//! Each rule that needs no search, held against a history that keeps it and one that breaks it.

use muster_history::lives::{self, Bounds};
use muster_history::{Call, Event, Heard, History, List, Operation, Outcome, Report, Value, agreement, forward, sets};

const ONE: &str = "10.0.0.1:80";
const SECOND: u64 = 1_000_000;
const BOUNDS: Bounds = Bounds {
    dead_after_us: 16 * SECOND,
    heals_within_us: 10 * SECOND,
};

fn value(tag: u64) -> Value {
    Value {
        weight: tag as u32,
        tag,
    }
}

fn list(tags: &[u64]) -> List {
    tags.iter().map(|tag| (ONE.to_owned(), value(*tag))).collect()
}

fn call(node: u64, at: u64, operation: Operation, outcome: Outcome) -> Event {
    Event::Call(Call {
        client: 1,
        node,
        service: "s".to_owned(),
        operation,
        invoked_us: at,
        returned_us: at + 10,
        outcome,
    })
}

fn register(at: u64, tag: u64, outcome: Outcome) -> Event {
    let instance = ONE.to_owned();
    let value = value(tag);
    call(1, at, Operation::Register { instance, value }, outcome)
}

fn deregister(node: u64, at: u64) -> Event {
    let instance = ONE.to_owned();
    call(node, at, Operation::Deregister { instance }, Outcome::Done)
}

fn local(node: u64, at: u64, tags: &[u64]) -> Event {
    call(node, at, Operation::LocalRead, Outcome::Saw(list(tags)))
}

fn strong(node: u64, at: u64, tags: &[u64]) -> Event {
    call(node, at, Operation::StrongRead, Outcome::Saw(list(tags)))
}

fn refused() -> Outcome {
    Outcome::Refused("no leader".to_owned())
}

fn lost() -> Outcome {
    Outcome::Unknown("no answer".to_owned())
}

fn lives_at(node: u64, at_us: u64) -> Event {
    Event::Lives {
        service: "s".to_owned(),
        instance: ONE.to_owned(),
        node,
        at_us,
    }
}

fn silent(at_us: u64) -> Event {
    Event::Silent {
        service: "s".to_owned(),
        instance: ONE.to_owned(),
        last_beat_us: at_us,
        at_us,
    }
}

fn fault(nodes: &[u64], at_us: u64) -> Event {
    Event::Fault {
        what: "cut".to_owned(),
        nodes: nodes.to_vec(),
        at_us,
    }
}

fn heard(at_us: u64, stamp: u64, tag: u64) -> Event {
    Event::Heard(Heard {
        subscriber: 9,
        session: 1,
        node: 1,
        service: "s".to_owned(),
        at_us,
        stamp,
        list: list(&[tag]),
    })
}

fn history(events: &[Event]) -> History {
    events.iter().cloned().collect()
}

/// The rules that are broken.
fn broken(report: &Report) -> Vec<&str> {
    let broken = report.checked.iter().filter(|checked| checked.verdict.is_broken());
    broken.map(|checked| checked.rule.as_str()).collect()
}

#[test]
fn an_acknowledged_instance_that_is_missing_is_lost() {
    const RULE: &str = "no acknowledged instance is lost";
    let of = |events: &[Event]| broken(&sets::check(&history(events))).contains(&RULE);
    let written = register(0, 1, Outcome::Done);
    assert!(of(&[written.clone(), strong(2, 20, &[])]));
    assert!(!of(&[written.clone(), strong(2, 20, &[1])]));
    // a local read may be behind until all has settled
    assert!(!of(&[written.clone(), local(2, 20, &[])]));
    assert!(of(&[written.clone(), Event::Settled { at_us: 15 }, local(2, 20, &[])]));
    // what was not acknowledged may be lost, and what somebody took back is not
    assert!(!of(&[register(0, 1, lost()), strong(2, 20, &[])]));
    assert!(!of(&[written, deregister(1, 12), strong(2, 40, &[])]));
}

#[test]
fn what_was_refused_or_never_written_must_not_appear() {
    let of = |events: &[Event]| broken(&sets::check(&history(events))).join("; ");
    assert_eq!(
        of(&[register(0, 1, refused()), local(2, 20, &[1])]),
        "nothing that was refused appears"
    );
    assert_eq!(
        of(&[register(0, 1, Outcome::Done), local(2, 20, &[7])]),
        "nothing appears that nobody wrote"
    );
    // nor before it was asked for
    assert_eq!(
        of(&[register(50, 1, Outcome::Done), local(2, 20, &[1])]),
        "nothing appears that nobody wrote"
    );
    assert_eq!(of(&[register(0, 1, lost()), local(2, 20, &[1])]), "");
    assert_eq!(
        of(&[register(0, 1, refused()), heard(30, 1, 1)]),
        "nothing that was refused appears"
    );
}

#[test]
fn an_instance_that_beats_and_leaves_a_list_is_missed() {
    const RULE: &str = "nothing that lives disappears";
    let of = |events: &[Event]| broken(&lives::check(&history(events), BOUNDS)).contains(&RULE);
    let born = lives_at(1, 0);
    assert!(of(&[born.clone(), local(2, 20, &[0]), local(2, 40, &[])]));
    assert!(!of(&[born.clone(), local(2, 20, &[]), local(2, 40, &[0])]));
    assert!(!of(&[born.clone(), local(2, 20, &[0]), silent(30), local(2, 40, &[])]));
    assert!(!of(&[
        born.clone(),
        local(2, 20, &[0]),
        deregister(1, 30),
        local(2, 50, &[])
    ]));
    // never listed at all
    assert!(of(&[born.clone(), local(2, 11 * SECOND, &[])]));
    // who beats at a node that is cut off is not heard elsewhere, but there
    let cut = [born.clone(), local(1, 5, &[0]), local(2, 20, &[0]), fault(&[1], 30)];
    assert!(!of(&[cut.to_vec(), vec![local(2, 50, &[])]].concat()));
    assert!(of(&[cut.to_vec(), vec![local(1, 50, &[])]].concat()));
    // ten seconds after the healing it is heard of everywhere again
    let healed = Event::Healed { at_us: 60 };
    assert!(of(&[cut.to_vec(), vec![healed, local(2, 11 * SECOND, &[])]].concat()));
}

#[test]
fn an_instance_that_is_dead_and_still_listed_is_noticed() {
    const RULE: &str = "nothing dead stays";
    let of = |events: &[Event]| broken(&lives::check(&history(events), BOUNDS)).contains(&RULE);
    let died = [lives_at(1, 0), silent(SECOND)];
    assert!(!of(&[died.to_vec(), vec![local(2, 16 * SECOND, &[0])]].concat()));
    assert!(of(&[died.to_vec(), vec![local(2, 18 * SECOND, &[0])]].concat()));
    // a fault stops the clock
    let cut = [fault(&[2], 2 * SECOND), Event::Healed { at_us: 10 * SECOND }];
    assert!(!of(
        &[died.to_vec(), cut.to_vec(), vec![local(2, 18 * SECOND, &[0])]].concat()
    ));
    assert!(of(
        &[died.to_vec(), cut.to_vec(), vec![local(2, 27 * SECOND, &[0])]].concat()
    ));
    // and so does a machine that stands still, for the nodes give every lease a full period then
    let stalled = Event::Stalled {
        at_us: 10 * SECOND,
        for_us: SECOND,
    };
    assert!(!of(&[
        died.to_vec(),
        vec![stalled.clone(), local(2, 18 * SECOND, &[0])]
    ]
    .concat()));
    assert!(of(&[died.to_vec(), vec![stalled, local(2, 27 * SECOND, &[0])]].concat()));
    // deregistered, it is gone at once where it was acknowledged, and elsewhere within the time of a healing
    let left = [lives_at(1, 0), deregister(1, SECOND)];
    assert!(of(&[left.to_vec(), vec![local(1, 2 * SECOND, &[0])]].concat()));
    assert!(!of(&[left.to_vec(), vec![local(2, 2 * SECOND, &[0])]].concat()));
    assert!(of(&[left.to_vec(), vec![local(2, 12 * SECOND, &[0])]].concat()));
}

#[test]
fn an_older_list_after_a_newer_one_is_noticed() {
    let of = |events: &[Event]| broken(&forward::check(&history(events))).join("; ");
    let written = [register(0, 1, Outcome::Done), register(20, 2, Outcome::Done)];
    let with = |more: &[Event]| of(&[written.to_vec(), more.to_vec()].concat());
    assert_eq!(with(&[heard(50, 1, 1), heard(60, 2, 2)]), "");
    assert_eq!(
        with(&[heard(50, 2, 2), heard(60, 1, 2)]),
        "the stamps of pushes do not go back"
    );
    assert_eq!(
        with(&[heard(50, 2, 1), heard(60, 2, 2)]),
        "the stamps of pushes do not go back"
    );
    assert_eq!(with(&[heard(50, 1, 2), heard(60, 2, 1)]), "pushed lists do not go back");
    assert_eq!(
        with(&[local(1, 50, &[2]), local(1, 70, &[1])]),
        "what a node answers does not go back"
    );
    // another node may be behind, and so may this one be after it was struck
    assert_eq!(with(&[local(1, 50, &[2]), local(2, 70, &[1])]), "");
    assert_eq!(with(&[local(1, 50, &[2]), fault(&[1], 65), local(1, 70, &[1])]), "");
    // one of unknown outcome may take effect late
    let late = [register(0, 1, lost()), register(20, 2, Outcome::Done)];
    assert_eq!(
        of(&[late.to_vec(), vec![heard(50, 1, 2), heard(60, 2, 1)]].concat()),
        ""
    );
}

#[test]
fn a_subscriber_that_never_hears_the_last_list_is_noticed() {
    let of = |events: &[Event]| broken(&forward::check(&history(events))).join("; ");
    let end = [Event::Settled { at_us: 100 }, local(1, 110, &[2])];
    assert_eq!(of(&[vec![heard(50, 1, 1), heard(60, 2, 2)], end.to_vec()].concat()), "");
    assert_eq!(
        of(&[vec![heard(50, 1, 1)], end.to_vec()].concat()),
        "every subscriber is told the newest list"
    );
}

#[test]
fn nodes_that_differ_in_the_end_are_noticed() {
    let node = |node, digest: &str| Event::Final {
        node,
        at_us: 100,
        digest: digest.to_owned(),
        applied_index: 7,
    };
    let of = |events: &[Event]| broken(&agreement::check(&history(events))).join("; ");
    let settled = Event::Settled { at_us: 50 };
    let lists = |second: &[u64]| vec![settled.clone(), local(1, 60, &[1]), local(2, 60, second)];
    assert_eq!(of(&[lists(&[1]), vec![node(1, "a"), node(2, "a")]].concat()), "");
    assert_eq!(
        of(&[lists(&[1]), vec![node(1, "a"), node(2, "b")]].concat()),
        "all nodes agree by digest and index"
    );
    assert_eq!(
        of(&[lists(&[2]), vec![node(1, "a"), node(2, "a")]].concat()),
        "all nodes list the same"
    );
    assert!(
        of(&[node(1, "a"), node(2, "a")]).contains("all nodes list the same"),
        "it never settled"
    );
}

#[test]
fn a_history_is_read_as_it_was_written() {
    let events = [
        Event::Run {
            workload: "set".to_owned(),
            nemeses: vec!["kill".to_owned()],
            seed: 7,
            seconds: 1,
        },
        register(0, 1, Outcome::Done),
        register(20, 2, lost()),
        strong(2, 40, &[1]),
        lives_at(1, 50),
        silent(60),
        fault(&[1, 2], 70),
        heard(80, 3, 1),
        Event::Settled { at_us: 90 },
    ];
    let path = std::env::temp_dir().join(format!("muster-history-{}.jsonl", std::process::id()));
    let written = history(&events);
    written.write(&path).unwrap();
    let read = History::read(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read.unwrap(), written);
}
