//! The order in which records arrive does not matter.

use super::cluster::{instance, key, service};
use crate::merge::{Incoming, Merged};
use crate::moment::Moment;
use crate::record::{Body, Gone, Holder, State, Version};
use crate::store::Store;
use muster_model::{MemberId, Stamp, Weight};
use muster_runtime::{Clock, HybridClock};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const NOW: Moment = Moment(1 << 40);
const LONG_AGO: Moment = Moment((1 << 40) - 100_000);
const WALL_MS: u64 = 1_700_000_000_000;

fn store() -> Store {
    let hybrid = HybridClock::new(Clock::system());
    Store::new(MemberId(9), hybrid, 1_000, Duration::from_secs(600))
}

/// One write: which key, when, by whom, what.
fn record((port, at, origin): (u16, u64, u64)) -> Incoming {
    // As in a cluster, a version names one write: what is written follows from it.
    let kind = (at * 7 + origin * 3 + u64::from(port)) % 5;
    let mut listed = instance(port);
    listed.weight = Weight::new((at % 10) as f64).unwrap();
    listed.healthy = kind != 3;
    let version = |at, origin| Version {
        stamp: Stamp::from_millis(now_ms() + at),
        origin: MemberId(origin),
    };
    // Of any member's claim before it, however long ago.
    let before = (1 + (at + origin + u64::from(port)) % 4).min(at);
    let claim = version(
        at - before,
        if before > 0 {
            1 + (at + u64::from(port)) % 3
        } else {
            origin
        },
    );
    Incoming {
        service: service("a"),
        key: key(port),
        state: State {
            version: version(at, origin),
            body: match kind {
                0 => Body::Gone(Gone::Deregistered),
                1 => Body::Gone(Gone::Expired),
                4 => Body::Gone(Gone::Released(Box::new(claim))),
                _ => Body::Listed(Arc::new(listed)),
            },
            held_by: Holder::new(MemberId(origin)).filter(|_| kind == 2),
            by_silence: kind == 3,
        },
        // Seen all at once and long ago, so that nobody can refute: what is tested is the order of versions alone.
        seen: LONG_AGO,
        interval_ms: None,
    }
}

/// Close to the system's time, or the tombstones would be too old to be kept.
fn now_ms() -> u64 {
    static AT: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *AT.get_or_init(|| Clock::system().wall_ms().max(WALL_MS))
}

type Reading = (u64, Vec<u64>, Vec<(u16, bool, String)>);

fn reading(store: &Store) -> Reading {
    let listed = store.instances(&service("a"));
    let rows = listed
        .iter()
        .map(|i| (i.key.port, i.healthy, i.weight.get().to_string()))
        .collect();
    (store.digest(), store.leaf_digests(0), rows)
}

fn after(records: impl IntoIterator<Item = (u16, u64, u64)>) -> Reading {
    let store = store();
    for given in records {
        store.merge(record(given), NOW);
    }
    reading(&store)
}

proptest! {
    // Each case makes four stores of 4,096 leaves.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_any_repetition_and_any_grouping_give_the_same_store(
        records in prop::collection::vec((1u16..6, 0u64..6, 1u64..4), 1..40),
        seed in any::<u64>(),
    ) {
        let expected = after(records.clone());
        let mut shuffled = records.clone();
        shuffled.extend(records.iter().take(records.len() / 2).copied());
        let count = shuffled.len();
        for index in 0..count {
            shuffled.swap(index, (seed as usize).wrapping_mul(index + 7) % count);
        }
        prop_assert_eq!(after(shuffled), expected.clone());
        // Two halves merged apart, and then one store's result told to the other.
        let (left, right) = records.split_at(records.len() / 2);
        let (one, two) = (store(), store());
        for given in left { one.merge(record(*given), NOW); }
        for given in right { two.merge(record(*given), NOW); }
        for leaf in 0..crate::leaf::LEAVES {
            for held in two.records_of_leaf(leaf) {
                one.merge(Incoming {
                    service: held.service.clone(),
                    key: held.key.clone(),
                    state: held.state(),
                    seen: LONG_AGO,
                    interval_ms: None,
                }, NOW);
            }
        }
        prop_assert_eq!(reading(&one), expected);
    }
}

fn listed(at: u64, seen: Moment) -> Incoming {
    let mut incoming = record((1, at, 1));
    incoming.state.body = Body::Listed(Arc::new(instance(1)));
    incoming.state.by_silence = false;
    incoming.seen = seen;
    incoming
}

fn gone(at: u64, how: Gone, basis: Moment) -> Incoming {
    let mut incoming = listed(at, basis);
    incoming.state.body = Body::Gone(how);
    incoming
}

#[test]
fn a_later_beat_refutes_an_expiry_with_a_newer_write() {
    let store = store();
    store.merge(listed(1, NOW.minus_ms(2_000)), NOW);
    let expiry = gone(100_000, Gone::Expired, NOW.minus_ms(31_000));
    store.hybrid.observe(expiry.state.version.stamp);
    let Merged::Refuted(applied) = store.merge(expiry.clone(), NOW) else {
        panic!("taken");
    };
    assert!(applied.version > expiry.state.version && !applied.visible);
    assert!(store.instance(&service("a"), &key(1)).is_some());
}

