//! Nodes that die, stand still, come back, come and go for good, under load, while every list is looked at.
#![allow(
    clippy::disallowed_methods,
    reason = "an operator's command is a process, and no simulation runs this"
)]

use anyhow::ensure;
use muster_cluster::{Beating, GONE_WITHIN, Holders, Watch};
use muster_testkit::{Cluster, Publisher, Signal, Spec, Writer, cluster, eventually, muster};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(20);
/// How long a node stands still: longer than the others believe that it lives (3 s), and than its clients wait for it.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// Who lives: instances that beat every second, those that connections hold, and a writer of persistent ones beside them.
struct Load {
    beating: Beating,
    holders: Holders,
    _writer: Writer,
    watch: Watch,
}

/// An instance's beat timeout and delete timeout.
#[derive(Clone, Copy)]
struct Lease(u32, u32);

/// Short, so that one that is forgotten is seen within the test. A client whose node stands still finds another within 3 s.
const SHORT: Lease = Lease(5_000, 10_000);
const USUAL: Lease = Lease(15_000, 30_000);

impl Load {
    async fn start(cluster: &Cluster, lease: Lease, beating: u16, held: u16) -> anyhow::Result<Self> {
        let spec = |n| Spec::ephemeral("living", "10.1.0.1", n).with_lease_ms(1_000, lease.0, lease.1);
        let nodes = cluster.addresses();
        let specs = (1..=beating).map(spec).collect();
        let beating = Beating::start(cluster.http(), &nodes, specs, Duration::from_secs(1)).await?;
        let holders = Holders::start(&cluster.grpc_addresses(), "living", "10.1.0.2", held).await?;
        let wanted = beating.published().chain(holders.published()).count();
        eventually(SOON, "all nodes list all", || async {
            for node in cluster.ids() {
                let count = cluster.v1(node).list("living").await?.healthy.len();
                ensure!(count == wanted, "node {node} lists {count} as healthy");
            }
            Ok(())
        })
        .await?;
        let writer = Writer::start(cluster.http(), &nodes, "kept", 2);
        let beats = (&beating, Duration::from_millis(lease.0.into()));
        let watch = Watch::start(
            cluster,
            Ipv4Addr::LOCALHOST.into(),
            "living",
            beats,
            holders.published(),
        )
        .await?;
        Ok(Self {
            beating,
            holders,
            _writer: writer,
            watch,
        })
    }

    fn verdict(&self, what: &str) {
        eprintln!(
            "{} beats went to another node, {} connections moved",
            self.beating.failed(),
            self.holders.moved()
        );
        self.watch.verdict(what).unwrap();
    }
}

async fn leader_and_follower(cluster: &Cluster) -> (u64, u64) {
    let leader = cluster.leader(SOON).await.unwrap();
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    (leader, follower)
}

async fn stand_still(cluster: &mut Cluster, node: u64) {
    cluster.node_mut(node).signal(Signal::Stop).unwrap();
    tokio::time::sleep(STANDS_STILL).await;
    cluster.node_mut(node).signal(Signal::Continue).unwrap();
}

async fn kill_and_restart(cluster: &mut Cluster, node: u64, away: Duration) {
    cluster.kill(node).await.unwrap();
    tokio::time::sleep(away).await;
    cluster.restart(node).await.unwrap();
}

