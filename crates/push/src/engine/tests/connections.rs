//! What differs where the target is a connection.

use super::*;

impl World {
    /// A subscription whose first push is acked and past.
    fn welcomed(&mut self, key: &SubscriptionKey) {
        self.poll(key);
        self.pass(10);
        for tried in self.sent() {
            assert!(self.ack(&tried));
        }
    }

    /// What goes out in so many steps of so long, each with its step.
    fn schedule(&mut self, steps: u64, millis: u64) -> Vec<(u64, u64)> {
        let mut tries = Vec::new();
        for step in 0..steps {
            tries.extend(revisions(&self.sent()).into_iter().map(|revision| (step, revision)));
            self.pass(millis);
        }
        tries
    }
}

#[test]
fn a_new_subscription_is_pushed_once_soon_after_its_answer_though_the_answer_held_the_list() {
    let (mut world, a) = (World::new(), service("a"));
    assert_eq!(world.poll(&connected(&a, 1, "")), Subscribed::Pushed);
    assert_eq!(world.engine.next_wake(), Some(world.now + Duration::from_millis(10)));
    world.pass(9);
    assert_eq!(world.sent().len(), 0, "the answer goes first");
    world.pass(1);
    let welcome = world.sent();
    assert_eq!(revisions(&welcome), [1]);
    assert_eq!(welcome[0].occasion, Occasion::Welcome);
    assert!(world.ack(&welcome[0]));
    assert_eq!(world.schedule(60, 1_000), []);
}

#[test]
fn a_subscription_to_an_unknown_service_is_pushed_its_empty_list() {
    let (mut world, a) = (World::new(), service("a"));
    world.newest.insert(a.clone(), snapshot(&a, 0, 0));
    world.poll(&connected(&a, 1, ""));
    world.pass(10);
    let welcome = world.sent();
    assert_eq!(welcome.len(), 1);
    assert!(welcome[0].delivery.snapshot.instances.is_empty());
}

#[test]
fn a_change_right_after_subscribing_does_not_overtake_the_answer_and_goes_out_in_its_stead() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.poll(&connected(&a, 2, ""));
    world.change(&a);
    let others = world.sent();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].delivery.key.target, connected(&a, 1, "").target);
    world.pass(10);
    let first = world.sent();
    assert_eq!(revisions(&first), [2]);
    assert_eq!(first[0].occasion, Occasion::Prompt);
    world.ack(&first[0]);
    world.pass(1_000);
    assert_eq!(world.sent().len(), 0);
}

#[test]
fn the_same_subscription_again_is_a_renewal_and_pushes_nothing() {
    let (mut world, a) = (World::new(), service("a"));
    let key = connected(&a, 1, "");
    world.poll(&key);
    world.pass(10);
    let welcome = world.sent();
    assert_eq!(world.poll(&key), Subscribed::Pushed);
    assert_eq!(world.schedule(100, 10), [], "while in flight");
    world.ack(&welcome[0]);
    for _ in 0..10 {
        world.poll(&key);
        assert_eq!(world.schedule(100, 10), []);
    }
    assert_eq!(world.engine.len(), 1);
    world.change(&a);
    world.poll(&key);
    assert_eq!(
        revisions(&world.sent()),
        [2],
        "an answer that held the change is no push of it"
    );
}

#[test]
fn other_clusters_replace_the_subscription_and_are_pushed_once() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, "east"));
    world.change(&a);
    let east = world.sent();
    world.poll(&connected(&a, 1, "west"));
    assert_eq!(world.engine.len(), 1);
    assert!(!world.ack(&east[0]), "nobody waits for that list any more");
    assert_eq!(world.sent().len(), 0);
    world.pass(10);
    let west = world.sent();
    assert_eq!(west.len(), 1);
    assert_eq!(&*west[0].delivery.key.clusters, "west");
    assert!(world.ack(&west[0]));
    world.change(&a);
    world.pass(10);
    let next = world.sent();
    assert_eq!(next.len(), 1);
    assert_eq!(&*next[0].delivery.key.clusters, "west");
}