#[test]
fn an_expiry_is_believed_by_who_saw_nothing_later() {
    let store = store();
    store.merge(listed(1, NOW.minus_ms(31_500)), NOW);
    let expiry = gone(100_000, Gone::Expired, NOW.minus_ms(32_000));
    assert!(matches!(store.merge(expiry, NOW), Merged::Taken(applied) if applied.visible));
    assert!(store.instances(&service("a")).is_empty());
}

#[test]
fn a_removal_that_a_repeated_registration_has_overtaken_is_refuted() {
    let store = store();
    store.hybrid.observe(Stamp::from_millis(now_ms() + 1_000));
    store.register(&service("a"), instance(1), NOW).unwrap();
    let removal = gone(2_000, Gone::Deregistered, NOW);
    store.hybrid.observe(removal.state.version.stamp);
    store.register(&service("a"), instance(1), NOW).unwrap();
    assert!(matches!(store.merge(removal, NOW), Merged::Refuted(_)));
}

fn marked(at: u64, seen: Moment) -> Incoming {
    let mut incoming = listed(at, seen);
    incoming.state.by_silence = true;
    incoming
}

#[test]
fn a_mark_for_silence_brings_nothing_back_that_was_removed_unheard_of() {
    for how in [Gone::Deregistered, Gone::Expired] {
        let store = store();
        store.merge(listed(1, NOW.minus_ms(80_000)), NOW);
        store.merge(gone(2, how, NOW.minus_ms(31_000)), NOW);
        let mark = marked(3, NOW.minus_ms(47_000));
        store.hybrid.observe(mark.state.version.stamp);
        let Merged::Refuted(applied) = store.merge(mark.clone(), NOW) else {
            panic!("taken");
        };
        assert!(applied.version > mark.state.version && !applied.visible);
        assert!(store.instances(&service("a")).is_empty());
    }
}

#[test]
fn a_refuted_mark_for_silence_takes_no_edit_back_that_came_before_it() {
    let store = store();
    store.merge(listed(1, NOW.minus_ms(2_000)), NOW);
    let mut mark = marked(100_000, NOW.minus_ms(16_000));
    let mut edited = instance(1);
    edited.weight = Weight::new(7.0).unwrap();
    edited.healthy = false;
    mark.state.body = Body::Listed(Arc::new(edited));
    store.hybrid.observe(mark.state.version.stamp);
    let Merged::Refuted(applied) = store.merge(mark.clone(), NOW) else {
        panic!("taken");
    };
    assert!(applied.version > mark.state.version && applied.visible);
    let kept = store.instance(&service("a"), &key(1)).unwrap();
    assert!(kept.healthy && kept.weight.get() == 7.0);
}

/// Found by the simulation (seed 1122): see [`Lease::refutes`](crate::lease::Lease::refutes).
#[test]
fn a_mark_that_a_neighbour_passes_on_with_the_age_of_a_beat_taken_here_is_refuted() {
    let store = store();
    store.merge(listed(1, NOW.minus_ms(1_000)), NOW);
    let mut mark = marked(100_000, NOW.minus_ms(1_000));
    let mut unhealthy = instance(1);
    unhealthy.healthy = false;
    mark.state.body = Body::Listed(Arc::new(unhealthy));
    assert!(matches!(store.merge(mark, NOW), Merged::Refuted(_)));
    assert!(store.instance(&service("a"), &key(1)).unwrap().healthy);
}

#[test]
fn a_mark_for_silence_tells_of_a_registration_that_came_after_a_removal() {
    let store = store();
    store.merge(gone(1, Gone::Deregistered, NOW.minus_ms(20_000)), NOW);
    assert!(matches!(
        store.merge(marked(3, NOW.minus_ms(16_000)), NOW),
        Merged::Taken(applied) if applied.visible
    ));
}

fn released(at: u64, by: u64, claim: &State) -> Incoming {
    let mut incoming = gone(at, Gone::Released(Box::new(claim.version)), NOW);
    incoming.state.version.origin = MemberId(by);
    incoming
}

#[test]
fn a_release_ends_the_claim_it_names_and_older_ones_and_none_after_it_whatever_the_stamps_say() {
    let (older, claim, newer) = (listed(1, NOW), listed(2, NOW), listed(3, NOW));
    let release = released(1_000, 2, &claim.state);
    for (before, ends) in [(&older, true), (&claim, true), (&newer, false)] {
        let store = store();
        store.merge(before.clone(), NOW);
        let merged = store.merge(release.clone(), NOW);
        assert_eq!(matches!(merged, Merged::Taken(_)), ends);
        assert_eq!(
            matches!(merged, Merged::Overtaken { .. }),
            !ends,
            "its writer must hear of it"
        );
        assert_eq!(store.instances(&service("a")).is_empty(), ends);
    }
}

/// With a rule by pairs these three would each beat the next.
#[test]
fn an_old_claim_a_newer_one_of_another_member_and_its_release_give_one_store_in_any_order() {
    let (mut old, new) = (listed(1, NOW), listed(2, NOW));
    old.state.version.origin = MemberId(2);
    let release = released(3, 1, &new.state);
    let all = [old, new, release];
    let readings = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map(|order| {
        let store = store();
        for index in order {
            store.merge(all[index].clone(), NOW);
        }
        reading(&store)
    });
    assert!(
        readings
            .iter()
            .all(|reading| *reading == readings[0] && reading.2.is_empty())
    );
}
