//! The rules where the target is an address, and those that hold for every target.

use super::*;
use std::collections::BTreeMap;

#[test]
fn a_change_of_a_quiet_service_goes_out_in_the_same_moment() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    assert_eq!(revisions(&world.sent()), Vec::<u64>::new());
    world.change(&a);
    assert_eq!(revisions(&world.sent()), [2]);
}

#[test]
fn nothing_is_sent_before_pushing_is_allowed_and_then_only_the_newest() {
    let (mut world, a) = (World::closed(), service("a"));
    assert_eq!(world.poll(&subscription(&a, 1)), Subscribed::PollOnly);
    world.change(&a);
    assert_eq!(revisions(&world.sent()), Vec::<u64>::new());
    world.pass(5_000);
    world.change(&a);
    assert_eq!(revisions(&world.sent()), Vec::<u64>::new());
    world.engine.set_allowed(true);
    assert_eq!(revisions(&world.sent()), [3]);
}

#[test]
fn forbidding_keeps_subscriptions_and_what_changed_meanwhile_goes_out_after() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    world.change(&a);
    let first = world.sent();
    world.ack(&first[0]);
    world.engine.set_allowed(false);
    world.pass(1_000);
    world.change(&a);
    assert_eq!(world.sent().len(), 0);
    world.engine.set_allowed(true);
    assert_eq!(revisions(&world.sent()), [3]);
}

#[test]
fn one_delivery_is_in_flight_and_a_change_meanwhile_goes_out_upon_the_ack() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
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
fn an_acked_list_is_never_sent_again() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    world.change(&a);
    let sent = world.sent();
    assert!(world.ack(&sent[0]));
    assert!(!world.ack(&sent[0]), "a second ack answers nothing");
    for _ in 0..40 {
        // Equal content gets no new revision.
        world.engine.changed(&a, 1, world.now);
        world.pass(500);
        assert_eq!(world.sent().len(), 0);
    }
}

#[test]
fn a_list_that_the_poll_told_is_not_pushed() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.sent();
    world.change(&a);
    world.poll(&key);
    assert_eq!(world.sent().len(), 0);
}

#[test]
fn the_answer_to_a_poll_counts_for_nothing_after_a_push_because_java_drops_it() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.change(&a);
    let first = world.sent();
    world.ack(&first[0]);
    world.pass(1_000);
    world.change(&a);
    world.poll(&key);
    assert_eq!(revisions(&world.sent()), [3]);
}

#[test]
fn a_change_between_the_poll_s_answer_and_its_subscription_is_not_missed() {
    let (mut world, a) = (World::new(), service("a"));
    let seen = Mark::of(&world.list(&a));
    world.change(&a);
    world.engine.add(subscription(&a, 1), info(), seen, world.now).unwrap();
    assert_eq!(revisions(&world.sent()), [2]);
}

#[test]
fn tries_without_ack_follow_after_1_3_and_10_seconds_with_the_newest_list_and_then_end() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.poll(&key);
    world.sent();
    // An ack long ago: the address is known to want datagrams.
    world.change(&a);
    let first = world.sent();
    world.ack(&first[0]);
    world.pass(60_000);
    world.poll(&key);
    world.change(&a);
    let mut tries = Vec::new();
    for second in 0..60 {
        tries.extend(revisions(&world.sent()).into_iter().map(|revision| (second, revision)));
        if second == 2 {
            world.change(&a);
        }
        world.pass(1_000);
    }
    assert_eq!(tries, [(0, 3), (1, 3), (4, 4), (14, 4)]);
    assert_eq!(world.engine.tally().failed, 1);
}

#[test]
fn a_late_ack_of_an_older_list_does_not_end_the_delivery_of_the_newer() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    world.change(&a);
    let older = world.sent();
    world.pass(500);
    world.change(&a);
    world.sent();
    world.pass(500);
    assert_eq!(revisions(&world.sent()), [3]);
    assert!(world.ack(&older[0]));
    assert_eq!(world.engine.in_flight(), 1);
    world.poll(&subscription(&a, 1));
    world.pass(3_000);
    assert_eq!(revisions(&world.sent()), [3]);
}

/// A subscriber that acked once and then fell silent for one delivery.
fn silent_after_one_ack() -> (World, ServiceKey, SubscriptionKey) {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.change(&a);
    let first = world.sent();
    world.ack(&first[0]);
    world.pass(1_000);
    world.change(&a);
    for _ in 0..30 {
        world.sent();
        world.pass(1_000);
    }
    (world, a, key)
}