fn operator(server: &str, arguments: [&str; 2]) {
    let mut command = Command::new(muster().unwrap());
    command.arg("cluster").args(arguments).args(["--server", server]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_lives_is_marked_while_nodes_are_killed_paused_and_restarted() {
    let mut cluster = cluster(3).await.unwrap();
    let load = Load::start(&cluster, SHORT, 40, 20).await.unwrap();
    let (leader, follower) = leader_and_follower(&cluster).await;
    kill_and_restart(&mut cluster, leader, Duration::from_secs(5)).await;
    load.verdict("the leader was killed and is back");
    stand_still(&mut cluster, follower).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    load.verdict("a node stood still");
    drop(load.watch);
    cluster.voters(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_lives_is_marked_while_a_node_is_added_and_one_removed() {
    let mut cluster = cluster(3).await.unwrap();
    let load = Load::start(&cluster, SHORT, 40, 20).await.unwrap();
    let (leader, follower) = leader_and_follower(&cluster).await;
    cluster.start_joining(4).unwrap();
    let (server, added) = (cluster.address(leader), format!("4@{}", cluster.address(4)));
    let call = server.clone();
    let adding = tokio::task::spawn_blocking(move || operator(&call, ["add", &added]));
    adding.await.unwrap();
    cluster.ready(4).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    load.verdict("a node was added");
    // Longer than a lease: what the new node answers for, it has to have heard of by then.
    let (gone, call) = (follower.to_string(), server.clone());
    let removing = tokio::task::spawn_blocking(move || operator(&call, ["remove", &gone]));
    removing.await.unwrap();
    cluster.stop(follower).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    load.verdict("a node was removed");
    let listed = cluster.v1(4).list("living").await.unwrap();
    let wanted: BTreeSet<_> = load.beating.published().chain(load.holders.published()).collect();
    let mut lacking = wanted.difference(&listed.healthy).cloned().collect();
    let timeout = Duration::from_millis(SHORT.0.into());
    load.beating.excuse("living", timeout, &mut lacking);
    assert!(lacking.is_empty(), "the new node lists what lives, but for {lacking:?}");
}

/// Every kind of coming and going, each at the leader and at another node, with the usual leases and longer than they last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes six minutes"]
async fn nobody_who_lives_is_marked_for_minutes_of_nodes_coming_and_going() {
    for lease in [SHORT, USUAL] {
        let mut cluster = cluster(3).await.unwrap();
        let load = Load::start(&cluster, lease, 300, 100).await.unwrap();
        let longer_than_a_lease = Duration::from_millis(u64::from(lease.1) + 3_000);
        for round in 1..=2 {
            let (leader, follower) = leader_and_follower(&cluster).await;
            let victim = if round == 1 { leader } else { follower };
            kill_and_restart(&mut cluster, victim, longer_than_a_lease).await;
            load.verdict("killed and restarted");
            stand_still(&mut cluster, victim).await;
            tokio::time::sleep(Duration::from_secs(8)).await;
            load.verdict("stood still");
            cluster.stop(victim).await.unwrap();
            cluster.restart(victim).await.unwrap();
            load.verdict("stopped and restarted");
            cluster.voters(SOON).await.unwrap();
        }
        let (leader, follower) = leader_and_follower(&cluster).await;
        cluster.start_joining(4).unwrap();
        let (server, added) = (cluster.address(leader), format!("4@{}", cluster.address(4)));
        tokio::task::spawn_blocking(move || operator(&server, ["add", &added]))
            .await
            .unwrap();
        cluster.ready(4).await.unwrap();
        tokio::time::sleep(longer_than_a_lease).await;
        load.verdict("added");
        for removed in [follower, leader] {
            let (server, gone) = (cluster.address(4), removed.to_string());
            tokio::task::spawn_blocking(move || operator(&server, ["remove", &gone]))
                .await
                .unwrap();
            cluster.stop(removed).await.unwrap();
            tokio::time::sleep(longer_than_a_lease).await;
            load.verdict("removed");
        }
    }
}

/// The warm copy lists everybody from the first answer on, and who goes on beating stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_nodes_are_killed_and_started_again_no_list_lacks_who_goes_on_beating() {
    let mut cluster = cluster(3).await.unwrap();
    let load = Load::start(&cluster, SHORT, 40, 20).await.unwrap();
    // The warm copy is written every few seconds.
    tokio::time::sleep(Duration::from_secs(6)).await;
    cluster.kill_all().await.unwrap();
    let killed = Instant::now();
    for id in cluster.ids() {
        cluster.start(id).unwrap();
    }
    for id in cluster.ids() {
        cluster.ready(id).await.unwrap();
    }
    eprintln!("all are ready {:?} after the kill", killed.elapsed());
    // Longer than a lease: only beats and connections keep them.
    tokio::time::sleep(Duration::from_secs(11)).await;
    load.verdict("all nodes were killed and started again");
}

/// Waits until the running nodes list nobody of `service`.
async fn nobody_left(cluster: &Cluster, services: &[&str]) -> anyhow::Result<()> {
    eventually(GONE_WITHIN, "they are gone", || async {
        for node in cluster.running() {
            for service in services {
                let left = cluster.v1(node).list(service).await?.all;
                ensure!(
                    left.is_empty(),
                    "node {node} lists {} of {service}: {left:?}",
                    left.len()
                );
            }
        }
        Ok(())
    })
    .await
}

/// Kills one node with all its clients, those that beat and those that have streams, and `later` a second node, to which the
/// dead clients had perhaps been handed.
async fn two_die(first_lease: Lease, later: Duration) {
    let mut cluster = cluster(5).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let first = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let spec = |n| Spec::ephemeral("dying", "10.1.0.1", n).with_lease_ms(1_000, first_lease.0, first_lease.1);
    let (there, specs) = ([cluster.address(first)], (1..=60).map(spec).collect());
    let publisher = Publisher::start(cluster.http(), &there, specs, Duration::from_secs(1))
        .await
        .unwrap();
    let holders = Holders::start(&[cluster.grpc_address(first)], "held", "10.1.0.2", 20)
        .await
        .unwrap();
    eventually(SOON, "all nodes list all", || async {
        for node in cluster.ids() {
            let counts = (
                cluster.v1(node).list("dying").await?,
                cluster.v1(node).list("held").await?,
            );
            ensure!(
                (counts.0.all.len(), counts.1.all.len()) == (60, 20),
                "node {node}: {counts:?}"
            );
        }
        Ok(())
    })
    .await
    .unwrap();
    cluster.kill(first).await.unwrap();
    drop((publisher, holders));
    let died = Instant::now();
    tokio::time::sleep(later).await;
    cluster.kill(leader).await.unwrap();
    let second_died = Instant::now();
    let survivors = cluster.running();
    assert_eq!(survivors.len(), 3);
    nobody_left(&cluster, &["dying", "held"]).await.unwrap();
    eprintln!(
        "gone {:?} after the first node died and {:?} after the second",
        died.elapsed(),
        second_died.elapsed()
    );
}

/// Nobody is left 35 s after the *last* of them died: who takes over from the second knows nothing of the silence before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; `ephemeral` has it with paused time"]
async fn two_nodes_that_die_one_after_the_other_leave_nobody_behind_35_seconds_after_the_second() {
    two_die(USUAL, Duration::from_secs(20)).await;
}

/// Beating clients and connections alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 40 s; its siblings for beats and for connections are in `kills` and `connections`"]
async fn two_nodes_that_die_at_once_leave_nobody_behind_after_35_seconds() {
    two_die(USUAL, Duration::ZERO).await;
}
