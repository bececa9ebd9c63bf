//! Beats that arrive after their instance was deregistered: it stays gone.

use anyhow::{Context, ensure};
use muster_testkit::{Cluster, Hosts, Spec, always, cluster, cluster_at, eventually, namespaces_missing};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(15);
const SERVICE: &str = "leaving";
const PORT: u16 = 80;
/// A tombstone swallows beats for one beat interval (5 s) and a second; one that was under way for longer is another client's.
const SWALLOWED_FOR: Duration = Duration::from_secs(6);
/// A machine so busy that beats come after that has shown nothing; so often may it be.
const ROUNDS_MAX: usize = 5;
const UNDER_WAY: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];

fn spec() -> Spec {
    Spec::ephemeral(SERVICE, "10.1.0.1", PORT)
}

/// A full beat that has left its client and has not arrived whole.
struct UnderWay(TcpStream);

impl UnderWay {
    async fn send(cluster: &Cluster, node: u64) -> anyhow::Result<Self> {
        let beat = format!(
            "%7B%22serviceName%22%3A%22DEFAULT_GROUP%40%40{SERVICE}%22%2C%22ip%22%3A%2210.1.0.1%22%2C%22port%22%3A{PORT}%2C\
             %22cluster%22%3A%22DEFAULT%22%2C%22weight%22%3A1.0%2C%22metadata%22%3A%7B%7D%2C%22scheduled%22%3Afalse%7D"
        );
        let request = format!(
            "PUT /nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP%40%40{SERVICE}&beat={beat} HTTP/1.1\r\nHost: x\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r"
        );
        let mut stream = TcpStream::connect(cluster.address(node)).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(Self(stream))
    }

    async fn arrive(mut self) -> anyhow::Result<String> {
        self.0.write_all(b"\n").await?;
        let mut answer = String::new();
        let read = tokio::time::timeout(SOON, self.0.read_to_string(&mut answer)).await;
        read.context("no answer")??;
        Ok(answer)
    }
}

async fn listed(cluster: &Cluster, nodes: &[u64], count: usize) -> anyhow::Result<()> {
    for node in nodes {
        let listed = cluster.v1(*node).list(SERVICE).await?.all;
        ensure!(listed.len() == count, "node {node} lists {listed:?}");
    }
    Ok(())
}

/// Lets a beat arrive at each node so long after its instance was deregistered; false if one came later than can be judged.
async fn beats_arrive_late(cluster: &Cluster, delay: Duration) -> anyhow::Result<bool> {
    let ids = cluster.ids();
    cluster.v1(1).register(&spec()).await?.ok()?;
    eventually(SOON, "listed everywhere", || listed(cluster, &ids, 1)).await?;
    let mut beats = Vec::new();
    for node in &ids {
        beats.push((*node, UnderWay::send(cluster, *node).await?));
    }
    let deregistered = Instant::now();
    cluster.v1(2).deregister(&spec()).await?.ok()?;
    eventually(SOON, "gone everywhere", || listed(cluster, &ids, 0)).await?;
    tokio::time::sleep_until(deregistered + delay).await;
    for (node, beat) in beats {
        let answer = beat.arrive().await?;
        if deregistered.elapsed() >= SWALLOWED_FOR {
            return Ok(false);
        }
        // 20404 would make its client register it again.
        ensure!(
            answer.contains("\"code\":10200"),
            "node {node}, {delay:?} late: {answer}"
        );
    }
    always(Duration::from_secs(2), "it stays gone", || listed(cluster, &ids, 0)).await?;
    Ok(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_under_way_to_another_node_while_its_instance_is_deregistered_brings_nothing_back() {
    let cluster = cluster(3).await.unwrap();
    let ids = cluster.ids();
    for delay in UNDER_WAY {
        let mut rounds = 1;
        while !beats_arrive_late(&cluster, delay).await.unwrap() {
            assert!(rounds < ROUNDS_MAX, "no beat came in time to be judged");
            rounds += 1;
        }
        // Its client means it when it registers.
        cluster.v1(3).register(&spec()).await.unwrap().ok().unwrap();
        eventually(SOON, "listed again", || listed(&cluster, &ids, 1))
            .await
            .unwrap();
    }
    cluster.converged(SOON).await.unwrap();
}

/// Lets a beat reach a node that cannot have heard of the deregistration; false if it came later than can be judged.
async fn beats_at_one_cut_off(cluster: &Cluster, hosts: &Hosts) -> anyhow::Result<bool> {
    let ids = cluster.ids();
    cluster.v1(1).register(&spec()).await?.ok()?;
    eventually(SOON, "listed everywhere", || listed(cluster, &ids, 1)).await?;
    hosts.isolate(2)?;
    let beat = UnderWay::send(cluster, 2).await?;
    let deregistered = Instant::now();
    cluster.v1(1).deregister(&spec()).await?.ok()?;
    eventually(SOON, "gone at the others", || listed(cluster, &[1, 3], 0)).await?;
    beat.arrive().await?;
    cluster.v1(2).beat(&spec()).await?.ok()?;
    let in_time = deregistered.elapsed() < SWALLOWED_FOR;
    listed(cluster, &[2], 1).await?;
    hosts.heal()?;
    Ok(in_time)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beat_at_a_node_that_is_cut_off_from_the_deregistration_brings_nothing_back() {
    if let Some(why) = namespaces_missing() {
        eprintln!("not run, there are no network namespaces here: {why}");
        return;
    }
    let hosts = Hosts::new(3).unwrap();
    let cluster = cluster_at(hosts.places(), &[]).await.unwrap();
    let ids = cluster.ids();
    let mut rounds = 1;
    while !beats_at_one_cut_off(&cluster, &hosts).await.unwrap() {
        assert!(rounds < ROUNDS_MAX, "no beat came in time to be judged");
        rounds += 1;
    }
    eventually(Duration::from_secs(10), "gone everywhere", || listed(&cluster, &ids, 0))
        .await
        .unwrap();
    always(Duration::from_secs(3), "it stays gone", || listed(&cluster, &ids, 0))
        .await
        .unwrap();
    cluster.converged(SOON).await.unwrap();
}
