//! Many clients at once, through restarts and beside others that stand still. The counts that brought others down run with
//! `cargo test --release -p muster-cluster --test crowds -- --ignored --nocapture --test-threads 1`. What was suffered elsewhere and
//! is shown here stands in `docs/beaten.md`.

use anyhow::{Context, ensure};
use muster_cluster::Beating;
use muster_testkit::{Cluster, GrpcClient, Http, Listed, Spec, Subscriber, V1, cluster, eventually, list_of};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(30);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn metric(cluster: &Cluster, node: u64, name: &str) -> anyhow::Result<u64> {
    let text = cluster
        .http()
        .get(&cluster.address(node), "/metrics", &[])
        .await?
        .ok()?
        .body;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {name}"))?.parse::<f64>()? as u64)
}

// ---- P7

/// `stuck` connections subscribe and read nothing from then on, not even HTTP/2's own frames.
async fn connections_that_never_read(stuck: usize, changes: usize) -> anyhow::Result<()> {
    const INSTANCES: u16 = 400;
    let cluster = cluster(1).await?;
    let grpc = cluster.grpc_address(1);
    let list = |last: u16| -> Vec<(String, u16)> {
        let ports = (1..INSTANCES).chain([last]);
        ports.map(|port| ("10.3.0.1".to_owned(), port)).collect()
    };
    let publisher = GrpcClient::connect(&grpc).await?;
    publisher.publish_batch("wide", &list(1_000)).await?;
    let mut standing = Vec::new();
    for _ in 0..stuck {
        let client = GrpcClient::connect(&grpc).await?;
        client.subscribe("wide").await?;
        standing.push(client);
    }
    let mut living = Vec::new();
    for _ in 0..10 {
        let client = GrpcClient::connect(&grpc).await?;
        client.subscribe("wide").await?;
        living.push(client);
    }
    standing.iter().for_each(GrpcClient::freeze);
    let before = cluster.node(1).resident_bytes()?;
    let (mut slowest, mut grown, mut queued) = (Duration::ZERO, 0, 0);
    for change in 0..changes {
        let last = 2_000 + u16::try_from(change)?;
        let begun = Instant::now();
        publisher.publish_batch("wide", &list(last)).await?;
        let newest = format!("10.3.0.1:{last}");
        for client in &mut living {
            let heard = client.until(Duration::from_secs(10), |heard| {
                heard.kind == "NotifySubscriberRequest"
                    && list_of(&heard.json).is_ok_and(|list| list.all.contains(&newest))
            });
            slowest = slowest.max(heard.await?.received - begun);
        }
        grown = grown.max(cluster.node(1).resident_bytes()?.saturating_sub(before));
        queued = queued.max(metric(&cluster, 1, "muster_grpc_queued_messages").await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mebibytes, ended) = (
        grown >> 20,
        stuck as u64 + 11 - metric(&cluster, 1, "muster_grpc_connections").await?,
    );
    eprintln!(
        "{stuck} stuck, {changes} changes: the slowest of the others after {slowest:?}, {mebibytes} MiB more at most, \
         {queued} messages queued at most, {ended} of them ended by the node"
    );
    // Each list is 140 KB, and each connection would be owed one per change.
    ensure!(
        grown < (64 << 20) + stuck as u64 * (64 << 10),
        "grew by {mebibytes} MiB"
    );
    ensure!(queued <= 8 * stuck as u64, "{queued} messages queued");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_never_read_cost_a_bounded_memory_and_slow_nobody() {
    connections_that_never_read(300, 60).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the count that brought others down"]
async fn a_thousand_connections_that_never_read_cost_a_bounded_memory_and_slow_nobody() {
    connections_that_never_read(1_000, 600).await.unwrap();
}

// ---- P5

/// What every list of a service must hold, and what was seen that did not.
struct Watched {
    services: BTreeMap<String, BTreeSet<String>>,
    beating: Vec<Beating>,
    beat_timeout: Duration,
    delete_timeout: Duration,
    ended: AtomicBool,
    looked_at: AtomicUsize,
    /// Instances not shown as healthy, or not at all, whose own beats had not got through for as long.
    silent: AtomicUsize,
}

impl Watched {
    /// Fails for a list that is short, or shows somebody as unhealthy who beats.
    fn look(&self, at: &str, service: &str, list: &Listed) -> anyhow::Result<()> {
        let name = service.rsplit("@@").next().unwrap_or(service);
        let living = self
            .services
            .get(name)
            .with_context(|| format!("who asked for {service}?"))?;
        self.looked_at.fetch_add(1, Ordering::Relaxed);
        self.holds_all(at, name, living, list)
    }

    fn holds_all(&self, at: &str, name: &str, living: &BTreeSet<String>, list: &Listed) -> anyhow::Result<()> {
        let lacking = living.difference(&list.healthy).cloned();
        let (mut unhealthy, mut missing): (BTreeSet<_>, BTreeSet<_>) = lacking.partition(|it| list.all.contains(it));
        for beating in &self.beating {
            let silent = beating.excuse(name, self.beat_timeout, &mut unhealthy)
                + beating.excuse(name, self.delete_timeout, &mut missing);
            self.silent.fetch_add(silent, Ordering::Relaxed);
        }
        ensure!(
            unhealthy.is_empty() && missing.is_empty(),
            "{at}: of {} living instances of {name} {} are missing and {} unhealthy in a list of {}",
            living.len(),
            missing.len(),
            unhealthy.len(),
            list.all.len()
        );
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// Instances that come and go at whichever node answers, so that lists are pushed all the while.
async fn comers_and_goers(watched: Arc<Watched>, http: Http, nodes: Vec<String>) {
    let mut turn = 0;
    while !watched.ended() {
        for service in watched.services.keys() {
            turn += 1;
            let node = V1::new(http.clone(), nodes[turn % nodes.len()].clone());
            let spec = Spec::ephemeral(service, "10.4.9.9", 80);
            // A node that is down or not ready refuses, and its turn passes.
            let _ = node.register(&spec).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = node.deregister(&spec).await;
        }
    }
}

/// A 1.x client: polls every second, at the next node when one refuses, and hears datagrams of all that it asked.
async fn old_client(watched: Arc<Watched>, http: Http, nodes: Vec<String>, mut node: usize) -> anyhow::Result<()> {
    let ear = Subscriber::bind(LOOPBACK).await?;
    while !watched.ended() {
        for service in watched.services.keys() {
            match V1::new(http.clone(), nodes[node].clone())
                .subscribe(service, "127.0.0.1", ear.port)
                .await
            {
                Ok(list) => watched.look(&format!("a poll at {}", nodes[node]), service, &list)?,
                // Gone, or not ready yet.
                Err(_) => node = (node + 1) % nodes.len(),
            }
        }
        let next_poll = Instant::now() + Duration::from_secs(1);
        while let Ok(push) = ear.next(next_poll.saturating_duration_since(Instant::now())).await {
            watched.look(&format!("a datagram of {}", push.from), &push.service, &push.list)?;
        }
    }
    Ok(())
}

/// A 2.x client: stays on its stream until it ends, and goes on at the next node.
async fn new_client(watched: Arc<Watched>, nodes: Vec<String>, mut node: usize) -> anyhow::Result<()> {
    'moved: while !watched.ended() {
        let Ok(mut client) = GrpcClient::connect(&nodes[node]).await else {
            node = (node + 1) % nodes.len();
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        for service in watched.services.keys() {
            match client.subscribe(service).await {
                Ok(list) => watched.look(&format!("an answer of {}", nodes[node]), service, &list)?,
                Err(_) => {
                    node = (node + 1) % nodes.len();
                    continue 'moved;
                }
            }
        }
        while !watched.ended() {
            match client.next(Duration::from_millis(500)).await {
                Ok(heard) if heard.kind == "NotifySubscriberRequest" => {
                    let service = heard.json["serviceInfo"]["name"].as_str().unwrap_or_default();
                    watched.look(&format!("a push of {}", nodes[node]), service, &list_of(&heard.json)?)?;
                }
                Ok(heard) if heard.kind == "ConnectResetRequest" => {
                    node = (node + 1) % nodes.len();
                    continue 'moved;
                }
                Ok(_) => {}
                Err(error) if error.to_string().contains("nothing heard") => {}
                Err(_ended) => {
                    node = (node + 1) % nodes.len();
                    continue 'moved;
                }
            }
        }
    }
    Ok(())
}

async fn rolling_restart(services: usize, each: u16, beat_every: Duration) -> anyhow::Result<()> {
    let mut cluster = cluster(3).await?;
    let name = |n: usize| format!("rolled-{n}");
    let ms = |times: u32| u32::try_from(beat_every.as_millis()).map(|ms| ms * times);
    let (interval, timeout, delete) = (ms(1)?, ms(3)?, ms(6)?);
    let mut specs: Vec<_> = (0..services)
        .flat_map(|n| (1..=each).map(move |port| (n, port)))
        .map(|(n, port)| Spec::ephemeral(&name(n), "10.4.0.1", port).with_lease_ms(interval, timeout, delete))
        .collect();
    // Registered side by side: one after the other takes longer than a lease.
    let share = specs.len().div_ceil(32);
    let mut starting = JoinSet::new();
    while !specs.is_empty() {
        let some = specs.split_off(specs.len().saturating_sub(share));
        let (http, nodes) = (cluster.http().clone(), cluster.addresses());
        starting.spawn(async move { Beating::start(&http, &nodes, some, beat_every).await });
    }
    let mut beating = Vec::new();
    while let Some(started) = starting.join_next().await {
        beating.push(started??);
    }
    cluster.converged(SOON).await?;
    // Eight services are looked at all the time, all of them at the end.
    let all: BTreeSet<_> = (1..=each).map(|port| format!("10.4.0.1:{port}")).collect();
    let watched = Arc::new(Watched {
        services: (0..services)
            .step_by(services.div_ceil(8))
            .map(|n| (name(n), all.clone()))
            .collect(),
        beating,
        beat_timeout: Duration::from_millis(timeout.into()),
        delete_timeout: Duration::from_millis(delete.into()),
        ended: AtomicBool::new(false),
        looked_at: AtomicUsize::new(0),
        silent: AtomicUsize::new(0),
    });
    let mut comers = JoinSet::new();
    comers.spawn(comers_and_goers(
        watched.clone(),
        cluster.http().clone(),
        cluster.addresses(),
    ));
    let mut watchers = JoinSet::new();
    for at in 0..3 {
        watchers.spawn(old_client(
            watched.clone(),
            cluster.http().clone(),
            cluster.addresses(),
            at,
        ));
        watchers.spawn(new_client(watched.clone(), cluster.grpc_addresses(), at));
    }
    let begun = Instant::now();
    for node in cluster.ids() {
        cluster.stop(node).await?;
        cluster.restart(node).await?;
        // What is short for a moment after the opening would be seen now.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let took = begun.elapsed();
    watched.ended.store(true, Ordering::Relaxed);
    while let Some(watcher) = watchers.join_next().await {
        watcher??;
    }
    comers.join_all().await;
    for node in cluster.ids() {
        for n in 0..services {
            let list = cluster.v1(node).list(&name(n)).await?;
            watched.holds_all(&format!("the end at node {node}"), &name(n), &all, &list)?;
        }
    }
    let moved: usize = watched.beating.iter().map(Beating::failed).sum();
    eprintln!(
        "{} instances: three restarts in {took:?}, {} lists looked at and none short, {moved} beats sent again elsewhere, {} \
         times somebody whose beats did not get through",
        services * usize::from(each),
        watched.looked_at.load(Ordering::Relaxed),
        watched.silent.load(Ordering::Relaxed)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_three_nodes_are_restarted_in_turn_no_subscriber_sees_fewer_than_the_living() {
    rolling_restart(20, 30, Duration::from_secs(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the count that brought others down"]
async fn while_three_nodes_are_restarted_in_turn_no_subscriber_sees_fewer_than_ten_thousand_living() {
    rolling_restart(100, 100, Duration::from_secs(10)).await.unwrap();
}

// ---- H3

/// A client with one instance, which connects again when its connection ends, and registers again some time later, as
/// Java's redo task does. Says when it was back, and by which connection.
async fn returning_client(
    nodes: Vec<String>,
    number: usize,
    ready: Arc<tokio::sync::Barrier>,
) -> anyhow::Result<(Instant, GrpcClient)> {
    let (service, ip) = (service_of(number), ip_of(number));
    let mut node = number % nodes.len();
    // Thousands that begin at once may have to wait for their turn.
    let mut client = eventually(Duration::from_secs(120), "the first connection", || async {
        let client = GrpcClient::connect(&nodes[node]).await?;
        client.register(&service, &ip, 80).await?;
        Ok(client)
    })
    .await?;
    ready.wait().await;
    while client.next(Duration::from_secs(120)).await.is_ok() {}
    loop {
        node = (node + 1) % nodes.len();
        if let Ok(again) = GrpcClient::connect(&nodes[node]).await {
            tokio::time::sleep(Duration::from_millis((number as u64 * 37) % 3_000)).await;
            if again.register(&service, &ip, 80).await.is_ok() {
                return Ok((Instant::now(), again));
            }
        }
        tokio::time::sleep(Duration::from_millis(500 + (number as u64 * 13) % 500)).await;
    }
}

fn service_of(number: usize) -> String {
    format!("back-{}", number % 50)
}

fn ip_of(number: usize) -> String {
    format!("10.5.{}.{}", number / 250, 1 + number % 250)
}

async fn all_killed_at_once(clients: usize) -> anyhow::Result<()> {
    let mut cluster = cluster(3).await?;
    let connected = Arc::new(tokio::sync::Barrier::new(clients + 1));
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        tasks.spawn(returning_client(cluster.grpc_addresses(), number, connected.clone()));
        if number % 50 == 49 {
            // Some hundreds of connections a second are a debug build's pace.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    connected.wait().await;
    cluster.converged(SOON).await?;
    cluster.kill_all().await?;
    for node in cluster.ids() {
        cluster.start(node)?;
    }
    let mut first_up = None;
    while first_up.is_none() {
        for node in cluster.ids() {
            let ready = cluster.http().get(&cluster.address(node), "/health/ready", &[]).await;
            if ready.is_ok_and(|answer| answer.status == 200) {
                first_up = Some(Instant::now());
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first_up = first_up.context("a node is up")?;
    let (mut last_back, mut held) = (Duration::ZERO, Vec::with_capacity(clients));
    while let Some(back) = tasks.join_next().await {
        let (back, client) = back??;
        last_back = last_back.max(back.saturating_duration_since(first_up));
        held.push(client);
    }
    for node in cluster.ids() {
        cluster.ready(node).await?;
    }
    let wanted: BTreeSet<_> = (0..clients).map(|number| format!("{}:80", ip_of(number))).collect();
    eventually(Duration::from_secs(5), "all nodes list all", || async {
        for node in cluster.ids() {
            let mut listed = BTreeSet::new();
            for service in 0..50.min(clients) {
                listed.extend(cluster.v1(node).list(&service_of(service)).await?.healthy);
            }
            ensure!(listed == wanted, "node {node} lists {} of {clients}", listed.len());
        }
        Ok(())
    })
    .await?;
    let listed = first_up.elapsed();
    // Not from the memory of what was before: each is held by a living connection.
    eventually(Duration::from_secs(10), "all are held by connections", || async {
        let mut published = 0;
        for node in cluster.ids() {
            published += metric(&cluster, node, "muster_ephemeral_instances_published").await?;
        }
        ensure!(published == clients as u64, "{published} are held by connections");
        Ok(())
    })
    .await?;
    eprintln!(
        "{clients} clients: the last was back {last_back:?} after the first node was up, all listed everywhere {listed:?}"
    );
    ensure!(listed <= Duration::from_secs(30), "it took {listed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_all_nodes_are_killed_at_once_every_client_is_back_within_thirty_seconds() {
    all_killed_at_once(600).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the count that brought others down"]
async fn after_all_nodes_are_killed_at_once_ten_thousand_clients_are_back_within_thirty_seconds() {
    all_killed_at_once(10_000).await.unwrap();
}
