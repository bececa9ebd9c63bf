//! Cuts that last longer than removals are remembered, and deaths one after the other.

use super::cluster::*;
use crate::Config;
use muster_membership::Responsibility;
use muster_model::{ClientId, MemberId};
use muster_transport::memory::Network;
use std::time::Duration;

fn assert_lists(nodes: &[TestNode], ports: &[u16], when: &str) {
    for node in nodes {
        assert_eq!(node.ports(&service("a")), ports, "at {} {when}", node.id);
    }
}

/// What the majority removed long ago the minority still lists, and gives back when it is healed: nobody knows of the removal
/// any more. But nobody beats for it either, so it is gone again once a lease has passed.
#[tokio::test(start_paused = true)]
async fn a_cut_longer_than_removals_are_remembered_heals_to_equal_lists_without_the_dead() {
    let network = Network::new();
    let config = Config {
        tombstone_kept: Duration::from_secs(120),
        ..Config::default()
    };
    let nodes: Vec<_> = (1..=3).map(|id| start(&network, id, 3, config.clone())).collect();
    settle(&nodes).await;
    let s = service("a");
    for port in 1..=30 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    seconds(1).await;
    network.isolate(MemberId(1));
    // 1 to 5 are deregistered, 6 to 10 fall silent, 11 to 20 beat within the minority and 21 to 30 within the majority.
    for port in 1..=5 {
        nodes[1].store.deregister(&s, &key(port));
    }
    let beating = async {
        tokio::join!(
            beats(nodes[0].store.clone(), s.clone(), (11..=20).collect(), 5_000),
            beats(nodes[2].store.clone(), s.clone(), (21..=30).collect(), 5_000),
        )
    };
    assert!(tokio::time::timeout(Duration::from_secs(600), beating).await.is_err());
    assert!(nodes[1].store.counts().tombstones == 0, "the removals are forgotten");
    assert_lists(&nodes[..1], &(1..=30).collect::<Vec<_>>(), "alone");
    assert_lists(&nodes[1..], &(21..=30).collect::<Vec<_>>(), "in the majority");

    network.heal();
    let living: Vec<u16> = (11..=30).collect();
    let healed = tokio::time::Instant::now();
    let watched = async {
        eventually("equal digests", Duration::from_secs(10), || all_equal(&nodes)).await;
        // From here on who lives is on all lists, until the end.
        while healed.elapsed() < Duration::from_secs(45) {
            for node in &nodes {
                let listed = node.ports(&s);
                assert!(
                    living.iter().all(|port| listed.contains(port)),
                    "at {}: {listed:?}",
                    node.id
                );
            }
            if healed.elapsed() >= Duration::from_secs(45) - Duration::from_secs(10) {
                assert_lists(&nodes, &living, "a lease after the healing");
            }
            millis(500).await;
        }
    };
    tokio::select! {
        () = watched => {}
        () = beats(nodes[0].store.clone(), s.clone(), (11..=20).collect(), 5_000) => {}
        () = beats(nodes[2].store.clone(), s.clone(), (21..=30).collect(), 5_000) => {}
    }
    assert!(all_equal(&nodes));
}

/// The second node dies within the lease, so that those whom it had to end are handed on once more. The time counts from the
/// last death: who takes over knows of no silence that it has not heard itself.
#[tokio::test(start_paused = true)]
async fn two_nodes_that_die_one_after_the_other_leave_nothing_behind_thirty_five_seconds_after_the_second() {
    for between in [1, 20] {
        let network = Network::new();
        let mut nodes = ready_cluster(&network, 5).await;
        let s = service("a");
        let ports: Vec<u16> = (1..=60).collect();
        for port in &ports {
            nodes[0].store.register(&s, instance(*port)).unwrap();
        }
        let beating = beats(nodes[0].store.clone(), s.clone(), ports.clone(), 5_000);
        assert!(tokio::time::timeout(Duration::from_secs(12), beating).await.is_err());
        nodes.remove(0).kill(&network);
        seconds(between).await;
        let view = nodes[0].membership.view();
        let of_the_second =
            |port: &&u16| view.responsible_for(&ClientId::of_address(&key(**port))) == Responsibility::Here;
        let handed = ports.iter().filter(of_the_second).count();
        assert!(handed > 0, "the second answers for some of them");
        nodes.remove(0).kill(&network);
        seconds(35).await;
        for node in &nodes {
            assert_eq!(
                node.ports(&s),
                [0_u16; 0],
                "at {}, {between} s between the deaths",
                node.id
            );
        }
        assert!(all_equal(&nodes));
    }
}

/// The same of nodes that die one after the other while the clients live on: nobody is missing and nobody unhealthy.
#[tokio::test(start_paused = true)]
async fn two_nodes_that_die_one_after_the_other_take_nobody_with_them_who_beats() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 5).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=60).collect();
    for port in &ports {
        nodes[4].store.register(&s, instance(*port)).unwrap();
    }
    let beating = beats(nodes[4].store.clone(), s.clone(), ports.clone(), 5_000);
    let dying = async {
        seconds(40).await;
        for between in [12, 60] {
            nodes.remove(0).kill(&network);
            for _ in 0..between * 10 {
                millis(100).await;
                for node in &nodes {
                    let healthy = node.store.instances(&s).iter().filter(|it| it.healthy).count();
                    assert_eq!(healthy, ports.len(), "at {}", node.id);
                }
            }
        }
    };
    tokio::select! {
        () = dying => {}
        () = beating => {}
    }
}