#[test]
fn three_unanswered_datagrams_make_a_subscription_poll_only() {
    let (mut world, a, key) = silent_after_one_ack();
    world.change(&a);
    assert_eq!(world.sent().len(), 0);
    assert_eq!(world.poll(&key), Subscribed::PollOnly);
    assert_eq!(world.engine.listed(&|_| true)[0].failures_in_a_row, 4);
}

#[test]
fn each_poll_of_a_poll_only_subscription_is_worth_one_try_and_an_ack_restores_it() {
    let (mut world, a, key) = silent_after_one_ack();
    world.poll(&key);
    world.change(&a);
    let probe = world.sent();
    assert_eq!(probe.len(), 1);
    for _ in 0..30 {
        world.pass(1_000);
        world.change(&a);
        assert_eq!(world.sent().len(), 0, "one try and no further");
    }
    assert_eq!(world.poll(&key), Subscribed::PollOnly);
    world.change(&a);
    let probe = world.sent();
    assert_eq!(probe.len(), 1);
    assert!(world.ack(&probe[0]));
    assert_eq!(world.poll(&key), Subscribed::Pushed);
    world.pass(1_000);
    world.change(&a);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn a_late_ack_restores_every_subscription_of_its_address() {
    let mut world = World::new();
    let services: Vec<_> = (0..5).map(|n| service(&format!("s{n}"))).collect();
    for service in &services {
        world.poll(&subscription(service, 1));
    }
    services.iter().for_each(|service| world.change(service));
    let sent = world.sent();
    assert_eq!(sent.len(), 5);
    // A pause of the client: all five go unanswered at once.
    world.pass(1_100);
    world.sent();
    assert_eq!(world.poll(&subscription(&services[0], 1)), Subscribed::PollOnly);
    services.iter().for_each(|service| world.change(service));
    world.sent();
    for tried in &sent {
        world.ack(tried);
    }
    let mut caught_up: Vec<_> = world
        .sent()
        .iter()
        .map(|tried| tried.delivery.key.service.clone())
        .collect();
    caught_up.sort();
    caught_up.dedup();
    assert_eq!(caught_up.len(), 5);
    assert_eq!(world.poll(&subscription(&services[0], 1)), Subscribed::Pushed);
}

#[test]
fn an_address_that_never_acked_gets_two_datagrams_per_poll_it_makes() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    let mut polls = 0;
    let mut datagrams = 0;
    for second in 0..600 {
        if second % 10 == 0 {
            world.poll(&key);
            polls += 1;
        }
        world.change(&a);
        datagrams += world.sent().len();
        assert!(datagrams <= 2 * polls, "{datagrams} datagrams after {polls} polls");
        world.pass(1_000);
    }
    assert!(datagrams > 10);
}

/// P1: all that its first poll was worth went unanswered, so that it need not wait for the poll after the next.
#[test]
fn an_address_that_no_datagram_ever_reached_is_told_to_poll_sooner_at_its_next_poll() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    assert_eq!(world.poll(&key), Subscribed::Pushed);
    world.change(&a);
    for _ in 0..10 {
        world.sent();
        world.pass(1_000);
    }
    assert_eq!(world.poll(&key), Subscribed::PollOnly);
    let mut tried = Vec::new();
    for _ in 0..20 {
        world.change(&a);
        tried.extend(world.sent());
        world.pass(3_000);
        assert_eq!(world.poll(&key), Subscribed::PollOnly);
    }
    // It is tried all the while, seldom, and one ack suffices.
    assert!((4..=20).contains(&tried.len()), "{}", tried.len());
    assert!(world.ack(tried.last().unwrap()));
    assert_eq!(world.poll(&key), Subscribed::Pushed);
}

#[test]
fn polls_in_a_victim_s_name_do_not_save_up_datagrams() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    for _ in 0..1_000 {
        world.poll(&key);
    }
    let mut datagrams = 0;
    for _ in 0..80 {
        world.change(&a);
        datagrams += world.sent().len();
        world.pass(1_000);
    }
    assert!(datagrams <= 2, "{datagrams}");
}

