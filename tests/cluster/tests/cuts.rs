//! Links that are cut and healed, between hosts of their own. Needs root and `ip netns`; says so where they are missing.

use anyhow::ensure;
use muster_testkit::{Cluster, Hosts, Publisher, Spec, Subscriber, always, cluster_at, eventually, namespaces_missing};
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(20);

/// Three nodes on three hosts; `None` where there can be none.
async fn cluster_on_hosts() -> Option<(Cluster, Hosts)> {
    if let Some(why) = namespaces_missing() {
        eprintln!("not run, there are no network namespaces here: {why}");
        return None;
    }
    let hosts = Hosts::new(3).unwrap();
    let cluster = cluster_at(hosts.places(), &[]).await.unwrap();
    Some((cluster, hosts))
}

async fn lists(cluster: &Cluster, node: u64, service: &str, wanted: &[String]) -> anyhow::Result<()> {
    let listed = cluster.v1(node).list(service).await?;
    let missing: Vec<_> = wanted.iter().filter(|it| !listed.all.contains(*it)).collect();
    ensure!(missing.is_empty(), "node {node} does not list {missing:?}");
    Ok(())
}

fn specs(service: &str, ports: std::ops::Range<u16>) -> Vec<Spec> {
    ports
        .map(|n| Spec::ephemeral(service, "10.1.0.1", n).with_lease_ms(1_000, 4_000, 8_000))
        .collect()
}

/// A node without a leader stays ready, for it serves what it has, and gives the reason beside it and in its metrics.
async fn says_that_it_has_no_leader(cluster: &Cluster, node: u64) -> anyhow::Result<()> {
    let (http, address) = (cluster.http(), cluster.address(node));
    let ready = http.get(&address, "/health/ready", &[]).await?;
    ensure!(
        ready.status == 200 && ready.body.contains("no raft leader"),
        "{ready:?}"
    );
    let metrics = http.get(&address, "/metrics", &[]).await?.ok()?.body;
    let shown = metrics.lines().any(|line| line == "muster_raft_has_leader 0");
    ensure!(shown, "the metrics of node {node} show a leader");
    Ok(())
}

