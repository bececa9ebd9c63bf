//! Orderly ends, other addresses, emptied disks.

use anyhow::{Context, ensure};
use muster_cluster::{Beating, Watch, written};
use muster_testkit::{
    Cluster, GrpcClient, Listed, Publisher, Signal, Spec, Subscriber, Writer, always, cluster, eventually, muster,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_of_a_node_loses_no_ephemeral_instance() {
    let mut cluster = cluster(3).await.unwrap();
    let specs = (1..=30).map(|n| Spec::ephemeral("living", "10.1.0.1", n).with_lease_ms(1_000, 5_000, 10_000));
    let (addresses, beat_every) = (cluster.addresses(), Duration::from_secs(1));
    let beating = Beating::start(cluster.http(), &addresses, specs.collect(), beat_every)
        .await
        .unwrap();
    eventually(SOON, "all nodes list all", || async {
        for node in cluster.ids() {
            let count = cluster.v1(node).list("living").await?.healthy.len();
            ensure!(count == 30, "node {node} lists {count} as healthy");
        }
        Ok(())
    })
    .await
    .unwrap();
    let (ear, beats) = (Ipv4Addr::LOCALHOST.into(), (&beating, Duration::from_secs(5)));
    let watch = Watch::start(&cluster, ear, "living", beats, []).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    cluster.stop(leader).await.unwrap();
    // Longer than a lease: only beats at the others keep them.
    tokio::time::sleep(Duration::from_secs(12)).await;
    watch.verdict("a node ended in order").unwrap();
    cluster.restart(leader).await.unwrap();
    cluster.leader(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_restarted_at_another_address_rejoins() {
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let moved = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let before = Spec::persistent("p", "10.2.0.1", 1);
    cluster.v1(moved).register(&before).await.unwrap().ok().unwrap();
    cluster.stop(moved).await.unwrap();
    let while_away = Spec::persistent("p", "10.2.0.1", 2);
    cluster.v1(leader).register(&while_away).await.unwrap().ok().unwrap();
    cluster.move_to_another_port(moved).unwrap();
    cluster.restart(moved).await.unwrap();
    let v1 = cluster.v1(moved);
    let caught_up = eventually(SOON, "the moved node has both", || async {
        let listed = v1.list("p").await?;
        ensure!(listed.all.len() == 2, "{:?}", listed.all);
        Ok(())
    });
    caught_up.await.unwrap();
    v1.register(&Spec::persistent("p", "10.2.0.1", 3))
        .await
        .unwrap()
        .ok()
        .unwrap();
    v1.register(&Spec::ephemeral("e", "10.2.0.1", 1))
        .await
        .unwrap()
        .ok()
        .unwrap();
    cluster.converged(SOON).await.unwrap();
    // it counts as a voter: with the third node gone, it and the other are the majority
    let third = cluster
        .ids()
        .into_iter()
        .find(|id| *id != leader && *id != moved)
        .unwrap();
    cluster.kill(third).await.unwrap();
    cluster.leader(SOON).await.unwrap();
    v1.register(&Spec::persistent("p", "10.2.0.1", 4))
        .await
        .unwrap()
        .ok()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_record_where_a_node_has_moved() {
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let moved = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.stop(moved).await.unwrap();
    cluster.move_to_another_port(moved).unwrap();
    cluster.start(moved).unwrap();
    let member = format!("{moved}@{}", cluster.address(moved));
    operator(&cluster.address(leader), ["add".to_owned(), member]).unwrap();
    cluster.ready(moved).await.unwrap();
    let written = Spec::persistent("p", "10.2.0.1", 1);
    cluster.v1(moved).register(&written).await.unwrap().ok().unwrap();
    cluster.voters(SOON).await.unwrap();
    cluster.converged(SOON).await.unwrap();
}

/// Registers for a while; answers what was acknowledged.
async fn some_writes(cluster: &Cluster) -> BTreeSet<String> {
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", 4);
    written(&writer, 300).await.unwrap();
    writer.stop().await.0
}

async fn has_all(cluster: &Cluster, node: u64, acknowledged: &BTreeSet<String>) {
    let caught_up = eventually(SOON, "the node has caught up", || async {
        let listed = cluster.v1(node).list("kept").await?;
        let lacking = acknowledged.difference(&listed.all).count();
        ensure!(lacking == 0, "{lacking} of {} are lacking", acknowledged.len());
        Ok(())
    });
    caught_up.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_emptied_disk_is_taken_back_and_catches_up() {
    let mut cluster = cluster(3).await.unwrap();
    let acknowledged = some_writes(&cluster).await;
    for lost in cluster.ids() {
        cluster.kill(lost).await.unwrap();
        cluster.empty(lost).unwrap();
        cluster.restart(lost).await.unwrap();
        has_all(&cluster, lost, &acknowledged).await;
        cluster.voters(SOON).await.unwrap();
        assert!(cluster.node(lost).log().contains("taken in again"));
    }
    // by now no node has the disk that the writes were acknowledged from
    cluster.leader(SOON).await.unwrap();
    cluster.converged(SOON).await.unwrap();
}

/// `muster cluster …`, as an operator calls it.
fn operator(server: &str, arguments: [String; 2]) -> anyhow::Result<()> {
    let mut command = Command::new(muster()?);
    let output = command
        .arg("cluster")
        .args(&arguments)
        .args(["--server", server])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(())
}

/// Adds node 4 by a call that begins `lead` before the node is started.
async fn added_ahead(lead: Duration) {
    let mut cluster = cluster(3).await.unwrap();
    let acknowledged = some_writes(&cluster).await;
    let leader = cluster.leader(SOON).await.unwrap();
    cluster.prepare(4).unwrap();
    let (server, member) = (cluster.address(leader), format!("4@{}", cluster.address(4)));
    #[allow(clippy::disallowed_methods, reason = "not the product")]
    let added = tokio::task::spawn_blocking(move || operator(&server, ["add".to_owned(), member]));
    tokio::time::sleep(lead).await;
    cluster.start_joining(4).unwrap();
    added.await.unwrap().unwrap();
    cluster.ready(4).await.unwrap();
    cluster.voters(SOON).await.unwrap();
    has_all(&cluster, 4, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_may_be_added_before_it_is_started() {
    added_ahead(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_may_be_added_while_it_starts() {
    added_ahead(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_removed_and_a_new_one_added_in_its_place() {
    let mut cluster = cluster(3).await.unwrap();
    let acknowledged = some_writes(&cluster).await;
    let leader = cluster.leader(SOON).await.unwrap();
    let gone = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let server = cluster.address(leader);
    let operator = |arguments| operator(&server, arguments);
    cluster.kill(gone).await.unwrap();
    operator(["remove".to_owned(), gone.to_string()]).unwrap();
    cluster.forget(gone);
    cluster.start_joining(4).unwrap();
    let (http, address) = (cluster.http().clone(), cluster.address(4));
    let live = eventually(SOON, "the new node lives", || async {
        http.get(&address, "/health/live", &[]).await?.ok().map(drop)
    });
    live.await.unwrap();
    let waits = always(
        Duration::from_secs(2),
        "a node that nobody added is not ready",
        || async {
            let answer = http.get(&address, "/health/ready", &[]).await?;
            ensure!(answer.status == 503, "{answer:?}");
            Ok(())
        },
    );
    waits.await.unwrap();
    operator(["add".to_owned(), format!("4@{address}")]).unwrap();
    cluster.ready(4).await.unwrap();
    has_all(&cluster, 4, &acknowledged).await;
    cluster.voters(SOON).await.unwrap();
    // its vote counts: with one of the two old ones gone, it and the other are the majority
    let old = cluster.ids().into_iter().find(|id| *id != 4 && *id != leader).unwrap();
    cluster.kill(old).await.unwrap();
    cluster.leader(SOON).await.unwrap();
    cluster
        .v1(4)
        .register(&Spec::persistent("p", "10.2.0.1", 4))
        .await
        .unwrap()
        .ok()
        .unwrap();
}

/// The one that lost its disk knows the founders alone, of whom none leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_founder_is_taken_back_while_a_member_added_later_leads() {
    let mut cluster = cluster(3).await.unwrap();
    let acknowledged = some_writes(&cluster).await;
    let leader = cluster.leader(SOON).await.unwrap();
    let held = Spec::ephemeral("held", "10.1.0.1", 1).with_lease_ms(60_000, 60_000, 60_000);
    cluster.v1(leader).register(&held).await.unwrap().ok().unwrap();
    cluster.start_joining(4).unwrap();
    let server = cluster.address(leader);
    let added = format!("4@{}", cluster.address(4));
    operator(&server, ["add".to_owned(), added]).unwrap();
    cluster.ready(4).await.unwrap();
    // A member that began to load when it was none yet would have begun with nothing.
    let listed = cluster.v1(4).list("held").await.unwrap();
    assert_eq!(listed.healthy.len(), 1, "the first list of an added member");
    cluster.voters(SOON).await.unwrap();
    for lost in [1, 2, 3] {
        // That it still does once another is gone and back is nobody's promise.
        eventually(SOON, "4 leads", || async {
            let leader = cluster.leader(Duration::ZERO).await?;
            if leader != 4 {
                let transfer = ["transfer-leader".to_owned(), "--to=4".to_owned()];
                operator(&cluster.address(leader), transfer)?;
            }
            ensure!(leader == 4, "{leader} led");
            Ok(())
        })
        .await
        .unwrap();
        cluster.kill(lost).await.unwrap();
        cluster.empty(lost).unwrap();
        cluster.restart(lost).await.unwrap();
        cluster.voters(SOON).await.unwrap();
        has_all(&cluster, lost, &acknowledged).await;
    }
    cluster.converged(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_member_that_is_removed_is_not_ready_any_more() {
    let cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let removed = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    operator(&cluster.address(leader), ["remove".to_owned(), removed.to_string()]).unwrap();
    let (http, address) = (cluster.http().clone(), cluster.address(removed));
    eventually(SOON, "the removed member says that it is not ready", || async {
        let answer = http.get(&address, "/health/ready", &[]).await?;
        ensure!(answer.status == 503, "{answer:?}");
        http.get(&address, "/health/live", &[]).await?.ok().map(drop)
    })
    .await
    .unwrap();
    let others: Vec<_> = cluster.ids().into_iter().filter(|id| *id != removed).collect();
    for id in others {
        let answer = http.get(&cluster.address(id), "/health/ready", &[]).await.unwrap();
        assert_eq!(answer.status, 200, "node {id}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_says_so_before_it_stops_answering() {
    let mut cluster = cluster(3).await.unwrap();
    // A client that has to be sent elsewhere first gives everybody time to hear.
    let client = GrpcClient::connect(&cluster.node(1).grpc_address()).await.unwrap();
    let (http, address) = (cluster.http().clone(), cluster.address(1));
    cluster.node_mut(1).signal(Signal::Term).unwrap();
    eventually(SOON, "it answers that it is not ready", || async {
        let answer = http.get(&address, "/health/ready", &[]).await?;
        ensure!(answer.status == 503, "{answer:?}");
        Ok(())
    })
    .await
    .unwrap();
    drop(client);
    let status = cluster.node_mut(1).ended(SOON * 2).await.unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_status_is_the_same_at_every_node() {
    let cluster = cluster(3).await.unwrap();
    // They are asked one after the other, and between two of them there may be an election.
    eventually(SOON, "the same leader and members at every node", || async {
        let leader = cluster.leader(Duration::ZERO).await?;
        for id in cluster.ids() {
            let mut command = Command::new(muster()?);
            command.args([
                "cluster",
                "status",
                "--output",
                "json",
                "--server",
                &cluster.address(id),
            ]);
            let output = command.output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let status: Value = serde_json::from_slice(&output.stdout)?;
            ensure!(status["leader"].as_u64() == Some(leader), "not {leader}: {status}");
            let members = status["members"].as_array().context("no members")?;
            ensure!(members.len() == 3, "{members:?}");
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_any_node_reaches_a_subscriber_of_each_other_node() {
    let cluster = cluster(3).await.unwrap();
    for (from, to) in [(1, 1), (1, 2), (2, 3), (3, 1)] {
        let service = format!("pushed-{from}-{to}");
        let subscriber = Subscriber::bind(Ipv4Addr::LOCALHOST.into()).await.unwrap();
        cluster
            .v1(to)
            .subscribe(&service, "127.0.0.1", subscriber.port)
            .await
            .unwrap();
        let called = tokio::time::Instant::now();
        for spec in [
            Spec::ephemeral(&service, "10.1.0.1", 80),
            Spec::ephemeral(&service, "10.1.0.1", 81),
        ] {
            cluster.v1(from).register(&spec).await.unwrap().ok().unwrap();
            let wanted = spec.address();
            let push = subscriber
                .until(SOON, |push| push.list.all.contains(&wanted))
                .await
                .unwrap();
            eprintln!(
                "from node {from} by node {to}: {:?} after the first call",
                push.received - called
            );
            assert_eq!(push.service, format!("DEFAULT_GROUP@@{service}"));
        }
    }
}

/// Asks a node that is starting for lists until it has been ready for a while: it refuses, or shows all of `service`.
async fn refuses_or_shows_all(cluster: &Cluster, node: u64, service: &str, wanted: &BTreeSet<String>) {
    let (http, address) = (cluster.http(), cluster.address(node));
    let parameters = [("serviceName", service)];
    let list = || http.get(&address, "/nacos/v1/ns/instance/list", &parameters);
    let mut answer = eventually(SOON, "somebody listens", list).await.unwrap();
    let (mut refused, mut shown) = (0, 0);
    while shown < 50 {
        if answer.status == 200 {
            let listed = Listed::parse(&answer.json().unwrap()).unwrap();
            let lacking = wanted.difference(&listed.all).count();
            assert_eq!(lacking, 0, "node {node} shows {service} without {lacking} instances");
            shown += 1;
        } else {
            assert_eq!(answer.status, 503, "{answer:?}");
            refused += 1;
        }
        answer = list().await.unwrap();
    }
    eprintln!("{service}: {refused} refusals and then whole lists");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_refuses_until_it_shows_all() {
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let victim = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.kill(victim).await.unwrap();
    let survivors: Vec<_> = cluster.running().iter().map(|id| cluster.address(*id)).collect();
    let specs = (1..=20).map(|n| Spec::ephemeral("e", "10.1.0.1", n)).collect();
    let beats = Publisher::start(cluster.http(), &survivors, specs, Duration::from_secs(1));
    let publisher = beats.await.unwrap();
    let ephemeral: BTreeSet<_> = publisher.published().collect();
    let mut persistent = BTreeSet::new();
    for port in 1..=20 {
        let spec = Spec::persistent("p", "10.2.0.1", port);
        cluster.v1(leader).register(&spec).await.unwrap().ok().unwrap();
        persistent.insert(spec.address());
    }
    cluster.start(victim).unwrap();
    tokio::join!(
        refuses_or_shows_all(&cluster, victim, "e", &ephemeral),
        refuses_or_shows_all(&cluster, victim, "p", &persistent),
    );
    cluster.ready(victim).await.unwrap();
}