#[test]
fn a_list_that_does_not_fit_makes_poll_only_until_it_shrinks() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.set_list(&a, 500);
    assert_eq!(world.sent_as(Handed::TooLarge).len(), 1);
    assert_eq!(world.poll(&key), Subscribed::PollOnly);
    world.pass(1_000);
    world.set_list(&a, 501);
    assert_eq!(world.sent().len(), 0);
    world.pass(1_000);
    world.set_list(&a, 400);
    assert_eq!(revisions(&world.sent()), [4]);
    assert_eq!(world.poll(&key), Subscribed::Pushed);
}

#[test]
fn an_address_that_cannot_be_sent_to_is_poll_only_at_once() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.change(&a);
    assert_eq!(world.sent_as(Handed::Unreachable).len(), 1);
    world.pass(1_000);
    world.change(&a);
    assert_eq!(world.sent().len(), 0);
    assert_eq!(world.poll(&key), Subscribed::PollOnly);
}

#[test]
fn what_the_network_had_no_room_for_follows_soon_and_counts_against_nobody() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.change(&a);
    assert_eq!(world.sent_as(Handed::Busy).len(), 1);
    for _ in 0..5 {
        world.pass(20);
        assert_eq!(world.sent_as(Handed::Busy).len(), 1);
    }
    world.pass(20);
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(world.engine.listed(&|_| true)[0].failures_in_a_row, 0);
    assert!(world.ack(&sent[0]));
}

#[test]
fn a_subscription_lives_90_seconds_after_its_last_poll_or_ack_and_leaves_nothing_behind() {
    let (mut world, a) = (World::new(), service("a"));
    let key = subscription(&a, 1);
    world.poll(&key);
    world.pass(80_000);
    world.change(&a);
    let sent = world.sent();
    world.ack(&sent[0]);
    world.pass(80_000);
    world.sent();
    assert_eq!(world.engine.len(), 1, "the ack counts as life");
    world.poll(&key);
    world.pass(89_999);
    world.change(&a);
    assert_eq!(world.sent().len(), 1);
    world.pass(2);
    world.engine.due(64, world.now);
    assert_eq!(world.engine.take_abandoned(), [a]);
    world.check_empty();
}

#[test]
fn nothing_piles_up_while_pushing_is_forbidden_and_subscribers_come_and_go() {
    let (mut world, a) = (World::new(), service("a"));
    world.engine.set_allowed(false);
    for port in 1..1_000 {
        world.poll(&subscription(&a, port));
        world.change(&a);
        world.pass(10_000);
        world.engine.due(64, world.now);
    }
    assert!(world.engine.len() <= 10);
    assert_eq!(world.engine.ready.len(), 0);
}

#[test]
fn an_address_may_subscribe_to_ten_thousand_services_and_no_more() {
    let mut world = World::new();
    let seen = Mark::of(&snapshot(&service("a"), 1, 0));
    for n in 0..SERVICES_PER_RECIPIENT_MAX {
        let key = subscription(&service(&format!("s{n}")), 1);
        assert!(world.engine.add(key, info(), seen, world.now).is_some());
    }
    let further = subscription(&service("further"), 1);
    assert_eq!(world.engine.add(further.clone(), info(), seen, world.now), None);
    let elsewhere = SubscriptionKey {
        target: Target::Udp(target(2)),
        ..further
    };
    assert!(world.engine.add(elsewhere, info(), seen, world.now).is_some());
}

#[test]
fn acks_of_two_cluster_sets_of_one_client_are_told_apart() {
    let (mut world, a) = (World::new(), service("a"));
    let narrow = SubscriptionKey {
        clusters: "east".into(),
        ..subscription(&a, 1)
    };
    world.poll(&subscription(&a, 1));
    world.poll(&narrow);
    world.change(&a);
    let sent = world.sent();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0].delivery.token, sent[1].delivery.token);
    assert!(world.ack(&sent[0]));
    assert_eq!(world.engine.in_flight(), 1);
    assert!(world.ack(&sent[1]));
    assert_eq!(world.engine.in_flight(), 0);
}

#[test]
fn an_ack_from_another_port_of_the_host_counts_if_only_one_there_can_have_sent_it() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    world.change(&a);
    let sent = world.sent();
    assert!(world.engine.acked(sent[0].delivery.token, target(60_000), world.now));
    assert_eq!(world.engine.in_flight(), 0);
    world.poll(&subscription(&a, 2));
    world.pass(1_000);
    world.change(&a);
    let sent = world.sent();
    assert_eq!((sent.len(), sent[0].delivery.token), (2, sent[1].delivery.token));
    assert!(!world.engine.acked(sent[0].delivery.token, target(60_000), world.now));
    let holders = world.engine.holders(sent[0].delivery.token, 2);
    assert_eq!((holders.any.len(), holders.same_port.len()), (2, 1));
}