#[test]
fn a_subscription_replaced_while_it_was_ready_still_waits_for_its_answer() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, "east"));
    world.change(&a);
    // Ready after this, but not taken.
    world.engine.due(0, world.now);
    world.poll(&connected(&a, 1, "west"));
    assert_eq!(world.sent().len(), 0);
    world.pass(10);
    assert_eq!(revisions(&world.sent()), [2]);
}

#[test]
fn what_replaces_a_subscription_is_not_shown_an_older_list_than_it_was() {
    let (mut world, a) = (World::new(), service("a"));
    let old = world.list(&a);
    world.welcomed(&connected(&a, 1, "east"));
    world.change(&a);
    world.sent();
    world.newest.insert(a.clone(), old);
    world.poll(&connected(&a, 1, "west"));
    world.pass(10);
    assert_eq!(world.sent().len(), 0);
    world.newest.insert(a.clone(), snapshot(&a, 2, 1));
    world.change(&a);
    assert_eq!(revisions(&world.sent()), [3]);
}

#[test]
fn unsubscribing_ignores_clusters_and_says_whether_there_was_a_subscription() {
    let (mut world, a, b) = (World::new(), service("a"), service("b"));
    world.welcomed(&connected(&a, 1, "east"));
    world.welcomed(&connected(&b, 1, ""));
    assert!(world.engine.unsubscribe(&a, connection(1)));
    world.check();
    assert!(!world.engine.unsubscribe(&a, connection(1)));
    assert!(!world.engine.unsubscribe(&b, connection(2)));
    assert_eq!(world.engine.take_abandoned(), std::slice::from_ref(&a));
    world.change(&a);
    world.change(&b);
    assert_eq!(world.sent()[0].delivery.key.service, b);
    assert_eq!(world.engine.len(), 1);
}

#[test]
fn the_end_of_a_connection_ends_all_of_it_in_whatever_state_and_nothing_of_another() {
    let mut world = World::new();
    let services: Vec<_> = (0..8).map(|n| service(&format!("s{n}"))).collect();
    for (n, service) in services.iter().enumerate() {
        world.welcomed(&connected(service, 1, ""));
        if n % 2 == 0 {
            world.welcomed(&connected(service, 2, ""));
        }
    }
    // Some in flight, some merging, some ready, some held.
    services[..3].iter().for_each(|service| world.change(service));
    world.sent();
    services[..6].iter().for_each(|service| world.change(service));
    world.engine.due(0, world.now);
    world.poll(&connected(&services[7], 1, "east"));
    world.engine.end(connection(1));
    world.engine.due(64, world.now);
    world.check();
    assert_eq!(world.engine.len(), 4);
    assert!(world.engine.listed_of(connection(1)).is_empty());
    assert_eq!(world.engine.listed_of(connection(2)).len(), 4);
    let mut abandoned = world.engine.take_abandoned();
    abandoned.sort();
    assert_eq!(abandoned, [1, 3, 5, 7].map(|n| services[n].clone()));
    world.engine.end(connection(1));
    world.engine.end(connection(2));
    world.check_empty();
}

#[test]
fn an_ack_ends_the_delivery_of_its_connection_alone_though_others_hold_the_same_token() {
    let (mut world, a) = (World::new(), service("a"));
    for number in 1..=3 {
        world.welcomed(&connected(&a, number, ""));
    }
    world.poll(&subscription(&a, 5));
    world.change(&a);
    let sent = world.sent();
    assert_eq!(sent.len(), 4);
    let token = sent[0].delivery.token;
    assert!(sent.iter().all(|tried| tried.delivery.token == token));
    assert!(world.engine.acked_by(token, connection(2), world.now));
    assert!(!world.engine.acked_by(token, connection(2), world.now));
    assert!(!world.engine.acked_by(token, connection(9), world.now));
    assert!(!world.engine.acked_by(token + 1, connection(1), world.now));
    assert_eq!(world.engine.in_flight(), 3);
    // A datagram's ack from anywhere is none of a connection's, though its peer has that very address.
    assert_eq!(world.engine.holders(token, 10_001).any.len(), 1);
    assert_eq!(world.engine.holders(token, 10_001).same_port.len(), 0);
    assert!(world.engine.acked(token, target(5), world.now));
    assert_eq!(world.engine.in_flight(), 2);
}

