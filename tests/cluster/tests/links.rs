//! One link that is cut, one way or both, in groups of three and of five. Needs root and `ip netns`; says so where they are
//! missing.
//!
//! While it is cut, every node has a client for each kind of instance that writes all the time and asks one other node when its
//! own does not take a write: none may be refused twice. And who lives, wherever it beats, is never shown as missing or
//! unhealthy: two nodes that do not see each other may both believe that they answer for the same client.

use anyhow::{Context, ensure};
use muster_cluster::{Beating, Clients, Holders, Watch, Written};
use muster_testkit::{Answer, Cluster, Hosts, Spec, always, cluster_at, eventually, namespaces_missing};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(20);
/// Longer than a node believes in a silent leader (2 s) and counts a silent member as living (3 s), and than a write waits (5 s).
const CUT_FOR: Duration = Duration::from_millis(5_500);
/// Of those that take minutes: a node that has found out has as long again to show what it does then.
const LONGER: Duration = Duration::from_secs(9);

/// So often may a busy machine spoil what a test arranges before it looks.
const ROUNDS_MAX: usize = 5;

/// Shorter than two cuts, and longer than busy nodes stand still.
const BEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which packets get lost.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Both(u8, u8),
    Way(u8, u8),
}

impl Cut {
    fn make(self, hosts: &Hosts) -> anyhow::Result<()> {
        match self {
            Self::Both(one, other) => hosts.cut(one, other),
            Self::Way(from, to) => hosts.cut_way(from, to),
        }
    }
}

/// Both ways and each way of every link between `count` nodes.
fn all_cuts(count: u8) -> Vec<Cut> {
    let links = (1..=count).flat_map(|one| (one + 1..=count).map(move |other| (one, other)));
    links
        .flat_map(|(one, other)| [Cut::Both(one, other), Cut::Way(one, other), Cut::Way(other, one)])
        .collect()
}

async fn cluster_on_hosts(count: u8) -> Option<(Cluster, Hosts)> {
    if let Some(why) = namespaces_missing() {
        eprintln!("not run, there are no network namespaces here: {why}");
        return None;
    }
    let hosts = Hosts::new(count).unwrap();
    let cluster = cluster_at(hosts.places(), &[]).await.unwrap();
    Some((cluster, hosts))
}

/// Makes one cut after the other, and heals each; with clients that write and a watch on those who live.
async fn play(cluster: &Cluster, hosts: &Hosts, cuts: &[Cut], cut_for: Duration) -> anyhow::Result<()> {
    let leases =
        |n| Spec::ephemeral("living", "10.1.0.1", n).with_lease_ms(1_000, BEAT_TIMEOUT.as_millis() as u32, 20_000);
    let specs = (1..=30).map(leases).collect();
    let beating = Beating::start(cluster.http(), &cluster.addresses(), specs, Duration::from_secs(1)).await?;
    let holders = Holders::start(&cluster.grpc_addresses(), "living", "10.1.0.2", 15).await?;
    let wanted = beating.published().chain(holders.published()).count();
    eventually(SOON, "all nodes list all", || async {
        for node in cluster.ids() {
            let listed = cluster.v1(node).list("living").await?.healthy.len();
            ensure!(listed == wanted, "node {node} lists {listed}");
        }
        Ok(())
    })
    .await?;
    let beats = (&beating, BEAT_TIMEOUT);
    let watch = Watch::start(
        cluster,
        hosts.test_address().into(),
        "living",
        beats,
        holders.published(),
    )
    .await?;
    let mut total = Written::default();
    for (number, cut) in (1..).zip(cuts) {
        let leader = cluster.leader(SOON).await?;
        let written = one_cut(cluster, hosts, number, *cut, cut_for).await?;
        eprintln!(
            "{cut:?} with leader {leader}: {} writes, {} of them at the second node, {} refused by both, the slowest {:?}",
            written.acknowledged.len(),
            written.at_the_second,
            written.failed.len(),
            written.slowest
        );
        total
            .failed
            .extend(written.failed.iter().map(|it| format!("{cut:?}: {it}")));
        total.at_the_second += written.at_the_second;
        total.acknowledged.extend(written.acknowledged);
        watch.verdict(&format!("{cut:?}"))?;
    }
    ensure!(
        total.failed.is_empty(),
        "{} writes failed twice: {:#?}",
        total.failed.len(),
        total.failed
    );
    eprintln!(
        "{} cuts: {} writes, {} of them at the second node, none refused by both",
        cuts.len(),
        total.acknowledged.len(),
        total.at_the_second
    );
    cluster.leader(SOON).await?;
    cluster.converged(Duration::from_secs(10)).await?;
    for node in cluster.ids() {
        for number in 1..=cuts.len() {
            let service = format!("persistent-{number}");
            let listed = cluster.v1(node).list(&service).await?.all;
            let kept = total.acknowledged.iter().filter(|(of, _)| *of == service);
            let lost: Vec<_> = kept.filter(|(_, address)| !listed.contains(address)).collect();
            ensure!(lost.is_empty(), "node {node} has lost {lost:?}");
        }
    }
    Ok(())
}

