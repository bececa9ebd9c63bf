//! What operators say of instances and services, and what becomes of it. What was suffered elsewhere and is shown here
//! stands in `docs/beaten.md`.

use anyhow::{Context, ensure};
use muster_cluster::GONE_WITHIN;
use muster_testkit::{Cluster, GrpcClient, Spec, Subscriber, cluster, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(15);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn admin(cluster: &Cluster, node: u64, service: &str) -> anyhow::Result<Value> {
    let (address, named) = (cluster.address(node), [("serviceName", service)]);
    let answer = cluster.http().get(&address, "/nacos/v3/admin/muster/service", &named);
    answer.await?.ok()?.json()
}

async fn put(cluster: &Cluster, node: u64, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<()> {
    cluster
        .http()
        .put(&cluster.address(node), path, parameters)
        .await?
        .ok()
        .map(drop)
}

/// H2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_service_looks_healthy_on_every_wire_and_as_it_is_to_operators() {
    let cluster = cluster(3).await.unwrap();
    let service = [("serviceName", "kept")];
    let threshold = [service[0], ("protectThreshold", "0.5")];
    cluster
        .http()
        .post(&cluster.address(1), "/nacos/v1/ns/service", &threshold)
        .await
        .unwrap()
        .ok()
        .unwrap();
    let specs: Vec<_> = (81..85)
        .map(|port| Spec::persistent("kept", "10.6.0.1", port))
        .collect();
    for spec in &specs {
        cluster.v1(1).register(spec).await.unwrap().ok().unwrap();
    }
    let by_hand = [
        service[0],
        ("clusterName", "DEFAULT"),
        ("checkPort", "80"),
        ("useInstancePort4Check", "true"),
        ("healthChecker", r#"{"type":"NONE"}"#),
    ];
    put(&cluster, 2, "/nacos/v1/ns/cluster", &by_hand).await.unwrap();
    cluster.converged(SOON).await.unwrap();
    let (mut ears, mut streams) = (Vec::new(), Vec::new());
    for node in cluster.ids() {
        let ear = Subscriber::bind(LOOPBACK).await.unwrap();
        cluster.v1(node).subscribe("kept", "127.0.0.1", ear.port).await.unwrap();
        ears.push(ear);
        let stream = GrpcClient::connect(&cluster.grpc_address(node)).await.unwrap();
        stream.subscribe("kept").await.unwrap();
        streams.push(stream);
    }
    let set_health = async |ports: std::ops::Range<u16>, healthy: &str| {
        for port in ports {
            let port = port.to_string();
            let one = [
                service[0],
                ("ip", "10.6.0.1"),
                ("port", port.as_str()),
                ("healthy", healthy),
            ];
            put(&cluster, 3, "/nacos/v1/ns/health/instance", &one).await.unwrap();
        }
    };
    // What each node says: by HTTP, by gRPC, to operators, and in its metrics.
    let says = async |node: u64| -> anyhow::Result<(usize, usize, Value, usize, f64)> {
        let http = cluster.v1(node).list("kept").await?.healthy.len();
        let grpc = GrpcClient::connect(&cluster.grpc_address(node))
            .await?
            .query("kept")
            .await?
            .healthy
            .len();
        let shown = admin(&cluster, node, "kept").await?;
        let instances = shown["instances"].as_array().context("instances")?;
        let healthy = instances.iter().filter(|it| it["healthy"] == true).count();
        let text = cluster
            .http()
            .get(&cluster.address(node), "/metrics", &[])
            .await?
            .ok()?
            .body;
        let metric = text
            .lines()
            .find_map(|line| line.strip_prefix("muster_naming_masked_services "));
        Ok((
            http,
            grpc,
            shown["protection"].clone(),
            healthy,
            metric.context("the metric")?.parse()?,
        ))
    };
    let well = json!({"http": false, "grpc": false, "reason": null});
    let reason = "1 of 4 instances are healthy, which is not above the threshold 0.5";
    let masked = json!({"http": true, "grpc": true, "reason": reason});
    for (ports, healthy, wanted) in [
        (81..84, "false", (4, 4, masked, 1, 1.0)),
        (81..83, "true", (3, 3, well, 3, 0.0)),
    ] {
        set_health(ports, healthy).await;
        for node in cluster.ids() {
            eventually(SOON, "the node says what is", || async {
                let said = says(node).await?;
                ensure!(said == wanted, "node {node} says {said:?}, not {wanted:?}");
                Ok(())
            })
            .await
            .unwrap();
        }
        let healthy = wanted.0;
        for ear in &ears {
            ear.until(SOON, |push| push.list.healthy.len() == healthy)
                .await
                .unwrap();
        }
        for stream in &mut streams {
            let pushed = stream.until(SOON, |heard| {
                muster_testkit::list_of(&heard.json).is_ok_and(|list| list.healthy.len() == healthy)
            });
            pushed.await.unwrap();
        }
    }
}

/// What can be edited of an instance, as all nodes show it.
type Shown = (f64, bool, BTreeMap<String, String>);

async fn shown(cluster: &Cluster, node: u64, service: &str, port: u16) -> anyhow::Result<Shown> {
    let service = admin(cluster, node, service).await?;
    let instances = service["instances"].as_array().context("instances")?;
    let one = instances
        .iter()
        .find(|it| it["port"] == port)
        .with_context(|| format!("{port} is not listed"))?;
    let metadata = serde_json::from_value(one["metadata"].clone())?;
    Ok((
        one["weight"].as_f64().context("weight")?,
        one["enabled"] == true,
        metadata,
    ))
}

async fn all_show(cluster: &Cluster, service: &str, port: u16, wanted: &Shown, what: &str) {
    for node in cluster.ids() {
        let looked = eventually(SOON, what, || async {
            let found = shown(cluster, node, service, port).await?;
            ensure!(found == *wanted, "node {node}, {service}: {found:?}, not {wanted:?}");
            Ok(())
        });
        looked.await.unwrap();
    }
}

/// Metadata with the times of a lease: nobody beats here, and no test must be longer than a lease, edited or not.
fn leased(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let lease = Spec::ephemeral("", "", 0).with_lease_ms(5_000, 120_000, 180_000);
    let mut metadata: BTreeMap<_, _> = serde_json::from_str(&lease.metadata).unwrap();
    metadata.extend(pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
    metadata
}

/// Everything that an operator can edit: weight, enabled, metadata as a whole, and a key over those that are there.
async fn edit(cluster: &Cluster, node: u64, service: &str, spec: &Spec) {
    let (port, ephemeral) = (spec.port.to_string(), spec.ephemeral.to_string());
    let named = [
        ("serviceName", service),
        ("ip", spec.ip.as_str()),
        ("port", port.as_str()),
        ("ephemeral", ephemeral.as_str()),
    ];
    let metadata = json!(leased(&[("by", "operator")])).to_string();
    let whole = [("weight", "7"), ("enabled", "false"), ("metadata", metadata.as_str())];
    put(cluster, node, "/nacos/v1/ns/instance", &[&named[..], &whole].concat())
        .await
        .unwrap();
    let instances =
        json!([{"ip": spec.ip, "port": spec.port, "clusterName": "DEFAULT", "ephemeral": spec.ephemeral}]).to_string();
    let batch = [
        ("serviceName", service),
        ("consistencyType", if spec.ephemeral { "ephemeral" } else { "persist" }),
        ("instances", instances.as_str()),
        ("metadata", r#"{"more":"of it"}"#),
    ];
    put(cluster, node, "/nacos/v1/ns/instance/metadata/batch", &batch)
        .await
        .unwrap();
}

/// R3: an edit holds until its instance registers again or leaves, whichever node is told of which, however long it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_edit_lasts_until_the_instance_registers_again_or_leaves() {
    let cluster = cluster(3).await.unwrap();
    let edited = (7.0, false, leased(&[("by", "operator"), ("more", "of it")]));
    let mut cases = Vec::new();
    for (name, ephemeral) in [("e", true), ("p", false)] {
        // Each of the three calls goes to another node than the one before; after a deregistration a beat is still
        // swallowed for some seconds, so that one waits longer than that and one not at all.
        for (turn, waits_s) in [(1, 0), (2, 2), (3, 7)] {
            let spec = Spec {
                ephemeral,
                metadata: json!(leased(&[("own", "yes")])).to_string(),
                ..Spec::ephemeral(&format!("edited-{name}{turn}"), "10.6.0.2", 80 + turn as u16)
            };
            cases.push((spec, turn, Duration::from_secs(waits_s)));
        }
    }
    let plain = (1.0, true, leased(&[("own", "yes")]));
    let register = async |node: u64, spec: &Spec| drop(cluster.v1(node).register(spec).await.unwrap().ok().unwrap());
    let other = |turn: u64, by: u64| 1 + (turn + by) % 3;
    for (spec, turn, _) in &cases {
        register(*turn, spec).await;
    }
    for (spec, _, _) in &cases {
        all_show(&cluster, &spec.service, spec.port, &plain, "registered").await;
    }
    // Edited, and it lasts: a beat changes nothing of it.
    for (spec, turn, _) in &cases {
        edit(&cluster, other(*turn, 0), &spec.service, spec).await;
    }
    for (spec, turn, _) in &cases {
        all_show(&cluster, &spec.service, spec.port, &edited, "edited").await;
        if spec.ephemeral {
            cluster.v1(other(*turn, 1)).beat(spec).await.unwrap().ok().unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (spec, _, _) in &cases {
        all_show(&cluster, &spec.service, spec.port, &edited, "a beat edits nothing").await;
    }
    // Registered again without leaving: what it says itself counts.
    for (spec, turn, _) in &cases {
        register(other(*turn, 1), spec).await;
    }
    for (spec, turn, _) in &cases {
        all_show(&cluster, &spec.service, spec.port, &plain, "registered over the edit").await;
        edit(&cluster, other(*turn, 0), &spec.service, spec).await;
    }
    // Edited, deregistered, and back after a while: nothing of the edit is left.
    for (spec, turn, _) in &cases {
        all_show(&cluster, &spec.service, spec.port, &edited, "edited again").await;
        cluster
            .v1(other(*turn, 1))
            .deregister(spec)
            .await
            .unwrap()
            .ok()
            .unwrap();
    }
    let left = Instant::now();
    for (spec, turn, waits) in [&cases[..]].concat().iter().collect::<Vec<_>>() {
        tokio::time::sleep_until(left + *waits).await;
        register(other(*turn, 2), spec).await;
        all_show(&cluster, &spec.service, spec.port, &plain, "back").await;
    }
    // And it stays so, also where a copy of the edit might have been on its way.
    cluster.converged(SOON).await.unwrap();
    for (spec, _, _) in &cases {
        all_show(&cluster, &spec.service, spec.port, &plain, "still").await;
    }
}

/// R3 over a connection: its client registers again after every reconnect, with the same words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_edit_of_what_a_connection_publishes_lasts_until_the_connection_says_it_again() {
    let cluster = cluster(3).await.unwrap();
    let publisher = GrpcClient::connect(&cluster.grpc_address(1)).await.unwrap();
    publisher.register("held", "10.6.0.3", 80).await.unwrap();
    let spec = Spec::ephemeral("held", "10.6.0.3", 80);
    let plain = (1.0, true, BTreeMap::new());
    let edited = (7.0, false, leased(&[("by", "operator"), ("more", "of it")]));
    all_show(&cluster, "held", 80, &plain, "registered").await;
    edit(&cluster, 2, "held", &spec).await;
    all_show(&cluster, "held", 80, &edited, "edited").await;
    // Longer than the keeper takes to renew what the connection holds.
    tokio::time::sleep(Duration::from_secs(6)).await;
    all_show(&cluster, "held", 80, &edited, "a living connection edits nothing").await;
    publisher.register("held", "10.6.0.3", 80).await.unwrap();
    all_show(&cluster, "held", 80, &plain, "said again").await;
    edit(&cluster, 3, "held", &spec).await;
    all_show(&cluster, "held", 80, &edited, "edited again").await;
    let ended = Instant::now();
    drop(publisher);
    let gone = eventually(GONE_WITHIN, "it has left", || async {
        for node in cluster.ids() {
            ensure!(
                cluster.v1(node).list("held").await?.all.is_empty(),
                "node {node} lists it"
            );
        }
        Ok(())
    });
    gone.await.unwrap();
    eprintln!("it has left after {:?}", ended.elapsed());
    let again = GrpcClient::connect(&cluster.grpc_address(2)).await.unwrap();
    again.register("held", "10.6.0.3", 80).await.unwrap();
    all_show(&cluster, "held", 80, &plain, "back").await;
}