#[test]
fn tries_without_ack_follow_every_five_seconds_with_the_newest_list_three_in_all() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    let mut tries = world.schedule(7, 1_000);
    world.change(&a);
    tries.extend(
        world
            .schedule(200, 1_000)
            .into_iter()
            .map(|(at, revision)| (at + 7, revision)),
    );
    assert_eq!(tries, [(0, 2), (5, 2), (10, 3)]);
    assert_eq!(world.engine.tally().failed, 1);
    assert_eq!(world.engine.in_flight(), 0);
}

#[test]
fn a_list_that_a_client_left_unanswered_is_not_sent_again_for_a_change_that_changed_nothing() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    world.schedule(60, 1_000);
    for _ in 0..10 {
        world.engine.changed(&a, 1, world.now);
        world.poll(&connected(&a, 1, ""));
        assert_eq!(world.schedule(60, 1_000), []);
    }
}

#[test]
fn a_client_that_never_acks_is_tried_once_per_change_with_waits_growing_to_thirty_seconds() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&connected(&a, 1, ""));
    world.schedule(60, 1_000);
    let mut tries = Vec::new();
    for second in 0..200 {
        for _ in 0..10 {
            world.change(&a);
            let newest = world.list(&a).revision;
            for revision in revisions(&world.sent()) {
                assert_eq!(revision, newest);
                tries.push(second);
            }
            world.pass(100);
        }
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]);
    let last = world.list(&a).revision;
    assert_eq!(
        world.schedule(100, 1_000).last().map(|(_, revision)| *revision),
        Some(last),
        "the last change is tried, too"
    );
    // After silence of its own a change is tried at once.
    world.change(&a);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn an_ack_however_late_restores_a_client_that_had_stopped_answering() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    let unanswered = world.sent();
    world.schedule(120, 1_000);
    assert_eq!(world.engine.listed(&|_| true)[0].failures_in_a_row, 3);
    assert!(world.ack(&unanswered[0]));
    assert_eq!(world.engine.listed(&|_| true)[0].failures_in_a_row, 0);
    world.change(&a);
    assert_eq!(world.schedule(20, 1_000), [(0, 3), (5, 3), (10, 3)]);
}

#[test]
fn one_delivery_is_in_flight_and_what_changed_meanwhile_goes_out_as_one_upon_the_ack() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    let first = world.sent();
    for _ in 0..5 {
        world.pass(100);
        world.change(&a);
        assert_eq!(world.sent().len(), 0);
    }
    assert!(world.ack(&first[0]));
    assert_eq!(revisions(&world.sent()), [7]);
}

#[test]
fn a_full_queue_is_tried_again_after_20_ms_doubling_to_a_second_and_counts_against_nobody() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    let mut tries = Vec::new();
    for at_ms in 0..4_000 {
        if !world.sent_as(Handed::Busy).is_empty() {
            tries.push(at_ms);
        }
        world.pass(1);
    }
    assert_eq!(tries, [0, 20, 60, 140, 300, 620, 1_260, 2_260, 3_260]);
    world.change(&a);
    world.pass(1_000);
    let sent = world.sent();
    assert_eq!(revisions(&sent), [3]);
    assert_eq!(world.engine.listed(&|_| true)[0].failures_in_a_row, 0);
    assert!(world.ack(&sent[0]));
    // The next time begins anew.
    world.change(&a);
    world.sent_as(Handed::Busy);
    world.pass(20);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_full_queue_does_not_end_the_one_try_of_a_client_that_never_acks() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&connected(&a, 1, ""));
    world.schedule(60, 1_000);
    world.change(&a);
    for _ in 0..10 {
        assert_eq!(world.sent_as(Handed::Busy).len(), 1);
        world.pass(1_000);
    }
    assert_eq!(world.sent().len(), 1);
    assert_eq!(world.schedule(60, 1_000), []);
}