/// Writes for as long as the link is cut, until the last write begun meanwhile is answered.
async fn one_cut(cluster: &Cluster, hosts: &Hosts, number: u8, cut: Cut, cut_for: Duration) -> anyhow::Result<Written> {
    let clients = Clients::start(cluster, number);
    tokio::time::sleep(Duration::from_millis(200)).await;
    cut.make(hosts)?;
    tokio::time::sleep(cut_for).await;
    let written = clients.stop().await?;
    hosts.heal()?;
    Ok(written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_fails_twice_and_nobody_is_marked_with_one_link_of_three_cut() {
    let Some((cluster, hosts)) = cluster_on_hosts(3).await else {
        return;
    };
    let leader = cluster.leader(SOON).await.unwrap() as u8;
    let (one, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let cuts = [Cut::Way(one, leader), Cut::Both(one, other)];
    play(&cluster, &hosts, &cuts, CUT_FOR).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_fails_twice_and_nobody_is_marked_with_one_link_of_five_cut() {
    let Some((cluster, hosts)) = cluster_on_hosts(5).await else {
        return;
    };
    let leader = cluster.leader(SOON).await.unwrap() as u8;
    play(&cluster, &hosts, &[Cut::Way(leader, leader % 5 + 1)], CUT_FOR)
        .await
        .unwrap();
}

/// Nine cuts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two minutes"]
async fn no_write_fails_twice_with_any_link_of_three_cut_either_way() {
    let Some((cluster, hosts)) = cluster_on_hosts(3).await else {
        return;
    };
    play(&cluster, &hosts, &all_cuts(3), LONGER).await.unwrap();
}

/// Thirty cuts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes five minutes"]
async fn no_write_fails_twice_with_any_link_of_five_cut_either_way() {
    let Some((cluster, hosts)) = cluster_on_hosts(5).await else {
        return;
    };
    play(&cluster, &hosts, &all_cuts(5), LONGER).await.unwrap();
}

/// A leader that is cut off believes in itself for two seconds: what it answers meanwhile is never "ok", and nobody lists it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_acknowledges_nothing_from_the_moment_it_is_cut_off() {
    let Some((cluster, hosts)) = cluster_on_hosts(3).await else {
        return;
    };
    let before = Spec::persistent("p", "10.2.0.1", 1);
    let mut rounds = 1;
    let (old, cut) = loop {
        let old = cluster.leader(SOON).await.unwrap();
        cluster.v1(old).register(&before).await.unwrap().ok().unwrap();
        hosts.isolate(old as u8).unwrap();
        let cut = Instant::now();
        if cluster.status(old).await.unwrap()["leader"].as_u64() == Some(old) {
            break (old, cut);
        }
        // This looks at a leader that does not know yet; asked too late, it has nothing to show.
        assert!(rounds < ROUNDS_MAX, "no leader was asked in time");
        rounds += 1;
        hosts.heal().unwrap();
    };
    let v1 = cluster.v1(old);
    let writes: Vec<_> = (2..=21).map(|port| Spec::persistent("p", "10.2.0.1", port)).collect();
    let mut asked = tokio::task::JoinSet::new();
    for (number, spec) in writes.into_iter().enumerate() {
        let v1 = v1.clone();
        asked.spawn(async move {
            tokio::time::sleep(Duration::from_millis(100) * number as u32).await;
            let answer = v1.register(&spec).await.unwrap();
            (spec, cut.elapsed(), answer)
        });
    }
    let mut said = std::collections::BTreeMap::new();
    while let Some(answered) = asked.join_next().await {
        let (spec, after, answer) = answered.unwrap();
        assert_ne!(
            answer.status,
            200,
            "{} was acknowledged {after:?} after the cut",
            spec.address()
        );
        let words = answer.body.split(':').take(2).collect::<Vec<_>>().join(":");
        *said.entry(format!("{}: {words}", answer.status)).or_insert(0) += 1;
    }
    eprintln!("answers of the first two seconds: {said:#?}");
    let others: Vec<_> = cluster.ids().into_iter().filter(|id| *id != old).collect();
    cluster.leader_among(&others, SOON).await.unwrap();
    let elsewhere = Spec::persistent("p", "10.2.0.1", 99);
    cluster.v1(others[0]).register(&elsewhere).await.unwrap().ok().unwrap();
    hosts.heal().unwrap();
    cluster.leader(SOON).await.unwrap();
    cluster.converged(SOON).await.unwrap();
    for node in cluster.ids() {
        let listed = cluster.v1(node).list("p").await.unwrap().all;
        let expected = [before.address(), elsewhere.address()].into();
        assert_eq!(
            listed, expected,
            "node {node}: nobody had heard of the others, and their callers have been answered long ago"
        );
    }
}

/// What a node shows that opened without a leader.
struct Opened {
    took: Duration,
    persistent: BTreeSet<String>,
    ephemeral: usize,
    ready: Value,
    strong: Answer,
    kept: anyhow::Result<()>,
}

/// Ports of persistent instances of `service`.
fn ports(service: &str, from: u16, to: u16) -> impl Iterator<Item = Spec> {
    (from..=to).map(move |port| Spec::persistent(service, "10.2.0.1", port))
}

/// Kills a follower, writes, starts it again where the leader does not reach it, looks at it, and heals. `None` if another one
/// has led meanwhile, whom it reached.
async fn opens_without_a_leader(cluster: &mut Cluster, hosts: &Hosts, service: &str) -> anyhow::Result<Option<Opened>> {
    let leader = cluster.leader(SOON).await?;
    let late = cluster
        .ids()
        .into_iter()
        .find(|id| *id != leader)
        .context("a follower")?;
    let third = cluster.ids().into_iter().find(|id| *id != leader && *id != late);
    let third = third.context("another")?;
    for spec in ports(service, 1, 10) {
        cluster.v1(late).register(&spec).await?.ok()?;
    }
    cluster.converged(SOON).await?;
    cluster.kill(late).await?;
    for spec in ports(service, 11, 20) {
        cluster.v1(leader).register(&spec).await?.ok()?;
    }
    // Nobody beats.
    let living = Spec::ephemeral(&format!("{service}-living"), "10.2.0.2", 1).with_lease_ms(5_000, 120_000, 180_000);
    cluster.v1(leader).register(&living).await?.ok()?;
    let known = async |cluster: &Cluster| -> anyhow::Result<_> {
        let status = cluster.status(third).await?;
        Ok((status["leader"].as_u64(), status["term"].as_u64()))
    };
    let led = known(cluster).await?;
    // It reaches the third node, which has the ephemeral instances, and not the leader.
    hosts.cut(late as u8, leader as u8)?;
    let started = Instant::now();
    cluster.restart(late).await?;
    let took = started.elapsed();
    eprintln!("opened {took:?} after its start");
    let (http, address) = (cluster.http(), cluster.address(late));
    let persistent = cluster.v1(late).list(service).await?.all;
    let ephemeral = cluster.v1(late).list(&living.service).await?.all.len();
    let ready = http.get(&address, "/health/ready", &[]).await?.json()?;
    let parameters = [("serviceName", service), ("consistency", "strong")];
    let strong = http.get(&address, "/nacos/v3/admin/muster/service", &parameters);
    let strong = strong.await?;
    let kept = always(Duration::from_secs(2), "it keeps listing them", || async {
        let count = cluster.v1(late).list(service).await?.all.len();
        ensure!(count == persistent.len(), "{count}");
        Ok(())
    })
    .await;
    let same = led.0 == Some(leader) && led == known(cluster).await?;
    hosts.heal()?;
    Ok(same.then_some(Opened {
        took,
        persistent,
        ephemeral,
        ready,
        strong,
        kept,
    }))
}

/// What such a node lists may be old, and it says so; a strong read is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_finds_no_leader_opens_with_what_is_on_its_disk_and_says_so() {
    let Some((mut cluster, hosts)) = cluster_on_hosts(3).await else {
        return;
    };
    let mut rounds = 1;
    let (service, opened) = loop {
        let service = format!("p-{rounds}");
        if let Some(opened) = opens_without_a_leader(&mut cluster, &hosts, &service).await.unwrap() {
            break (service, opened);
        }
        assert!(rounds < ROUNDS_MAX, "each time another one came to lead");
        rounds += 1;
        cluster.voters(SOON).await.unwrap();
    };
    assert!(opened.took >= Duration::from_secs(10), "it did not wait for a leader");
    let known = |upto| {
        ports(&service, 1, upto)
            .map(|spec| spec.address())
            .collect::<BTreeSet<_>>()
    };
    // That the last one is committed may have reached it and not its disk, within the 20 ms that this waits for a write to go with.
    let listed = &opened.persistent;
    assert!(*listed == known(10) || *listed == known(9), "{listed:?}");
    assert_eq!(opened.ephemeral, 1);
    let ready = &opened.ready;
    assert_eq!(
        (&ready["ready"], &ready["has_leader"]),
        (&Value::Bool(true), &Value::Bool(false)),
        "{ready}"
    );
    let strong = &opened.strong;
    assert!(strong.status == 503 && strong.body.contains("no_leader"), "{strong:?}");
    opened.kept.unwrap();
    cluster.leader(SOON).await.unwrap();
    cluster.converged(SOON).await.unwrap();
    for id in cluster.ids() {
        assert_eq!(cluster.v1(id).list(&service).await.unwrap().all, known(20), "node {id}");
    }
}
