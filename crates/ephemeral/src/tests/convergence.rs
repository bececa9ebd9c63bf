//! Members that can hear each other list the same.

use super::cluster::*;
use crate::{Beat, Config};
use muster_model::{InstanceEdit, MemberId, Weight};
use muster_transport::memory::Network;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_change_is_on_all_members_within_milliseconds_and_told_once_per_service() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    for port in 1..=100 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    millis(10).await;
    for node in &nodes {
        assert_eq!(node.ports(&s).len(), 100);
    }
    assert_eq!(nodes[1].told.count(), 1);
    nodes[1].store.deregister(&s, &key(7));
    millis(10).await;
    assert!(nodes.iter().all(|node| node.healthy(&s, 7).is_none()));
    assert_eq!(
        nodes[2].store.beat(&s, &key(7)),
        Beat::JustDeregistered,
        "on every member"
    );
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn a_beat_at_any_member_keeps_the_instance_healthy_on_all() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    for port in &ports {
        nodes[0].store.register(&s, instance(*port)).unwrap();
    }
    seconds(1).await;
    let told: Vec<_> = nodes.iter().map(|node| node.told.count()).collect();
    let beating = beats(nodes[1].store.clone(), s.clone(), ports, 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(120), beating).await.is_err());
    let now: Vec<_> = nodes.iter().map(|node| node.told.count()).collect();
    assert_eq!(now, told, "no member marked or removed any");
    let responsible: usize = nodes.iter().map(|node| node.store.counts().responsible).sum();
    assert_eq!(responsible, 60, "each has one responsible member");
}

#[tokio::test(start_paused = true)]
async fn after_a_cut_heals_all_list_the_same_within_ten_seconds() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    for port in 1..=30 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    millis(50).await;
    network.isolate(MemberId(1));
    seconds(5).await;
    for port in 31..=50 {
        nodes[0].store.register(&s, instance(port)).unwrap();
        nodes[1].store.register(&s, instance(port + 100)).unwrap();
    }
    nodes[0].store.deregister(&s, &key(1));
    nodes[2].store.deregister(&s, &key(2));
    let weight = |value| InstanceEdit {
        weight: Some(Weight::new(value).unwrap()),
        ..InstanceEdit::default()
    };
    nodes[0].store.edit(&s, &key(3), weight(3.0)).unwrap();
    millis(10).await;
    nodes[1].store.edit(&s, &key(3), weight(7.0)).unwrap();
    seconds(3).await;
    assert!(!all_equal(&nodes));
    network.heal();
    eventually("equal digests", Duration::from_secs(10), || all_equal(&nodes)).await;
    for node in &nodes {
        assert_eq!(node.ports(&s).len(), 68);
        assert_eq!(
            node.store.instance(&s, &key(3)).unwrap().weight.get(),
            7.0,
            "the later edit"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn five_seconds_of_skew_either_way_do_not_reorder_a_clients_own_writes() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    nodes[1].clock.set_skew_ms(5_000);
    nodes[2].clock.set_skew_ms(-5_000);
    let s = service("a");
    for round in 0..5 {
        nodes[1].store.register(&s, instance(1)).unwrap();
        millis(20).await;
        assert!(nodes.iter().all(|node| node.healthy(&s, 1).is_some()), "round {round}");
        nodes[2].store.deregister(&s, &key(1));
        millis(20).await;
        assert!(nodes.iter().all(|node| node.healthy(&s, 1).is_none()), "round {round}");
    }
    nodes[2].store.register(&s, instance(2)).unwrap();
    let beating = beats(nodes[2].store.clone(), s.clone(), vec![2], 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(60), beating).await.is_err());
    assert!(nodes.iter().all(|node| node.healthy(&s, 2) == Some(true)));
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn what_the_notes_for_a_peer_could_not_hold_the_digests_find() {
    let network = Network::new();
    let config = Config {
        copies_pending_max: 10,
        ..Config::default()
    };
    let nodes: Vec<_> = (1..=2).map(|id| start(&network, id, 2, config.clone())).collect();
    settle(&nodes).await;
    let s = service("a");
    for port in 1..=500 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    eventually("equal digests", Duration::from_secs(10), || all_equal(&nodes)).await;
    assert_eq!(nodes[1].ports(&s).len(), 500);
}

#[tokio::test(start_paused = true)]
async fn tombstones_that_are_forgotten_at_different_times_leave_the_stores_equal() {
    let network = Network::new();
    let config = Config {
        tombstone_kept: Duration::from_secs(120),
        ..Config::default()
    };
    let nodes: Vec<_> = (1..=2).map(|id| start(&network, id, 2, config.clone())).collect();
    settle(&nodes).await;
    nodes[1].clock.set_skew_ms(4_000);
    let s = service("a");
    for port in 1..=20 {
        nodes[0].store.register(&s, instance(port)).unwrap();
        nodes[0].store.deregister(&s, &key(port));
        seconds(7).await;
    }
    seconds(330).await;
    assert!(nodes.iter().all(|node| node.store.counts().tombstones == 0));
    assert!(all_equal(&nodes));
}