#[test]
fn a_subscription_whose_connection_is_gone_is_dropped_at_once() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&connected(&a, 1, ""));
    world.pass(10);
    assert_eq!(world.sent_as(Handed::Unreachable).len(), 1);
    assert_eq!(world.engine.take_abandoned(), [a]);
    world.check_empty();
}

#[test]
fn a_subscription_lives_as_long_as_its_connection_however_silent() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    for _ in 0..48 {
        world.pass(1_800_000);
        assert_eq!(world.sent().len(), 0);
    }
    world.change(&a);
    assert_eq!(revisions(&world.sent()), [2]);
}

#[test]
fn a_list_that_is_too_large_for_a_message_waits_until_it_shrinks() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.set_list(&a, 500);
    assert_eq!(world.sent_as(Handed::TooLarge).len(), 1);
    world.pass(1_000);
    world.set_list(&a, 501);
    assert_eq!(world.sent().len(), 0);
    world.pass(1_000);
    world.set_list(&a, 400);
    assert_eq!(revisions(&world.sent()), [4]);
}

#[test]
fn forbidding_keeps_subscriptions_and_the_first_push_follows_once_it_is_allowed() {
    let (mut world, a) = (World::closed(), service("a"));
    assert_eq!(world.poll(&connected(&a, 1, "")), Subscribed::PollOnly);
    world.pass(1_000);
    assert_eq!(world.sent().len(), 0);
    world.engine.set_allowed(true);
    let welcome = world.sent();
    assert_eq!(revisions(&welcome), [1]);
    world.ack(&welcome[0]);
    world.change(&a);
    world.sent();
    world.engine.set_allowed(false);
    world.change(&a);
    assert_eq!(world.schedule(60, 1_000), []);
    world.engine.set_allowed(true);
    assert_eq!(revisions(&world.sent()), [3]);
}

#[test]
fn a_drain_does_not_wait_for_answers_to_subscriptions() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&connected(&a, 1, ""));
    world.engine.hurry(world.now);
    assert_eq!(revisions(&world.sent()), [1]);
}

#[test]
fn a_connection_may_subscribe_to_ten_thousand_services_and_no_more() {
    let mut world = World::new();
    let seen = Mark::of(&snapshot(&service("a"), 1, 0));
    for n in 0..SERVICES_PER_RECIPIENT_MAX {
        let key = connected(&service(&format!("s{n}")), 1, "");
        assert!(world.engine.add(key, info(), seen, world.now).is_some());
    }
    let further = service("further");
    let refused = world.engine.add(connected(&further, 1, ""), info(), seen, world.now);
    assert_eq!(refused, None);
    let key = connected(&further, 2, "");
    assert!(world.engine.add(key, info(), seen, world.now).is_some());
}

#[test]
fn a_queue_that_stays_full_through_many_changes_keeps_nothing_of_what_it_had_no_room_for() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    for _ in 0..100 {
        world.change(&a);
        world.sent_as(Handed::Busy);
        world.pass(1_000);
    }
    assert_eq!(world.engine.tokens.len(), 0);
    assert_eq!(revisions(&world.sent()), [101]);
}

#[test]
fn the_ack_of_an_earlier_list_is_no_end_of_one_that_found_no_room() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    let first = world.sent();
    world.change(&a);
    world.pass(5_000);
    assert_eq!(revisions(&world.sent_as(Handed::Busy)), [3]);
    assert!(world.ack(&first[0]));
    assert_eq!(revisions(&world.sent()), [3]);
}

#[test]
fn a_list_that_only_the_answer_to_a_renewal_held_is_pushed_after_tries_of_older_ones_went_unanswered() {
    let (mut world, a) = (World::new(), service("a"));
    world.welcomed(&connected(&a, 1, ""));
    world.change(&a);
    assert_eq!(world.schedule(11, 1_000), [(0, 2), (5, 2), (10, 2)]);
    world.change(&a);
    world.poll(&connected(&a, 1, ""));
    let revisions: Vec<_> = world
        .schedule(60, 1_000)
        .iter()
        .map(|(_, revision)| *revision)
        .collect();
    assert_eq!(revisions, [3]);
}
