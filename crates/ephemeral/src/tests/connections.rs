//! Leases that are open connections: who holds what, and what is left when it goes.

use super::cluster::*;
use crate::{Beat, Config, Ending, Error};
use muster_model::{ConnectionId, Instance, InstanceEdit, MemberId, ServiceKey, Weight};
use muster_transport::memory::Network;
use std::time::Duration;

const ONE: ConnectionId = ConnectionId(1);
const TWO: ConnectionId = ConnectionId(2);

fn weighing(port: u16, weight: f64) -> Instance {
    let mut instance = instance(port);
    instance.weight = Weight::new(weight).unwrap();
    instance
}

impl TestNode {
    fn publish(&self, connection: ConnectionId, service: &ServiceKey, ports: &[u16]) {
        let instances = ports.iter().map(|port| instance(*port)).collect();
        self.store.publish(connection, service, instances).unwrap();
    }

    fn weight(&self, service: &ServiceKey, port: u16) -> Option<f64> {
        self.store
            .instance(service, &key(port))
            .map(|instance| instance.weight.get())
    }
}

fn told(nodes: &[TestNode]) -> Vec<usize> {
    nodes.iter().map(|node| node.told.count()).collect()
}

fn all_list(nodes: &[TestNode], service: &ServiceKey, ports: &[u16]) {
    for node in nodes {
        assert_eq!(node.ports(service), ports, "at {}", node.id);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_living_connection_publishes_stays_healthy_everywhere_whatever_its_metadata_asks() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    let hasty = ports.iter().map(|port| timed(*port, 500, 1_000, 2_000)).collect();
    nodes[0].store.publish(ONE, &s, hasty).unwrap();
    millis(20).await;
    let before = told(&nodes);
    seconds(120).await;
    all_list(&nodes, &s, &ports);
    assert_eq!(told(&nodes), before, "nobody marked or removed any");
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_removes_what_it_published_everywhere_at_once() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    nodes[0].publish(TWO, &s, &[3]);
    millis(20).await;
    nodes[0].store.end(ONE);
    millis(20).await;
    all_list(&nodes, &s, &[3]);
    assert_eq!(nodes[1].store.beat(&s, &key(1)), Beat::Unknown);
    nodes[0].store.end(TWO);
    assert!(nodes[0].store.node.store.holds.is_empty(), "nothing is kept of them");
}

#[tokio::test(start_paused = true)]
async fn a_list_replaces_the_last_one_and_an_empty_one_is_kept_and_lists_nothing() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    nodes[0].publish(ONE, &s, &[2, 3, 3]);
    millis(20).await;
    all_list(&nodes, &s, &[2, 3]);
    nodes[0].publish(ONE, &s, &[]);
    millis(20).await;
    all_list(&nodes, &s, &[]);
    assert_eq!(nodes[0].store.published_by(ONE), [(s.clone(), Vec::new())]);
    nodes[0].publish(ONE, &s, &[4]);
    nodes[0].store.withdraw(ONE, &s, &key(99));
    millis(20).await;
    all_list(&nodes, &s, &[]);
    assert!(nodes[0].store.published_by(ONE).is_empty());
    nodes[0].store.withdraw(ONE, &s, &key(99));
}