/// Cuts `minority` off, looks at both sides, heals, and looks again.
async fn cut_off(cluster: &Cluster, hosts: &Hosts, minority: u64) -> anyhow::Result<()> {
    let http = cluster.http();
    let majority: Vec<_> = cluster.ids().into_iter().filter(|id| *id != minority).collect();
    let everywhere = Publisher::start(http, &cluster.addresses(), specs("old", 1..10), Duration::from_secs(1)).await?;
    let old: Vec<_> = everywhere.published().collect();
    for node in cluster.ids() {
        eventually(SOON, "all list all", || lists(cluster, node, "old", &old)).await?;
        cluster
            .v1(node)
            .register(&Spec::persistent("p", "10.2.0.1", node as u16))
            .await?
            .ok()?;
    }

    hosts.isolate(minority as u8)?;
    cluster.leader_among(&majority, SOON).await?;
    // a leader that has been silent is none: from then on nothing is forwarded into the silence
    eventually(SOON, "the minority names no leader and no majority", || async {
        let status = cluster.status(minority).await?;
        ensure!(status["leader"].is_null() && status["quorum"] == false, "{status}");
        Ok(())
    })
    .await?;
    let asked = Instant::now();
    let refused = cluster
        .v1(minority)
        .register(&Spec::persistent("p", "10.2.0.9", 9))
        .await?;
    eprintln!("the minority refused after {:?}: {}", asked.elapsed(), refused.body);
    ensure!(refused.status == 500, "the minority answered {refused:?}");
    ensure!(
        refused.body.contains("did not find the Leader node"),
        "the minority answered {refused:?}"
    );
    says_that_it_has_no_leader(cluster, minority).await?;

    // either side goes on with what needs nobody's consent
    let here = [cluster.address(minority)];
    let there: Vec<_> = majority.iter().map(|id| cluster.address(*id)).collect();
    let small = Publisher::start(http, &here, specs("new", 1..4), Duration::from_secs(1)).await?;
    let large = Publisher::start(http, &there, specs("new", 101..104), Duration::from_secs(1)).await?;
    cluster
        .v1(majority[0])
        .register(&Spec::persistent("p", "10.2.0.8", 8))
        .await?
        .ok()?;
    let small_side: Vec<_> = small.published().collect();
    let large_side: Vec<_> = large.published().collect();
    // those that beat within the majority; of the others it hears nothing, and lets their leases end
    let heard = everywhere.specs.iter().zip(cluster.ids().into_iter().cycle());
    let heard: Vec<_> = heard
        .filter(|(_, node)| *node != minority)
        .map(|(spec, _)| spec.address())
        .collect();
    // longer than the leases: a minority marks nothing and removes nothing, whoever beats where
    always(Duration::from_secs(9), "nothing that lives leaves a list", || async {
        lists(cluster, minority, "new", &small_side).await?;
        lists(cluster, minority, "old", &old).await?;
        for node in &majority {
            lists(cluster, *node, "old", &heard).await?;
            eventually(SOON, "copied", || lists(cluster, *node, "new", &large_side)).await?;
        }
        Ok(())
    })
    .await?;

    hosts.heal()?;
    let healed = Instant::now();
    let written_meanwhile = ["10.2.0.8:8".to_owned()];
    let all = [small_side, large_side].concat();
    for node in cluster.ids() {
        eventually(Duration::from_secs(10), "healed", || lists(cluster, node, "new", &all)).await?;
        eventually(SOON, "what beat within the minority is back", || {
            lists(cluster, node, "old", &old)
        })
        .await?;
        eventually(SOON, "the log caught up", || {
            lists(cluster, node, "p", &written_meanwhile)
        })
        .await?;
    }
    eprintln!("all lists hold all {:?} after the healing", healed.elapsed());
    let left = Duration::from_secs(10).saturating_sub(healed.elapsed());
    cluster.converged(left.max(Duration::from_secs(1))).await?;
    eprintln!("all digests equal {:?} after the healing", healed.elapsed());
    for node in cluster.ids() {
        let listed = cluster.v1(node).list("p").await?;
        ensure!(
            !listed.all.contains("10.2.0.9:9"),
            "a refused write took effect at node {node}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_cut_off_refuses_persistent_writes_and_serves_ephemeral_ones() {
    let Some((cluster, hosts)) = cluster_on_hosts().await else {
        return;
    };
    let leader = cluster.leader(SOON).await.unwrap();
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cut_off(&cluster, &hosts, follower).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_refuses_persistent_writes_and_serves_ephemeral_ones() {
    let Some((cluster, hosts)) = cluster_on_hosts().await else {
        return;
    };
    let leader = cluster.leader(SOON).await.unwrap();
    cut_off(&cluster, &hosts, leader).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_host_is_pushed_from_another() {
    let Some((cluster, hosts)) = cluster_on_hosts().await else {
        return;
    };
    let bridge = hosts.test_address();
    let subscriber = Subscriber::bind(bridge.into()).await.unwrap();
    let ip = subscriber.ip.to_string();
    cluster.v1(1).subscribe("pushed", &ip, subscriber.port).await.unwrap();
    let changed = Instant::now();
    let spec = Spec::ephemeral("pushed", "10.1.0.1", 80);
    cluster.v1(2).register(&spec).await.unwrap().ok().unwrap();
    let seen = subscriber
        .until(SOON, |push| push.list.all.contains("10.1.0.1:80"))
        .await
        .unwrap();
    eprintln!("pushed by another node {:?} after the call", seen.received - changed);
    assert_eq!(seen.service, "DEFAULT_GROUP@@pushed");
}
