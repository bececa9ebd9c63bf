//! `kill -9`, under load.

use anyhow::ensure;
use muster_cluster::{GONE_WITHIN, written};
use muster_testkit::{Cluster, Publisher, Spec, Writer, always, cluster, eventually};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(15);
const WRITERS: u8 = 8;

/// 20 instances with short leases, so that one that is forgotten would be gone within the test; all nodes list them.
async fn publisher(cluster: &Cluster) -> anyhow::Result<Publisher> {
    let specs = (1..=20).map(|n| Spec::ephemeral("living", "10.1.0.1", n).with_lease_ms(1_000, 4_000, 8_000));
    let addresses = cluster.addresses();
    let publisher = Publisher::start(cluster.http(), &addresses, specs.collect(), Duration::from_secs(1)).await?;
    eventually(SOON, "all nodes list all", || {
        all_listed(cluster, &[1, 2, 3], &publisher)
    })
    .await?;
    Ok(publisher)
}

/// Fails if an instance of the publisher is not listed at one of the nodes.
async fn all_listed(cluster: &Cluster, nodes: &[u64], publisher: &Publisher) -> anyhow::Result<()> {
    for node in nodes {
        let listed = cluster.v1(*node).list("living").await?;
        let missing: Vec<_> = publisher.published().filter(|it| !listed.all.contains(it)).collect();
        ensure!(missing.is_empty(), "node {node} does not list {missing:?}");
    }
    Ok(())
}

/// Every running node lists everything that was acknowledged.
async fn nothing_lost(cluster: &Cluster, service: &str, acknowledged: &BTreeSet<String>) -> anyhow::Result<()> {
    for node in cluster.running() {
        eventually(SOON, "all that was acknowledged is listed", || async {
            let listed = cluster.v1(node).list(service).await?;
            let lost = acknowledged.difference(&listed.all).count();
            ensure!(lost == 0, "{lost} of {} are lost at node {node}", acknowledged.len());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Kills one node under load; the others go on, nothing is lost, it comes back.
async fn kill_one(cluster: &mut Cluster, victim: u64) -> anyhow::Result<()> {
    let publisher = publisher(cluster).await?;
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", WRITERS);
    written(&writer, 100).await?;

    cluster.kill(victim).await?;
    let killed = Instant::now();
    let survivors = cluster.running();
    let leader = cluster.leader_among(&survivors, SOON).await?;
    eprintln!(
        "node {victim} killed: the survivors name node {leader} after {:?}",
        killed.elapsed()
    );
    written(&writer, 100).await?;
    eprintln!("100 more writes after {:?}", killed.elapsed());
    // longer than the instances' leases
    always(Duration::from_secs(9), "survivors list what lives", || {
        all_listed(cluster, &survivors, &publisher)
    })
    .await?;

    cluster.restart(victim).await?;
    written(&writer, 100).await?;
    let (acknowledged, refused, last) = writer.stop().await;
    eprintln!("{} acknowledged, {refused} not, the last: {last}", acknowledged.len());
    nothing_lost(cluster, "kept", &acknowledged).await?;
    eventually(SOON, "the restarted node lists all", || {
        all_listed(cluster, std::slice::from_ref(&victim), &publisher)
    })
    .await?;
    eprintln!("{} beats had to go to another node", publisher.beats_failed());
    drop(publisher);
    cluster.converged(Duration::from_secs(10)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_follower_loses_nothing() {
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    kill_one(&mut cluster, follower).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_leader_loses_nothing() {
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    kill_one(&mut cluster, leader).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_all_three_at_once_loses_nothing_that_was_acknowledged() {
    let mut cluster = cluster(3).await.unwrap();
    let mut kept = BTreeSet::new();
    for round in 0..2 {
        let writer = Writer::start(cluster.http(), &cluster.addresses(), &format!("kept-{round}"), WRITERS);
        written(&writer, 200).await.unwrap();
        cluster.kill_all().await.unwrap();
        let (acknowledged, _, last) = writer.stop().await;
        eprintln!(
            "round {round}: {} acknowledged, the last refusal: {last}",
            acknowledged.len()
        );
        kept.insert((format!("kept-{round}"), acknowledged));
        for id in cluster.ids() {
            cluster.start(id).unwrap();
        }
        for id in cluster.ids() {
            cluster.ready(id).await.unwrap();
        }
        for (service, acknowledged) in &kept {
            nothing_lost(&cluster, service, acknowledged).await.unwrap();
        }
    }
    cluster.leader(SOON).await.unwrap();
    cluster.converged(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_hurts_nobody_and_goes_on() {
    use muster_testkit::Signal;
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let publisher = publisher(&cluster).await.unwrap();
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", WRITERS);
    written(&writer, 50).await.unwrap();
    cluster.node_mut(leader).signal(Signal::Stop).unwrap();
    let others: Vec<_> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    cluster.leader_among(&others, SOON).await.unwrap();
    let held = always(Duration::from_secs(6), "the others list what lives", || {
        all_listed(&cluster, &others, &publisher)
    });
    held.await.unwrap();
    cluster.node_mut(leader).signal(Signal::Continue).unwrap();
    written(&writer, 50).await.unwrap();
    let (acknowledged, ..) = writer.stop().await;
    nothing_lost(&cluster, "kept", &acknowledged).await.unwrap();
    let listed = eventually(SOON, "all nodes list all", || {
        all_listed(&cluster, &[1, 2, 3], &publisher)
    });
    listed.await.unwrap();
    drop(publisher);
    cluster.converged(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_die_with_their_node_are_gone_everywhere_within_35_seconds() {
    let mut cluster = cluster(3).await.unwrap();
    let victim = cluster.leader(SOON).await.unwrap();
    let there = [cluster.address(victim)];
    // the usual times: unhealthy after 15 s, removed after 30 s
    let specs = (1..=20).map(|n| Spec::ephemeral("dying", "10.1.0.1", n)).collect();
    let beats = Publisher::start(cluster.http(), &there, specs, Duration::from_secs(1));
    let publisher = beats.await.unwrap();
    let listed = eventually(SOON, "all nodes list all", || async {
        for node in cluster.ids() {
            let count = cluster.v1(node).list("dying").await?.all.len();
            ensure!(count == 20, "node {node} lists {count}");
        }
        Ok(())
    });
    listed.await.unwrap();
    drop(publisher);
    cluster.kill(victim).await.unwrap();
    let killed = Instant::now();
    let gone = eventually(GONE_WITHIN, "they are gone", || async {
        for node in cluster.running() {
            let left = cluster.v1(node).list("dying").await?.all;
            ensure!(left.is_empty(), "node {node} lists {left:?}");
        }
        Ok(())
    });
    gone.await.unwrap();
    eprintln!("gone {:?} after the kill", killed.elapsed());
}