#[tokio::test(start_paused = true)]
async fn publishing_the_same_again_tells_nobody() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    millis(20).await;
    let before = (told(&nodes), nodes[0].store.digest());
    nodes[0].publish(ONE, &s, &[1]);
    millis(20).await;
    assert_eq!((told(&nodes), nodes[0].store.digest()), before, "not even the members");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_its_new_connection_before_it_closes_the_old_is_never_missing() {
    for same_node in [true, false] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        let newer = if same_node { &nodes[0] } else { &nodes[1] };
        nodes[0].publish(ONE, &s, &[1]);
        millis(20).await;
        let before = told(&nodes);
        newer.publish(TWO, &s, &[1]);
        millis(20).await;
        nodes[0].store.end(ONE);
        seconds(40).await;
        all_list(&nodes, &s, &[1]);
        assert_eq!(told(&nodes), before, "no reader saw anything; same node: {same_node}");
        newer.store.end(TWO);
        millis(20).await;
        all_list(&nodes, &s, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_first_and_registers_at_another_node_is_back_at_once() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    // Its removal is stamped later than its new registration.
    nodes[0].clock.set_skew_ms(3_000);
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    millis(20).await;
    nodes[0].store.end(ONE);
    nodes[1].publish(ONE, &s, &[1]);
    millis(50).await;
    all_list(&nodes, &s, &[1]);
    seconds(40).await;
    all_list(&nodes, &s, &[1]);
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn of_two_connections_of_a_node_with_one_address_the_newer_is_listed_and_then_the_other_without_a_gap() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    for (connection, weight) in [(ONE, 1.0), (TWO, 2.0)] {
        nodes[0]
            .store
            .publish(connection, &s, vec![weighing(1, weight)])
            .unwrap();
        millis(20).await;
        assert_eq!(nodes[2].weight(&s, 1), Some(weight));
    }
    let before = told(&nodes);
    nodes[0].store.end(TWO);
    millis(20).await;
    assert!(nodes.iter().all(|node| node.weight(&s, 1) == Some(1.0)));
    assert_eq!(
        told(&nodes),
        before.iter().map(|count| count + 1).collect::<Vec<_>>(),
        "one change, and no removal before it"
    );
    seconds(40).await;
    all_list(&nodes, &s, &[1]);
    nodes[0].store.end(ONE);
    millis(20).await;
    all_list(&nodes, &s, &[]);
}

#[tokio::test(start_paused = true)]
async fn of_two_connections_of_two_nodes_with_one_address_either_may_end_and_the_other_keeps_it() {
    for newer_ends in [true, false] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        nodes[0].store.publish(ONE, &s, vec![weighing(1, 1.0)]).unwrap();
        millis(20).await;
        nodes[1].store.publish(ONE, &s, vec![weighing(1, 2.0)]).unwrap();
        millis(20).await;
        let (ends, stays, weight) = if newer_ends { (1, 0, 1.0) } else { (0, 1, 2.0) };
        nodes[ends].store.end(ONE);
        millis(50).await;
        assert!(nodes.iter().all(|node| node.weight(&s, 1) == Some(weight)));
        seconds(40).await;
        assert!(nodes.iter().all(|node| node.weight(&s, 1) == Some(weight)));
        nodes[stays].store.end(ONE);
        millis(50).await;
        all_list(&nodes, &s, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_with_its_connections_leaves_nothing_after_thirty_five_seconds_but_who_has_moved() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    nodes[0].publish(ONE, &s, &ports);
    seconds(42).await;
    nodes.remove(0).kill(&network);
    seconds(20).await;
    nodes[1].publish(ONE, &s, &[7]);
    seconds(4).await;
    for node in &nodes {
        let listed = node.store.instances(&s);
        assert_eq!(listed.len(), 60, "not before their time");
        assert!(
            listed.iter().all(|instance| instance.healthy),
            "there is no time of doubt"
        );
    }
    seconds(11).await;
    all_list(&nodes, &s, &[7]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_restarts_holds_none_of_its_former_connections_leases() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[2].publish(ONE, &s, &[1, 2, 3]);
    seconds(20).await;
    nodes.pop().unwrap().kill(&network);
    seconds(1).await;
    nodes.push(start(&network, 3, 3, Config::default()));
    eventually("it is ready", Duration::from_secs(8), || nodes[2].is_ready()).await;
    all_list(&nodes, &s, &[1, 2, 3]);
    assert!(nodes[2].store.published_by(ONE).is_empty());
    // The same number, another connection: it owns what it publishes.
    nodes[2].publish(ONE, &s, &[2]);
    nodes[0].publish(ONE, &s, &[3]);
    seconds(36).await;
    all_list(&nodes, &s, &[2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_the_majority_has_ended_during_a_cut_comes_back_with_the_healing_while_its_connection_lives() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    nodes[0].publish(TWO, &s, &[3]);
    let edit = InstanceEdit {
        enabled: Some(false),
        ..InstanceEdit::default()
    };
    millis(20).await;
    nodes[1].store.edit(&s, &key(1), edit).unwrap();
    seconds(1).await;
    network.isolate(MemberId(1));
    seconds(60).await;
    all_list(&nodes[1..], &s, &[]);
    all_list(&nodes[..1], &s, &[1, 2, 3]);
    nodes[0].store.end(TWO);
    network.heal();
    seconds(10).await;
    all_list(&nodes, &s, &[1, 2]);
    assert!(
        nodes
            .iter()
            .all(|node| !node.store.instance(&s, &key(1)).unwrap().enabled),
        "an edit is not undone by a refutation"
    );
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn a_deregistration_by_name_is_obeyed_and_the_connection_may_publish_again() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    nodes[0].publish(TWO, &s, &[1]);
    millis(20).await;
    nodes[1].store.deregister(&s, &key(1)).unwrap();
    seconds(40).await;
    all_list(&nodes, &s, &[2]);
    let published = nodes[0].store.published_by(ONE);
    assert_eq!(published[0].1.len(), 1, "its hold is dropped");
    nodes[0].publish(ONE, &s, &[1, 2]);
    millis(20).await;
    all_list(&nodes, &s, &[1, 2]);
    nodes[0].store.end(TWO);
    millis(20).await;
    all_list(&nodes, &s, &[1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_registration_owns_the_lease_be_it_a_connections_or_one_of_beats() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    millis(20).await;
    let before = told(&nodes);
    nodes[1].store.register(&s, instance(1)).unwrap();
    millis(20).await;
    nodes[0].store.end(ONE);
    millis(20).await;
    all_list(&nodes, &s, &[1]);
    seconds(16).await;
    assert_eq!(nodes[0].healthy(&s, 1), Some(false), "it beats, or should");
    nodes[2].publish(TWO, &s, &[1]);
    seconds(60).await;
    all_list(&nodes, &s, &[1]);
    assert_eq!(
        nodes[0].told.count() - before[0],
        3,
        "port 2 gone, port 1 unhealthy, port 1 healthy: a new owner alone is not told"
    );
    nodes[2].store.end(TWO);
    millis(20).await;
    all_list(&nodes, &s, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_back_what_beats_took_over_and_then_fell_silent() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    // So many that each member is responsible for some.
    let ports: Vec<u16> = (1..=30).collect();
    nodes[0].publish(ONE, &s, &ports);
    millis(20).await;
    for port in &ports {
        nodes[1].store.register(&s, weighing(*port, 5.0)).unwrap();
    }
    millis(20).await;
    assert_eq!(nodes[2].weight(&s, 7), Some(5.0));
    seconds(40).await;
    for port in &ports {
        for node in &nodes {
            assert_eq!(node.healthy(&s, *port), Some(true), "at {}", node.id);
            assert_eq!(node.weight(&s, *port), Some(1.0), "as the connection publishes it");
        }
    }
    nodes[0].store.end(ONE);
    millis(20).await;
    all_list(&nodes, &s, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_had_not_heard_of_a_client_that_beats_does_not_remove_it() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    millis(20).await;
    network.isolate(MemberId(1));
    nodes[1].store.register(&s, weighing(1, 3.0)).unwrap();
    millis(20).await;
    nodes[0].store.end(ONE);
    network.heal();
    seconds(5).await;
    all_list(&nodes, &s, &[1]);
    seconds(36).await;
    all_list(&nodes, &s, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_publishes_nothing_may_end_what_its_lost_connection_left_and_nothing_else() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    nodes[1].publish(ONE, &s, &[2]);
    nodes[2].publish(ONE, &s, &[3]);
    nodes[1].store.register(&s, timed(4, 5_000, 60_000, 60_000)).unwrap();
    seconds(1).await;
    nodes.remove(0).kill(&network);
    seconds(6).await;
    for port in 1..=5 {
        nodes[0].store.withdraw(TWO, &s, &key(port));
    }
    millis(50).await;
    all_list(&nodes, &s, &[2, 3, 4]);
    seconds(40).await;
    all_list(&nodes, &s, &[2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn from_the_beginning_of_draining_connections_end_and_their_instances_stay_for_thirty_seconds() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    nodes[0].publish(TWO, &s, &[3]);
    seconds(7).await;
    let before = told(&nodes);
    nodes[0].store.begin_drain();
    nodes[0].store.withdraw(TWO, &s, &key(3));
    nodes[0].store.end(ONE);
    nodes[0].store.end(TWO);
    nodes[0].store.drain(Duration::from_secs(2)).await;
    nodes.remove(0).kill(&network);
    seconds(20).await;
    all_list(&nodes, &s, &[1, 2]);
    nodes[1].publish(ONE, &s, &[2]);
    seconds(4).await;
    assert_eq!(nodes[0].ports(&s), [1, 2]);
    assert_eq!(nodes[0].told.count(), before[1] + 1, "the withdrawal is an order");
    seconds(12).await;
    all_list(&nodes, &s, &[2]);
}

#[tokio::test(start_paused = true)]
async fn connections_that_ended_while_their_node_stood_still_take_nobody_with_them_who_moved() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    nodes[0].publish(TWO, &s, &[2]);
    seconds(7).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    let before = told(&nodes);
    nodes[0].store.end(ONE);
    nodes[0].store.end(TWO);
    all_list(&nodes, &s, &[1, 2]);
    seconds(2).await;
    nodes[1].publish(ONE, &s, &[1]);
    seconds(35).await;
    all_list(&nodes, &s, &[1]);
    assert_eq!(told(&nodes), before.iter().map(|count| count + 1).collect::<Vec<_>>());
    // Later ends are what they are.
    nodes[1].store.end(ONE);
    millis(20).await;
    all_list(&nodes, &s, &[]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_anywhere_leaves_the_lease_to_the_connection() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    millis(20).await;
    let edit = InstanceEdit {
        weight: Some(Weight::new(9.0).unwrap()),
        ..InstanceEdit::default()
    };
    nodes[1].store.edit(&s, &key(1), edit).unwrap();
    seconds(60).await;
    assert!(nodes.iter().all(|node| node.weight(&s, 1) == Some(9.0)));
    nodes[0].store.end(ONE);
    millis(20).await;
    all_list(&nodes, &s, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_beat_of_what_a_connection_holds_is_answered_and_changes_nothing() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    let mut sick = instance(1);
    sick.healthy = false;
    nodes[0].store.publish(ONE, &s, vec![sick]).unwrap();
    millis(20).await;
    let before = told(&nodes);
    for node in &nodes {
        assert!(matches!(node.store.beat(&s, &key(1)), Beat::Renewed { .. }));
        assert_eq!(node.healthy(&s, 1), Some(false), "its client says how healthy it is");
    }
    assert_eq!(told(&nodes), before);
}

/// An address that a 1.x client and a connection share.
#[tokio::test(start_paused = true)]
async fn who_beats_for_what_a_connection_holds_is_not_missed_when_that_ends_and_lives_by_the_beats() {
    for at in [0, 2] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        nodes[0].publish(ONE, &s, &[1, 2]);
        let client = |port| matches!(nodes[at].store.beat(&s, &key(port)), Beat::Renewed { .. });
        seconds(1).await;
        assert!(client(1) && client(2));
        seconds(13).await;
        assert!(client(1));
        seconds(4).await;
        let before = told(&nodes);
        nodes[0].store.end(ONE);
        millis(20).await;
        all_list(&nodes, &s, &[1]);
        let one_gone: Vec<usize> = before.iter().map(|count| count + 1).collect();
        assert_eq!(told(&nodes), one_gone, "beats of 17 seconds ago say nothing");
        assert!(client(1) && nodes[0].store.node.store.holds.is_empty());
        seconds(16).await;
        assert_eq!(nodes[1].healthy(&s, 1), Some(false), "it is a lease like others");
        seconds(16).await;
        all_list(&nodes, &s, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_takes_what_it_owned_with_it_unless_this_node_has_lost_the_majority() {
    for cut in [false, true] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        nodes[0].publish(ONE, &s, &[1]);
        nodes[0].publish(TWO, &s, &[2]);
        seconds(1).await;
        if cut {
            network.isolate(MemberId(1));
        }
        seconds(10).await;
        nodes[0].store.end_by(ONE, Ending::Silent);
        nodes[0].store.end_by(TWO, Ending::Closed);
        seconds(10).await;
        let kept: &[u16] = if cut { &[1] } else { &[] };
        assert_eq!(nodes[0].ports(&s), kept, "what was closed is gone in any case");
        network.heal();
        seconds(35).await;
        all_list(&nodes, &s, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_that_was_sent_away_published_has_thirty_seconds_to_be_published_elsewhere() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1, 2]);
    seconds(60).await;
    let before = told(&nodes);
    nodes[0].store.end_by(ONE, Ending::Evicted);
    seconds(28).await;
    nodes[1].publish(TWO, &s, &[2]);
    millis(20).await;
    assert_eq!(told(&nodes), before, "no reader saw anything");
    seconds(4).await;
    all_list(&nodes, &s, &[2]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_leaves_naming_takes_all_with_it_and_keeps_what_it_publishes_from_then_on() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=2_000).collect();
    nodes[0].publish(ONE, &s, &ports);
    nodes[0].store.leave(ONE);
    assert!(nodes[0].store.published_by(ONE).is_empty());
    // Most of it is still to be parted with.
    assert!(nodes[0].ports(&s).len() > 1_000);
    nodes[0].publish(ONE, &s, &[7, 2_000]);
    seconds(1).await;
    all_list(&nodes, &s, &[7, 2_000]);
    nodes[0].store.begin_drain();
    nodes[0].store.leave(ONE);
    seconds(20).await;
    all_list(&nodes, &s, &[7, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_long_list_goes_in_slices_and_others_have_their_turns_between() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 1).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &(1..=5_000).collect::<Vec<_>>());
    nodes[0].store.end(ONE);
    let list = nodes[0].store.publish(ONE, &s, vec![instance(1)]);
    assert_eq!(list, Err(Error::ConnectionEnded { connection: ONE }));
    let mut seen = vec![nodes[0].ports(&s).len()];
    while *seen.last().unwrap() > 0 {
        tokio::task::yield_now().await;
        seen.push(nodes[0].ports(&s).len());
    }
    assert!(seen.windows(2).all(|pair| pair[0] - pair[1] <= 300), "{seen:?}");
    assert!(nodes[0].store.node.store.holds.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_newer_publishes_is_not_deregistered_by_who_published_it_before() {
    for newer in [0, 1] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        nodes[0].publish(ONE, &s, &[1, 2]);
        millis(20).await;
        nodes[newer].publish(TWO, &s, &[1, 2]);
        millis(20).await;
        let before = told(&nodes);
        nodes[0].publish(ONE, &service("b"), &[]);
        nodes[0].store.withdraw(ONE, &s, &key(1));
        seconds(40).await;
        assert_eq!(told(&nodes), before);
        nodes[newer].publish(TWO, &s, &[2]);
        millis(20).await;
        all_list(&nodes, &s, &[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_named_when_somebody_newer_registers_what_it_publishes_and_not_otherwise() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    let named = async || tokio::time::timeout(Duration::from_secs(1), nodes[0].store.overtaken()).await;
    nodes[0].publish(ONE, &s, &[1, 2]);
    nodes[0].publish(ONE, &s, &[1]);
    millis(20).await;
    nodes[1].store.edit(&s, &key(1), InstanceEdit::default()).unwrap();
    nodes[1].publish(TWO, &s, &[3]);
    assert!(named().await.is_err());
    nodes[1].publish(TWO, &s, &[1, 3]);
    assert_eq!(named().await, Ok([ONE].into()), "by a connection elsewhere");
    nodes[0].publish(TWO, &s, &[1]);
    assert_eq!(named().await, Ok([ONE].into()), "by one of this node");
    nodes[0].store.register(&s, instance(1)).unwrap();
    assert_eq!(named().await, Ok([TWO].into()), "by a client that beats");
    nodes[0].store.end(ONE);
    nodes[0].store.end(TWO);
    assert!(named().await.is_err());
}

/// Who edits it has not heard that its connection has ended.
#[tokio::test(start_paused = true)]
async fn an_edit_of_what_has_ended_meanwhile_does_not_bring_it_back() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    nodes[0].publish(ONE, &s, &[1]);
    seconds(1).await;
    network.isolate(MemberId(1));
    nodes[0].store.end(ONE);
    seconds(1).await;
    let edit = InstanceEdit {
        enabled: Some(false),
        ..InstanceEdit::default()
    };
    nodes[1].store.edit(&s, &key(1), edit).unwrap();
    network.heal();
    seconds(10).await;
    all_list(&nodes, &s, &[]);
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_a_list_by_name_and_keeps_what_was_published() {
    let config = Config {
        instances_max: 3,
        ..Config::default()
    };
    let node = start(&Network::new(), 1, 1, config);
    let s = service("a");
    let full = Err(Error::Full { instances_max: 3 });
    let list = |ports: &[u16]| ports.iter().map(|port| instance(*port)).collect::<Vec<_>>();
    node.publish(ONE, &s, &[1]);
    assert_eq!(node.store.publish(ONE, &s, list(&[2, 3, 4, 5])), full);
    assert_eq!(node.ports(&s), [1]);
    assert_eq!(node.store.published_by(ONE)[0].1.len(), 1);
    assert_eq!(node.store.publish(TWO, &s, list(&[2, 3, 4])), full);
    assert!(node.store.published_by(TWO).is_empty());
    assert_eq!(node.ports(&s), [1]);
    node.publish(ONE, &s, &[1, 2, 3]);
    node.publish(ONE, &s, &[1, 2, 3]);
    let mut refused = 0;
    for name in 0..20 {
        let answer = node.store.publish(TWO, &service(&format!("empty{name}")), Vec::new());
        refused += usize::from(answer == full);
    }
    assert_eq!(refused, 18, "empty lists take room, too: six rows, four are taken");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_arrives_after_its_connection_has_ended_is_refused() {
    let node = start(&Network::new(), 1, 1, Config::default());
    let s = service("a");
    node.store.end(ONE);
    assert_eq!(
        node.store.publish(ONE, &s, vec![instance(1)]),
        Err(Error::ConnectionEnded { connection: ONE })
    );
    node.store.withdraw(ONE, &s, &key(1));
    node.store.end(ONE);
    assert!(node.ports(&s).is_empty() && node.store.node.store.holds.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_all_gives_what_connections_held_thirty_seconds_to_be_published_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        warm_dir: Some(dir.path().to_owned()),
        ..Config::default()
    };
    let node = start(&Network::new(), 1, 1, config.clone());
    eventually("it is ready", Duration::from_secs(1), || node.is_ready()).await;
    let s = service("a");
    node.store
        .publish(ONE, &s, vec![timed(1, 500, 1_000, 2_000), instance(2)])
        .unwrap();
    node.store.drain(Duration::from_secs(2)).await;
    node.tasks.shutdown().begin();
    let node = start(&Network::new(), 1, 1, config);
    eventually("it is ready", Duration::from_secs(1), || node.is_ready()).await;
    seconds(20).await;
    assert_eq!(node.healthy(&s, 1), Some(true), "it is known that a connection held it");
    node.publish(ONE, &s, &[2]);
    seconds(12).await;
    assert_eq!(node.ports(&s), [2]);
}

/// A node that was cut off, or stood still, ends its connections late, and knows nothing of their clients' new homes.
#[tokio::test(start_paused = true)]
async fn the_late_end_of_a_connection_takes_nothing_from_the_node_that_its_client_has_moved_to() {
    // Which of the others hears first is chance.
    for round in 0..10 {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        nodes[0].publish(ONE, &s, &[1]);
        seconds(1).await;
        network.isolate(MemberId(1));
        seconds(5).await;
        nodes[1].publish(TWO, &s, &[1]);
        seconds(20).await;
        all_list(&nodes[1..], &s, &[1]);
        nodes[0].store.end(ONE);
        seconds(1).await;
        let before = nodes[2].told.count();
        network.heal();
        seconds(20).await;
        all_list(&nodes, &s, &[1]);
        let told = nodes[2].told.count() - before;
        assert_eq!(told, 0, "readers of a third node were told of a removal, round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_for_want_of_room_takes_nothing_from_who_was_there() {
    let network = Network::new();
    let config = Config {
        instances_max: 2,
        ..Config::default()
    };
    let nodes = vec![start(&network, 1, 1, config)];
    settle(&nodes).await;
    let s = service("a");
    nodes[0].store.register(&s, instance(1)).unwrap();
    nodes[0].store.register(&s, instance(9)).unwrap();
    let list = vec![instance(1), instance(2)];
    assert!(nodes[0].store.publish(ONE, &s, list).is_err());
    assert_eq!(nodes[0].ports(&s), [1, 9]);
}

/// A client that lost its connection without a word, came back and then deregistered: nobody is there any more, but the
/// broken connection is known to be so 25 seconds later.
#[tokio::test(start_paused = true)]
async fn what_a_client_deregisters_is_not_brought_back_by_its_own_broken_connection() {
    for newer in [0, 1] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        nodes[0].publish(ONE, &s, &[1]);
        seconds(10).await;
        nodes[newer].publish(TWO, &s, &[1]);
        seconds(1).await;
        nodes[newer].store.withdraw(TWO, &s, &key(1));
        seconds(1).await;
        all_list(&nodes, &s, &[]);
    }
}
