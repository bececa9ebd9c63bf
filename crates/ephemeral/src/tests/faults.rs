//! Members die, links break: nothing that lives is removed, nothing that is dead stays.

use super::cluster::*;
use crate::Config;
use muster_membership::Responsibility;
use muster_model::{ClientId, MemberId};
use muster_transport::memory::Network;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_with_its_clients_leaves_nothing_behind_after_thirty_five_seconds() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    for port in &ports {
        nodes[0].store.register(&s, instance(*port)).unwrap();
    }
    let beating = beats(nodes[0].store.clone(), s.clone(), ports, 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(60), beating).await.is_err());
    nodes.remove(0).kill(&network);
    seconds(29).await;
    assert!(
        nodes.iter().all(|node| !node.ports(&s).is_empty()),
        "not before their time"
    );
    seconds(6).await;
    for node in &nodes {
        assert_eq!(node.ports(&s), [0u16; 0], "at {}", node.id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_takeover_grants_a_full_delete_timeout_to_whom_the_new_node_has_not_seen() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    for port in &ports {
        nodes[0].store.register(&s, instance(*port)).unwrap();
    }
    let beating = beats(nodes[0].store.clone(), s.clone(), ports.clone(), 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(42), beating).await.is_err());
    let view = nodes[0].membership.view();
    let (inherited, others): (Vec<u16>, Vec<u16>) = ports
        .iter()
        .partition(|port| view.responsible_for(&ClientId::of_address(&key(**port))) == Responsibility::Here);
    assert!(!inherited.is_empty() && !others.is_empty());
    nodes.remove(0).kill(&network);
    // Slow clients: they find another server only after 25 s, beyond the beat timeout and within the grace.
    seconds(25).await;
    let healthy = |port: &u16| nodes[0].healthy(&s, *port) == Some(true);
    assert!(inherited.iter().all(healthy));
    assert!(
        others.iter().all(|port| !healthy(port)),
        "their responsible node has not changed"
    );
    let beating = beats(nodes[1].store.clone(), s.clone(), ports.clone(), 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(60), beating).await.is_err());
    for node in &nodes {
        assert!(ports.iter().all(|port| node.healthy(&s, *port) == Some(true)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_minority_serves_what_it_has_and_marks_and_removes_nothing() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    for port in 1..=30 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    seconds(1).await;
    network.isolate(MemberId(1));
    seconds(120).await;
    assert_eq!(nodes[0].ports(&s).len(), 30);
    assert!(nodes[0].store.instances(&s).iter().all(|instance| instance.healthy));
    nodes[0].store.register(&s, instance(99)).unwrap();
    assert_eq!(nodes[0].ports(&s).len(), 31, "it takes writes");
    assert_eq!(nodes[1].ports(&s).len(), 0, "the majority goes on");
}

#[tokio::test(start_paused = true)]
async fn one_cut_link_of_three_marks_nobody() {
    for one_way in [true, false] {
        let network = Network::new();
        let nodes = ready_cluster(&network, 3).await;
        let s = service("a");
        let ports: Vec<u16> = (1..=60).collect();
        for port in &ports {
            nodes[0].store.register(&s, instance(*port)).unwrap();
        }
        millis(50).await;
        let told: Vec<_> = nodes.iter().map(|node| node.told.count()).collect();
        network.cut(MemberId(1), MemberId(2));
        if !one_way {
            network.cut(MemberId(2), MemberId(1));
        }
        let beating = beats(nodes[0].store.clone(), s.clone(), ports, 5_000);
        assert!(tokio::time::timeout(Duration::from_secs(120), beating).await.is_err());
        let now: Vec<_> = nodes.iter().map(|node| node.told.count()).collect();
        assert_eq!(now, told, "one way: {one_way}");
        // And a write still reaches the far end, by way of the third.
        nodes[0].store.register(&s, instance(1_000)).unwrap();
        eventually("the far end has it", Duration::from_secs(10), || {
            nodes[1].healthy(&s, 1_000).is_some()
        })
        .await;
    }
}

/// Its link is slow: what it tells comes late, and it is not heard within the time that the keeper asks for.
#[tokio::test(start_paused = true)]
async fn nobody_is_marked_whose_beats_a_slow_member_has_heard_and_not_been_heard_on() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    for port in &ports {
        nodes[1].store.register(&s, timed(*port, 1_000, 1_500, 30_000)).unwrap();
    }
    seconds(1).await;
    for other in [1, 3] {
        network.delay(MemberId(2), MemberId(other), Duration::from_millis(700));
        network.delay(MemberId(other), MemberId(2), Duration::from_millis(700));
    }
    let told: Vec<_> = nodes.iter().map(|node| node.told.count()).collect();
    let beating = beats(nodes[1].store.clone(), s.clone(), ports, 1_000);
    assert!(tokio::time::timeout(Duration::from_secs(60), beating).await.is_err());
    let now: Vec<_> = nodes.iter().map(|node| node.told.count()).collect();
    assert_eq!(now, told, "nobody was marked");
    // Those that a majority answers for are removed for all that when they fall silent. The slow one has nobody to ask.
    seconds(35).await;
    let view = nodes[0].membership.view();
    let slow = Responsibility::At(MemberId(2));
    for port in nodes[0].ports(&s) {
        let responsible = view.responsible_for(&ClientId::of_address(&key(port)));
        assert_eq!(responsible, slow, "{port} is still listed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_lives_at_one_side_of_a_cut_and_expired_at_the_other_stays() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=30).collect();
    for port in &ports {
        nodes[0].store.register(&s, instance(*port)).unwrap();
    }
    seconds(1).await;
    network.isolate(MemberId(1));
    let beating = beats(nodes[0].store.clone(), s.clone(), ports.clone(), 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(90), beating).await.is_err());
    assert_eq!(nodes[1].ports(&s).len(), 0, "the majority has seen no beat");
    network.heal();
    let beating = beats(nodes[0].store.clone(), s.clone(), ports, 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(10), beating).await.is_err());
    for node in &nodes {
        assert_eq!(node.ports(&s).len(), 30, "at {}", node.id);
        assert!(node.store.instances(&s).iter().all(|instance| instance.healthy));
    }
    assert!(all_equal(&nodes));
}

/// Found by the simulation (seed 2172): a node that started as a cut ended lacked for two thirds of a second what the other
/// side had kept, though both had met.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_back_is_told_at_once_what_it_has_missed() {
    let network = Network::new();
    let config = Config {
        digest_every: Duration::from_secs(3_600),
        ..Config::default()
    };
    let nodes: Vec<_> = (1..=3).map(|id| start(&network, id, 3, config.clone())).collect();
    settle(&nodes).await;
    let s = service("a");
    for port in 1..=5 {
        network.isolate(MemberId(1));
        seconds(10).await;
        nodes[0].store.register(&s, instance(port)).unwrap();
        // The pauses between two tries have grown as long as they get.
        seconds(7).await;
        network.heal();
        eventually("the first sees both others", Duration::from_secs(10), || {
            nodes[0].membership.view().living_peers().count() == 2
        })
        .await;
        millis(50).await;
        for node in &nodes[1..] {
            assert!(node.ports(&s).contains(&port), "{port} at {}", node.id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_died_during_a_cut_does_not_come_back_with_the_healing() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    for port in 1..=30 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    seconds(1).await;
    network.isolate(MemberId(1));
    seconds(90).await;
    assert_eq!((nodes[0].ports(&s).len(), nodes[1].ports(&s).len()), (30, 0));
    network.heal();
    eventually("gone everywhere", Duration::from_secs(10), || {
        nodes.iter().all(|node| node.ports(&s).is_empty())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_has_told_all_it_took() {
    let network = Network::new();
    let config = Config {
        copy_delay: Duration::from_secs(3_600),
        ..Config::default()
    };
    let nodes: Vec<_> = (1..=2).map(|id| start(&network, id, 2, config.clone())).collect();
    settle(&nodes).await;
    let s = service("a");
    // Goes at once; what follows waits for an hour.
    nodes[0].store.register(&s, instance(1)).unwrap();
    seconds(1).await;
    for port in 2..=10_000 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(nodes[1].ports(&s).len(), 1);
    nodes[0].store.drain(Duration::from_secs(2)).await;
    assert_eq!(nodes[1].ports(&s).len(), 10_000);
}
