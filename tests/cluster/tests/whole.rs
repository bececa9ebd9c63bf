//! The whole cluster at once: killed, and come back with everything; moved to other addresses.

use anyhow::ensure;
use muster_cluster::written;
use muster_testkit::{Cluster, Place, Spec, Writer, cluster_at, eventually, free_port};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(20);

async fn cluster_of_three(flags: &[&str]) -> Cluster {
    let places = (0..3).map(|_| Place {
        ip: Ipv4Addr::LOCALHOST.into(),
        port: free_port().unwrap(),
        namespace: None,
    });
    cluster_at(places.collect(), flags).await.unwrap()
}

async fn call(cluster: &Cluster, node: u64, method: &str, path: &str, parameters: &[(&str, &str)]) {
    let method = method.parse().unwrap();
    let answer = cluster
        .http()
        .call(method, &cluster.address(node), path, parameters)
        .await;
    answer.unwrap().ok().unwrap();
}

/// Services, settings, probed clusters, switches and instances of all shapes, at all nodes in turn; some of them taken back.
async fn fill(cluster: &Cluster, round: u16) {
    for number in 0..30_u16 {
        let node = u64::from(number % 3) + 1;
        let service = format!("service-{round}-{number}");
        let named = ("serviceName", service.as_str());
        if number % 3 == 0 {
            let threshold = format!("0.{}", number % 10);
            let settings = [named, ("protectThreshold", &threshold), ("metadata", r#"{"a":"é"}"#)];
            call(cluster, node, "POST", "/nacos/v1/ns/service", &settings).await;
        }
        for port in 1..=4 {
            let mut spec = Spec::persistent(&service, "10.2.0.1", port);
            spec.metadata = format!(r#"{{"port":"{port}","long":"{}"}}"#, "x".repeat(usize::from(port) * 50));
            cluster.v1(node).register(&spec).await.unwrap().ok().unwrap();
        }
        if number % 4 == 0 {
            let gone = Spec::persistent(&service, "10.2.0.1", 2);
            cluster.v1(node).deregister(&gone).await.unwrap().ok().unwrap();
        }
        if number % 5 == 0 {
            let edit = [
                named,
                ("ip", "10.2.0.1"),
                ("port", "1"),
                ("ephemeral", "false"),
                ("weight", "7.5"),
                ("enabled", "false"),
            ];
            call(cluster, node, "PUT", "/nacos/v1/ns/instance", &edit).await;
        }
        if number % 6 == 0 {
            let probe = [
                named,
                ("clusterName", "DEFAULT"),
                ("checkPort", "80"),
                ("useInstancePort4Check", "false"),
                ("healthChecker", r#"{"type":"NONE"}"#),
            ];
            call(cluster, node, "PUT", "/nacos/v1/ns/cluster", &probe).await;
        }
    }
}

/// Probes of addresses where nobody listens would change what is shown between two looks at it.
async fn switch_checks_off(cluster: &Cluster) {
    let path = "/nacos/v1/ns/operator/switches";
    call(cluster, 1, "PUT", path, &[("entry", "check"), ("value", "false")]).await;
    eventually(SOON, "no node checks", || async {
        for node in cluster.ids() {
            let switches = cluster
                .http()
                .get(&cluster.address(node), path, &[])
                .await?
                .ok()?
                .json()?;
            ensure!(switches["healthCheckEnabled"] == false, "node {node}: {switches}");
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// All that a node shows of its replicated state, as it shows it, but for the time of the answer.
async fn all_shown(cluster: &Cluster, node: u64) -> anyhow::Result<BTreeMap<String, String>> {
    let (http, address) = (cluster.http(), cluster.address(node));
    let get = async |path: &str, parameters: &[(&str, &str)]| -> anyhow::Result<Value> {
        let mut value: Value = http.get(&address, path, parameters).await?.ok()?.json()?;
        for of_the_answer in ["lastRefTime", "checksum"] {
            if let Some(fields) = value.as_object_mut() {
                fields.remove(of_the_answer);
            }
        }
        Ok(value)
    };
    let page = [("pageNo", "1"), ("pageSize", "1000")];
    let names = get("/nacos/v1/ns/service/list", &page).await?;
    let mut shown = BTreeMap::from([("names".to_owned(), names.to_string())]);
    let switches = get("/nacos/v1/ns/operator/switches", &[]).await?;
    shown.insert("switches".to_owned(), switches.to_string());
    for name in names["doms"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let of = [("serviceName", name)];
        let service = get("/nacos/v1/ns/service", &of).await?;
        shown.insert(format!("service {name}"), service.to_string());
        let list = get("/nacos/v1/ns/instance/list", &of).await?;
        shown.insert(format!("list {name}"), list.to_string());
    }
    Ok(shown)
}

/// What all nodes show, which is the same.
async fn shown_by_all(cluster: &Cluster) -> BTreeMap<String, String> {
    cluster.converged(SOON).await.unwrap();
    eventually(SOON, "all nodes show the same", || async {
        let first = all_shown(cluster, 1).await?;
        for node in [2, 3] {
            let other = all_shown(cluster, node).await?;
            let differing: Vec<_> = first
                .iter()
                .filter(|(key, text)| other.get(*key) != Some(text))
                .take(3)
                .collect();
            ensure!(
                other.len() == first.len() && differing.is_empty(),
                "node {node} differs: {differing:?}"
            );
        }
        Ok(first)
    })
    .await
    .unwrap()
}

async fn start_all(cluster: &mut Cluster) {
    for id in cluster.ids() {
        cluster.start(id).unwrap();
    }
    for id in cluster.ids() {
        cluster.ready(id).await.unwrap();
    }
}

/// With snapshots so frequent that what comes back does so from snapshot, checkpoint and log together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_of_all_nodes_each_shows_byte_for_byte_what_it_showed_before() {
    let flags = [
        "--set",
        "raft.snapshot_every_entries=100",
        "--set",
        "persistent.checkpoint_every_ms=700",
    ];
    let mut cluster = cluster_of_three(&flags).await;
    switch_checks_off(&cluster).await;
    for round in 1..=2 {
        fill(&cluster, round).await;
        let before = shown_by_all(&cluster).await;
        assert_eq!(before.len(), 2 + usize::from(round) * 60, "{:?}", before.keys());
        cluster.kill_all().await.unwrap();
        start_all(&mut cluster).await;
        for node in cluster.ids() {
            // From its first list on.
            let after = all_shown(&cluster, node).await.unwrap();
            assert_eq!(after, before, "node {node} after kill {round}");
        }
        let bytes: usize = before.values().map(String::len).sum();
        eprintln!(
            "round {round}: {} texts of {bytes} bytes are the same at all nodes",
            before.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_nodes_start_at_new_addresses_they_have_a_leader_within_15_seconds_and_lose_nothing() {
    let mut cluster = cluster_of_three(&[]).await;
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", 8);
    written(&writer, 200).await.unwrap();
    // Once by kill -9 in the middle of the writes, once in order.
    let mut acknowledged = BTreeSet::new();
    cluster.kill_all().await.unwrap();
    acknowledged.extend(writer.stop().await.0);
    for round in 2..=3_u8 {
        for id in cluster.ids() {
            let ip = Ipv4Addr::new(127, 0, round, id as u8);
            cluster.move_to_another_port(id).unwrap();
            cluster.node_mut(id).place.ip = ip.into();
        }
        let started = Instant::now();
        for id in cluster.ids() {
            cluster.start(id).unwrap();
        }
        let led = eventually(Duration::from_secs(15), "a leader", || cluster.leader(Duration::ZERO));
        let leader = led.await.unwrap();
        eprintln!(
            "all at new addresses: node {leader} leads after {:?}",
            started.elapsed()
        );
        // What the others take from here on a node lists a moment later.
        let before = acknowledged.clone();
        for id in cluster.ids() {
            cluster.ready(id).await.unwrap();
            let listed = cluster.v1(id).list("kept").await.unwrap().all;
            let lost = before.difference(&listed).count();
            assert_eq!(lost, 0, "of {} at node {id}", before.len());
            let spec = Spec::persistent("kept", &format!("10.8.{round}.1"), id as u16);
            cluster.v1(id).register(&spec).await.unwrap().ok().unwrap();
            acknowledged.insert(spec.address());
            // Nobody beats, and the round must not be longer than a lease.
            let living = Spec::ephemeral(&format!("living-{round}"), "10.8.0.1", id as u16)
                .with_lease_ms(5_000, 120_000, 180_000);
            cluster.v1(id).register(&living).await.unwrap().ok().unwrap();
        }
        cluster.voters(SOON).await.unwrap();
        eventually(SOON, "the members' new addresses are recorded", || async {
            let members = cluster.status(1).await?["members"].clone();
            for id in cluster.ids() {
                let address = cluster.address(id);
                let known = members
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|it| it["client_address"] == address.as_str());
                ensure!(known, "{address} is not in {members}");
            }
            Ok(())
        })
        .await
        .unwrap();
        cluster.converged(SOON).await.unwrap();
        for id in cluster.ids() {
            let count = cluster.v1(id).list(&format!("living-{round}")).await.unwrap().all.len();
            assert_eq!(count, 3, "ephemeral instances reach node {id}");
            cluster.stop(id).await.unwrap();
        }
    }
}
