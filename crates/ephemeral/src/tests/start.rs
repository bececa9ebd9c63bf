//! Nodes start, one or all at once, and show no list before it is whole.

use super::cluster::*;
use crate::{Config, Loading};
use muster_model::MemberId;
use muster_storage::RealDisk;
use muster_storage::testing::FaultyDisk;
use muster_transport::memory::Network;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn warm(dir: &Path, id: u64) -> Config {
    Config {
        warm_dir: Some(dir.join(id.to_string())),
        ..Config::default()
    }
}

#[tokio::test(start_paused = true)]
async fn three_nodes_that_start_together_open_together() {
    let network = Network::new();
    let nodes: Vec<_> = (1..=3).map(|id| start(&network, id, 3, Config::default())).collect();
    assert!(nodes.iter().all(|node| !node.is_ready()));
    eventually("all are ready", Duration::from_secs(1), || {
        nodes.iter().all(TestNode::is_ready)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_of_three_open_without_the_third_and_one_does_not() {
    let network = Network::new();
    let one = start(&network, 1, 3, Config::default());
    seconds(30).await;
    let loading = one.store.loading().borrow().clone();
    assert!(
        matches!(&loading, Loading::Waiting { reason } if reason == "heard 1 of 3 members, 0 of them ready"),
        "{loading:?}"
    );
    let two = start(&network, 2, 3, Config::default());
    eventually("both are ready", Duration::from_secs(8), || {
        one.is_ready() && two.is_ready()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_node_opens_by_force() {
    let config = Config {
        force_open: true,
        ..Config::default()
    };
    let node = start(&Network::new(), 1, 3, config);
    eventually("it is open", Duration::from_secs(5), || node.is_ready()).await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_shows_no_list_that_is_shorter_and_the_others_lists_never_shrink() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let ports: Vec<u16> = (1..=1_000).collect();
    for port in &ports {
        nodes[0].store.register(&s, instance(*port)).unwrap();
    }
    millis(100).await;
    let beating = tokio::task::LocalSet::new();
    let feeding = beats(nodes[0].store.clone(), s.clone(), ports, 5_000);
    beating
        .run_until(async {
            tokio::select! {
                () = feeding => {}
                () = async {
                    for _ in 0..2 {
                        let gone = nodes.remove(2);
                        gone.kill(&network);
                        seconds(20).await;
                        nodes.push(start(&network, 3, 3, Config::default()));
                        for _ in 0..600 {
                            for node in nodes.iter().filter(|node| node.is_ready()) {
                                assert_eq!(node.ports(&s).len(), 1_000, "at {}", node.id);
                                assert!(node.store.instances(&s).iter().all(|i| i.healthy));
                            }
                            millis(100).await;
                        }
                        assert!(nodes[2].is_ready());
                    }
                } => {}
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_does_not_open_on_the_word_of_another_empty_one_while_a_ready_one_is_slow() {
    let network = Network::new();
    let mut nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    for port in 1..=10 {
        nodes[0]
            .store
            .register(&s, timed(port, 5_000, 600_000, 600_000))
            .unwrap();
    }
    seconds(1).await;
    nodes.pop().unwrap().kill(&network);
    nodes.pop().unwrap().kill(&network);
    for other in [2, 3] {
        // Slower than the first question waits, faster than the second.
        network.delay(MemberId(1), MemberId(other), Duration::from_millis(700));
    }
    nodes.push(start(&network, 2, 3, Config::default()));
    nodes.push(start(&network, 3, 3, Config::default()));
    eventually("all are ready", Duration::from_secs(20), || {
        for node in nodes.iter().filter(|node| node.is_ready()) {
            assert_eq!(node.ports(&s).len(), 10, "at {}", node.id);
        }
        nodes.iter().all(TestNode::is_ready)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_larger_than_one_chunk_arrives_whole() {
    let network = Network::new();
    let nodes = vec![
        start(&network, 1, 2, Config::default()),
        start(&network, 2, 2, Config::default()),
    ];
    settle(&nodes).await;
    let big = "x".repeat(2_000);
    for port in 1..=2_000 {
        let mut instance = instance(port);
        instance.metadata = [("big".to_owned(), format!("{big}{port}"))].into_iter().collect();
        nodes[0]
            .store
            .register(&service(&format!("s{}", port % 50)), instance)
            .unwrap();
    }
    let mut nodes = nodes;
    nodes.pop().unwrap().kill(&network);
    nodes.push(start(&network, 2, 2, Config::default()));
    eventually("it is ready", Duration::from_secs(5), || nodes[1].is_ready()).await;
    assert_eq!(nodes[1].store.counts().instances, 2_000);
    assert!(all_equal(&nodes));
}

#[tokio::test(start_paused = true)]
async fn when_all_restart_the_warm_copy_lists_everybody_and_the_dead_go_after_their_grace() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let nodes: Vec<_> = (1..=3).map(|id| start(&network, id, 3, warm(dir.path(), id))).collect();
    settle(&nodes).await;
    let s = service("a");
    for port in 1..=100 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    millis(20).await;
    nodes[1].store.deregister(&s, &key(100));
    seconds(11).await;
    for node in nodes {
        node.kill(&network);
    }
    seconds(60).await;
    let nodes: Vec<_> = (1..=3).map(|id| start(&network, id, 3, warm(dir.path(), id))).collect();
    eventually("all are ready", Duration::from_secs(10), || {
        for node in nodes.iter().filter(|node| node.is_ready()) {
            assert_eq!(node.ports(&s).len(), 99);
        }
        nodes.iter().all(TestNode::is_ready)
    })
    .await;
    seconds(20).await;
    assert!(nodes[0].store.instances(&s).iter().all(|instance| instance.healthy));
    nodes[0].store.beat(&s, &key(1));
    seconds(14).await;
    for node in &nodes {
        assert_eq!(node.ports(&s), [1], "only who has beaten");
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_copy_is_not_read_where_a_ready_member_knows_better() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new();
    let forgetful = |id| Config {
        tombstone_kept: Duration::from_secs(60),
        ..warm(dir.path(), id)
    };
    let mut nodes: Vec<_> = (1..=3).map(|id| start(&network, id, 3, forgetful(id))).collect();
    settle(&nodes).await;
    let s = service("a");
    for port in 1..=10 {
        nodes[0].store.register(&s, instance(port)).unwrap();
    }
    seconds(11).await;
    nodes.pop().unwrap().kill(&network);
    for port in 1..=9 {
        nodes[0].store.deregister(&s, &key(port));
    }
    // So long that the tombstones are forgotten.
    let beating = beats(nodes[0].store.clone(), s.clone(), vec![10], 5_000);
    assert!(tokio::time::timeout(Duration::from_secs(300), beating).await.is_err());
    assert_eq!(nodes[0].store.counts().tombstones, 0);
    nodes.push(start(&network, 3, 3, forgetful(3)));
    eventually("it is ready", Duration::from_secs(5), || nodes[2].is_ready()).await;
    assert_eq!(nodes[2].ports(&s), [10]);
}

#[tokio::test(start_paused = true)]
async fn when_all_lose_power_at_any_moment_of_a_copy_the_last_whole_one_is_read() {
    for seed in 1..=40 {
        let disk = FaultyDisk::new(seed);
        let mounted = || Arc::new(disk.mount());
        let network = Network::new();
        let config = || warm(Path::new("/data"), 1);
        let node = start_on(mounted(), &network, 1, 1, config());
        eventually("it is ready", Duration::from_secs(1), || node.is_ready()).await;
        let s = service("a");
        for round in 1..=3 {
            for port in 1..=100 {
                node.store.register(&s, instance(round * 100 + port)).unwrap();
            }
            if round == 3 {
                // A copy is a name, a write, a sync, a name and a sync of the folder.
                disk.lose_power_after(seed % 6);
            }
            node.store.drain(Duration::from_secs(5)).await;
        }
        if disk.losses() == 0 {
            disk.lose_power();
        }
        node.kill(&network);
        let node = start_on(mounted(), &Network::new(), 1, 1, config());
        eventually("it is ready", Duration::from_secs(1), || node.is_ready()).await;
        let found = node.ports(&s).len();
        assert!(found == 300 || (found == 200 && seed % 6 < 5), "seed {seed}: {found}");
        node.tasks.shutdown().begin();
    }
}

#[tokio::test(start_paused = true)]
async fn a_torn_or_foreign_warm_copy_is_ignored_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let s = service("a");
    let node = start(&Network::new(), 1, 1, warm(dir.path(), 1));
    eventually("it is ready", Duration::from_secs(1), || node.is_ready()).await;
    for port in 1..=100 {
        node.store.register(&s, instance(port)).unwrap();
    }
    node.store.drain(Duration::from_secs(5)).await;
    let path = dir.path().join("1/ephemeral.warm");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut cases = vec![
        (whole.clone(), 100),
        (flipped, 0),
        (b"garbage".to_vec(), 0),
        (Vec::new(), 0),
    ];
    cases.extend((1..10).map(|tenth| (whole[..whole.len() * tenth / 10].to_vec(), 0)));
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).unwrap();
        let node = start(&Network::new(), 1, 1, warm(dir.path(), 1));
        eventually("it is ready", Duration::from_secs(1), || node.is_ready()).await;
        assert_eq!(node.ports(&s).len(), expected);
        node.tasks.shutdown().begin();
    }
}

/// Found by the simulation (seed 1129): a member that was added half a minute after it had started showed what it had copied
/// at its start.
#[tokio::test(start_paused = true)]
async fn a_node_loads_when_it_becomes_a_member_and_again_when_it_becomes_one_anew() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 3).await;
    let s = service("a");
    let joiner = start_on(Arc::new(RealDisk), &network, 4, 3, Config::default());
    seconds(5).await;
    assert!(!joiner.is_ready(), "the list it was given does not name it");
    for ports in [1..=10, 11..=20] {
        for port in ports.clone() {
            nodes[0]
                .store
                .register(&s, timed(port, 5_000, 600_000, 600_000))
                .unwrap();
        }
        millis(100).await;
        for node in nodes.iter().chain([&joiner]) {
            node.membership.set_members((1..=4).map(member).collect());
        }
        eventually("it is ready", Duration::from_secs(10), || {
            let listed: Vec<u16> = joiner.ports(&s);
            assert!(
                !joiner.is_ready() || listed.ends_with(&[*ports.end()]),
                "it opened with {listed:?}"
            );
            joiner.is_ready()
        })
        .await;
        for node in nodes.iter().chain([&joiner]) {
            node.membership.set_members((1..=3).map(member).collect());
        }
        eventually("it is not ready", Duration::from_secs(1), || !joiner.is_ready()).await;
    }
}