#[test]
fn an_ack_from_another_host_does_not_lift_the_limit_on_unproven_addresses() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    let mut datagrams = 0;
    for _ in 0..50 {
        world.change(&a);
        for tried in world.sent() {
            datagrams += 1;
            world.engine.accept(tried.id, tried.delivery.token, false, world.now);
        }
        world.pass(1_000);
    }
    assert_eq!(datagrams, 2);
}

#[test]
fn a_change_touches_the_subscribers_of_its_service_alone() {
    let (mut world, a, b) = (World::new(), service("a"), service("b"));
    for port in 1..500 {
        world.poll(&subscription(if port % 100 == 0 { &a } else { &b }, port));
    }
    world.sent();
    world.engine.changed(&a, 1, world.now);
    assert_eq!(world.engine.due(10_000, world.now).tries.len(), 4);
}

#[test]
fn a_service_whose_revisions_began_anew_is_pushed_by_its_stamp() {
    let (mut world, a) = (World::new(), service("a"));
    world.newest.insert(a.clone(), snapshot(&a, 500, 1));
    world.poll(&subscription(&a, 1));
    world.sent();
    let again = ServiceSnapshot {
        stamp_ms: 1_000,
        ..Arc::into_inner(snapshot(&a, 1, 1)).unwrap()
    };
    world.newest.insert(a.clone(), Arc::new(again));
    world.engine.changed(&a, 1, world.now);
    assert_eq!(revisions(&world.sent()), [1]);
}

/// P2: half of the subscribers are dead, 100 changes a second.
#[test]
fn a_dead_half_neither_slows_the_live_half_nor_makes_anything_grow() {
    const SUBSCRIBERS: u16 = 400;
    let (mut world, a) = (World::new(), service("a"));
    let lives = |port: u16| port.is_multiple_of(2);
    let mut has: BTreeMap<u16, u64> = BTreeMap::new();
    let mut acks: VecDeque<(Instant, u16, Try)> = VecDeque::new();
    let (mut longest_behind, mut to_dead) = (0, 0);
    // Twenty seconds in steps of 2 ms.
    for step in 0..10_000_u64 {
        if step.is_multiple_of(5_000) {
            (0..SUBSCRIBERS).for_each(|port| {
                world.poll(&subscription(&a, port + 1));
            });
        }
        if step.is_multiple_of(5) {
            world.change(&a);
        }
        for tried in world.sent() {
            let port = tried.delivery.key.target.address().port() - 1;
            if lives(port) {
                has.insert(port, tried.delivery.snapshot.revision);
                acks.push_back((world.now + Duration::from_millis(2), port, tried));
            } else {
                to_dead += 1;
            }
        }
        while acks.front().is_some_and(|(at, _, _)| *at <= world.now) {
            let (_, _, tried) = acks.pop_front().unwrap();
            assert!(world.ack(&tried));
        }
        if step > 10 {
            let newest = world.list(&a).revision;
            let oldest = *has.values().min().unwrap();
            longest_behind = longest_behind.max(newest - oldest);
        }
        world.pass(2);
    }
    // 100 changes a second: 10 ms each.
    assert!(longest_behind <= 5, "{longest_behind} changes behind");
    assert!(
        to_dead <= 2 * 2 * u64::from(SUBSCRIBERS),
        "{to_dead} datagrams to the dead"
    );
    assert_eq!(world.engine.len(), usize::from(SUBSCRIBERS));
    assert!(world.engine.tokens.len() <= 4 * usize::from(SUBSCRIBERS));
}

#[test]
fn a_list_older_than_one_that_was_shown_is_not_sent() {
    let (mut world, a) = (World::new(), service("a"));
    world.poll(&subscription(&a, 1));
    world.change(&a);
    let older = world.list(&a);
    world.change(&a);
    assert_eq!(revisions(&world.sent()), [3]);
    // not acked, and whoever is asked for the retry is behind
    world.newest.insert(a.clone(), older);
    world.pass(1_000);
    assert!(world.sent().is_empty());
    world.newest.insert(a.clone(), snapshot(&a, 3, 1));
    world.change(&a);
    world.pass(1_000);
    assert_eq!(revisions(&world.sent()), [4]);
}
