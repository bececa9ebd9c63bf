//! Pushes where the way to the subscriber or the clocks are bad, and pushes that must not be. What was suffered elsewhere
//! and is shown here stands in `docs/beaten.md`.

use anyhow::{Context, ensure};
use muster_testkit::{
    Cluster, GrpcClient, Hosts, Http, Listed, Push, Spec, Subscriber, cluster, cluster_at, eventually,
    namespaces_missing,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(15);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A 1.x client that polls one node.
struct Poller<'a> {
    http: &'a Http,
    node: String,
    service: &'a str,
    ip: String,
    port: u16,
}

impl Poller<'_> {
    /// The list, and when the node wants to be asked again.
    async fn poll(&self) -> anyhow::Result<(Listed, Duration)> {
        let port = self.port.to_string();
        let parameters = [
            ("serviceName", self.service),
            ("clientIP", self.ip.as_str()),
            ("udpPort", port.as_str()),
        ];
        let answer = self.http.get(&self.node, "/nacos/v1/ns/instance/list", &parameters);
        let list = answer.await?.ok()?.json()?;
        let wait = list["cacheMillis"].as_u64().context("no cacheMillis")?;
        Ok((Listed::parse(&list)?, Duration::from_millis(wait)))
    }

    /// Polls at the times it is told until the list holds an address.
    async fn until_listed(&self, address: &str) -> anyhow::Result<Instant> {
        loop {
            let (list, wait) = self.poll().await?;
            if list.all.contains(address) {
                return Ok(Instant::now());
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// The sum of a metric over its labels, where a line holds all of `of`.
async fn metric(cluster: &Cluster, node: u64, name: &str, of: &[&str]) -> anyhow::Result<u64> {
    let text = cluster
        .http()
        .get(&cluster.address(node), "/metrics", &[])
        .await?
        .ok()?
        .body;
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && of.iter().all(|it| line.contains(it))
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum::<f64>() as u64)
}

async fn register(cluster: &Cluster, node: u64, spec: &Spec) -> anyhow::Result<()> {
    cluster.v1(node).register(spec).await?.ok().map(drop)
}

/// P1: on a host of its own, whose kernel drops what comes by UDP and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_whose_datagrams_are_dropped_learns_a_change_within_three_seconds_and_slows_nobody() {
    if let Some(why) = namespaces_missing() {
        eprintln!("not run, there are no network namespaces here: {why}");
        return;
    }
    let hosts = Hosts::new(4).unwrap();
    let cluster = cluster_at(hosts.places().into_iter().take(3).collect(), &[])
        .await
        .unwrap();
    let walled = hosts.place(4);
    let rule = [
        "-n",
        walled.namespace.as_deref().unwrap(),
        "rule",
        "add",
        "pref",
        "1",
        "ipproto",
        "udp",
        "blackhole",
    ];
    assert!(Command::new("ip").args(rule).status().unwrap().success());
    let poller = Poller {
        http: cluster.http(),
        node: cluster.address(1),
        service: "walled",
        ip: walled.ip.to_string(),
        port: 40_000,
    };
    let mut others = Vec::new();
    for node in cluster.ids() {
        let other = Subscriber::bind(hosts.test_address().into()).await.unwrap();
        let ip = other.ip.to_string();
        cluster.v1(node).subscribe("walled", &ip, other.port).await.unwrap();
        others.push(other);
    }
    let (_, told) = poller.poll().await.unwrap();
    assert_eq!(told, Duration::from_secs(10), "nobody knows yet");
    // What the first change costs is one wait of ten seconds at most; it is how the node comes to know.
    let first = Spec::ephemeral("walled", "10.1.0.1", 80);
    let changed = Instant::now();
    register(&cluster, 2, &first).await.unwrap();
    for other in &others {
        other
            .until(SOON, |push| push.list.all.contains(&first.address()))
            .await
            .unwrap();
    }
    tokio::time::sleep_until(changed + told).await;
    let (list, told) = poller.poll().await.unwrap();
    assert!(list.all.contains(&first.address()));
    assert_eq!(
        told,
        Duration::from_secs(3),
        "no datagram of the first change was answered"
    );
    for port in 81..84 {
        let spec = Spec::ephemeral("walled", "10.1.0.1", port);
        let address = spec.address();
        let (learned, pushed) = tokio::join!(poller.until_listed(&address), async {
            // Anywhere between two of its polls.
            tokio::time::sleep(Duration::from_millis(u64::from(port - 80) * 400)).await;
            register(&cluster, 1 + u64::from(port % 3), &spec).await?;
            let changed = Instant::now();
            let mut slowest = Duration::ZERO;
            for other in &others {
                let push = other
                    .until(SOON, |push| push.list.all.contains(&spec.address()))
                    .await?;
                slowest = slowest.max(push.received - changed);
            }
            anyhow::Ok((changed, slowest))
        });
        let (begun, slowest) = pushed.unwrap();
        let late = learned.unwrap().saturating_duration_since(begun);
        eprintln!("a change: the walled one knew after {late:?}, the last of the others after {slowest:?}");
        assert!(
            late < Duration::from_millis(3_500),
            "polls come every 3 s, this took {late:?}"
        );
        assert!(slowest < Duration::from_secs(3), "another waited {slowest:?}");
    }
}

/// The text of an ack.
type Shape = fn(u64) -> String;

/// Acks each datagram at once, whatever the test is at, and tells of it.
async fn ack_all(
    socket: UdpSocket,
    service: &'static str,
    shape: Shape,
    tell: mpsc::UnboundedSender<(&'static str, u64, Listed)>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let packet: Value = serde_json::from_slice(&Subscriber::unpack(&buffer[..length])?)?;
        let token = packet["lastRefTime"].as_u64().context("no lastRefTime")?;
        socket.send_to(shape(token).as_bytes(), from).await?;
        let list: Value = serde_json::from_str(packet["data"].as_str().context("no data")?)?;
        tell.send((service, token, Listed::parse(&list)?))?;
    }
}

/// Waits until no node waits for an ack.
async fn nothing_in_flight(cluster: &Cluster) -> anyhow::Result<()> {
    eventually(SOON, "nothing is in flight", || async {
        for node in cluster.ids() {
            let waiting = metric(cluster, node, "muster_push_in_flight", &[]).await?;
            ensure!(waiting == 0, "{waiting} at node {node}");
        }
        Ok(())
    })
    .await
}

/// P3: as Java and Go write it, as Node does, which hands every number through a floating one, and from another port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_of_every_shape_ends_the_delivery() {
    let cluster = cluster(1).await.unwrap();
    let java = |token: u64| format!(r#"{{"type": "push-ack", "lastRefTime":"{token}", "data":""}}"#);
    let go = |token: u64| format!(r#"{{"type": "push-ack","lastRefTime":"{token}","data":"" }}"#);
    #[allow(clippy::cast_possible_truncation, reason = "what JavaScript does is what is tried")]
    let node = |token: u64| format!(r#"{{"type":"push-ack","lastRefTime":{},"data":""}}"#, token as f64);
    let shapes: [(&str, Shape); 3] = [("java", java), ("go", go), ("node", node)];
    let (tell, mut told) = mpsc::unbounded_channel();
    let (mut acking, mut ports) = (JoinSet::new(), Vec::new());
    for (service, shape) in shapes {
        let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        cluster.v1(1).subscribe(service, "127.0.0.1", port).await.unwrap();
        acking.spawn(ack_all(socket, service, shape, tell.clone()));
        ports.push(port);
    }
    let mut next = async || -> (&str, u64, Listed) {
        let received = tokio::time::timeout(SOON, told.recv()).await;
        received.expect("a datagram").expect("somebody acks")
    };
    let mut acked = Vec::new();
    for round in 0..3 {
        for (service, _) in shapes {
            let spec = Spec::ephemeral(service, "10.1.0.1", 80 + round);
            register(&cluster, 1, &spec).await.unwrap();
            loop {
                let (of, token, list) = next().await;
                assert!(token < 1 << 53, "JavaScript would round {token}");
                acked.push((of, token));
                if of == service && list.all.contains(&spec.address()) {
                    break;
                }
            }
        }
    }
    nothing_in_flight(&cluster).await.unwrap();
    let sent = async || {
        let of = ["via=\"udp\"", "\"sent\""];
        metric(&cluster, 1, "muster_push_deliveries_total", &of).await.unwrap()
    };
    let settled = sent().await;
    // Longer than an unanswered datagram waits for its second try.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(sent().await, settled, "what was acked was sent again");
    // What a busy machine acked after a second had been sent again before, and its second ack answers nothing.
    while (acked.len() as u64) < settled {
        let (of, token, _) = next().await;
        acked.push((of, token));
    }
    let lists = acked.iter().collect::<BTreeSet<_>>().len() as u64;
    assert!(lists >= 9, "{acked:?}");
    eventually(SOON, "every ack is counted", || async {
        let acks = async |outcome: &str| {
            let of = ["via=\"udp\"", &format!("\"{outcome}\"")];
            metric(&cluster, 1, "muster_push_acks_total", &of).await
        };
        let (matched, unmatched) = (acks("matched").await?, acks("unmatched").await?);
        ensure!(
            matched >= lists && matched + unmatched == settled,
            "of {settled} acks of {lists} lists {matched} matched, {unmatched} did not"
        );
        ensure!(acks("other_address").await? == 0, "an ack came from elsewhere");
        Ok(())
    })
    .await
    .unwrap();
    for ((service, _), port) in shapes.into_iter().zip(ports) {
        let poller = Poller {
            http: cluster.http(),
            node: cluster.address(1),
            service,
            ip: "127.0.0.1".to_owned(),
            port,
        };
        assert_eq!(poller.poll().await.unwrap().1, Duration::from_secs(10), "{service}");
    }
}

/// A 1.x client that acks at once, whatever the test is at: what waits for its ack for a second is sent again.
struct Ear {
    pushes: mpsc::UnboundedReceiver<Push>,
    port: u16,
    _task: JoinSet<()>,
}

impl Ear {
    async fn bind() -> anyhow::Result<Self> {
        let subscriber = Subscriber::bind(LOOPBACK).await?;
        let (port, (tell, pushes)) = (subscriber.port, mpsc::unbounded_channel());
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok(push) = subscriber.next(SOON * 100).await
                && tell.send(push).is_ok()
            {}
        });
        Ok(Self {
            pushes,
            port,
            _task: task,
        })
    }

    async fn until(&mut self, wanted: impl Fn(&Push) -> bool) -> anyhow::Result<()> {
        let heard = async {
            while !wanted(&self.pushes.recv().await.context("the ear is deaf")?) {}
            anyhow::Ok(())
        };
        tokio::time::timeout(SOON, heard).await.context("no such push")?
    }
}

/// P6: by HTTP at every node, over a connection, and by beats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_equal_registrations_push_nothing() {
    let cluster = cluster(3).await.unwrap();
    let publisher = GrpcClient::connect(&cluster.grpc_address(2)).await.unwrap();
    let old = Spec::ephemeral("quiet", "10.1.0.1", 80);
    let all = [old.address(), "10.1.0.2:80".to_owned()];
    let (mut ears, mut streams) = (Vec::new(), Vec::new());
    for node in cluster.ids() {
        let ear = Ear::bind().await.unwrap();
        cluster
            .v1(node)
            .subscribe("quiet", "127.0.0.1", ear.port)
            .await
            .unwrap();
        ears.push(ear);
        let stream = GrpcClient::connect(&cluster.grpc_address(node)).await.unwrap();
        stream.subscribe("quiet").await.unwrap();
        streams.push(stream);
    }
    register(&cluster, 1, &old).await.unwrap();
    publisher.register("quiet", "10.1.0.2", 80).await.unwrap();
    for ear in &mut ears {
        ear.until(|push| all.iter().all(|it| push.list.all.contains(it)))
            .await
            .unwrap();
    }
    for stream in &mut streams {
        stream.until_listed("quiet", &[&all[0], &all[1]], SOON).await.unwrap();
    }
    let deliveries = async || {
        let mut sum = 0;
        for node in cluster.ids() {
            sum += metric(&cluster, node, "muster_push_deliveries_total", &[])
                .await
                .unwrap();
        }
        sum
    };
    nothing_in_flight(&cluster).await.unwrap();
    for ear in &mut ears {
        while ear.pushes.try_recv().is_ok() {}
    }
    let before = deliveries().await;
    for n in 0..500_u64 {
        register(&cluster, 1 + n % 3, &old).await.unwrap();
        publisher.register("quiet", "10.1.0.2", 80).await.unwrap();
        if n.is_multiple_of(50) {
            cluster.v1(1 + n % 3).beat(&old).await.unwrap().ok().unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(deliveries().await, before, "equal content was pushed");
    for ear in &mut ears {
        assert!(ear.pushes.try_recv().is_err(), "a datagram came");
    }
    for stream in &mut streams {
        let pushed = stream.pushed_within(Duration::from_millis(10)).await;
        assert!(pushed.is_none(), "a push came: {pushed:?}");
    }
    // And a change still is one.
    register(&cluster, 3, &Spec::ephemeral("quiet", "10.1.0.1", 81))
        .await
        .unwrap();
    for ear in &mut ears {
        ear.until(|push| push.list.all.len() == 3).await.unwrap();
    }
}

/// A Java 1.4 client behind a network that holds each datagram and each ack back for up to 300 ms, so that they overtake
/// one another, and doubles every second one. It applies whatever arrives, older or not.
struct BadNetwork {
    socket: UdpSocket,
    /// Repeats its choices.
    drawn: u64,
    on_its_way: Vec<(Instant, Vec<u8>, SocketAddr, bool)>,
    holds: BTreeSet<String>,
    applied: usize,
    went_back: usize,
}

impl BadNetwork {
    async fn bind(seed: u64) -> anyhow::Result<Self> {
        Ok(Self {
            socket: UdpSocket::bind((LOOPBACK, 0)).await?,
            drawn: seed,
            on_its_way: Vec::new(),
            holds: BTreeSet::new(),
            applied: 0,
            went_back: 0,
        })
    }

    fn draw(&mut self, most: u64) -> u64 {
        self.drawn = self
            .drawn
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.drawn >> 33) % most
    }

    fn hold(&mut self, bytes: &[u8], with: SocketAddr, is_ack: bool) {
        for _ in 0..1 + self.draw(2) {
            let arrives = Instant::now() + Duration::from_millis(self.draw(300));
            self.on_its_way.push((arrives, bytes.to_vec(), with, is_ack));
        }
    }

    /// Carries things back and forth until then.
    async fn run_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut buffer = vec![0; 65_536];
        loop {
            let next = self.on_its_way.iter().map(|(at, ..)| *at).min().unwrap_or(end).min(end);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    self.hold(&buffer[..length], from, false);
                }
                () = tokio::time::sleep_until(next) => {
                    let now = Instant::now();
                    let (due, rest) = std::mem::take(&mut self.on_its_way).into_iter().partition(|(at, ..)| *at <= now);
                    self.on_its_way = rest;
                    for (_, bytes, with, is_ack) in Vec::from_iter(due.into_iter()) {
                        self.arrive(&bytes, with, is_ack).await?;
                    }
                    if now >= end {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn arrive(&mut self, bytes: &[u8], with: SocketAddr, is_ack: bool) -> anyhow::Result<()> {
        if is_ack {
            self.socket.send_to(bytes, with).await?;
            return Ok(());
        }
        let packet: Value = serde_json::from_slice(&Subscriber::unpack(bytes)?)?;
        let list: Value = serde_json::from_str(packet["data"].as_str().context("no data")?)?;
        let listed = Listed::parse(&list)?.all;
        self.applied += 1;
        self.went_back += usize::from(!listed.is_superset(&self.holds));
        self.holds = listed;
        let ack = format!(
            r#"{{"type":"push-ack","lastRefTime":"{}","data":""}}"#,
            packet["lastRefTime"]
        );
        self.hold(ack.as_bytes(), with, true);
        Ok(())
    }
}

/// The library that gives a process another wall clock.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists())
}

/// Three nodes, the second's wall clock 5 s ahead, the third's 5 s behind.
async fn skewed_cluster() -> anyhow::Result<Cluster> {
    let library = faketime().context("libfaketime is not installed")?;
    let mut cluster = cluster(3).await?;
    for (node, skew) in [(2, "+5s"), (3, "-5s")] {
        cluster.stop(node).await?;
        cluster.node_mut(node).environment = vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("FAKETIME".to_owned(), skew.to_owned()),
            // Clocks that only run are no wall clocks: they do not stand apart.
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ];
        cluster.restart(node).await?;
    }
    cluster.voters(SOON).await?;
    eventually(SOON, "the skew shows", || async {
        let skew = metric(&cluster, 1, "muster_clock_skew_max_milliseconds", &[]).await?;
        ensure!((4_500..6_000).contains(&skew), "{skew} ms");
        Ok(())
    })
    .await?;
    Ok(cluster)
}

/// Of the next test, 20 writes each.
const ROUNDS: u16 = 4;
const WRITES: usize = 80;

/// P4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_skewed_clocks_and_a_network_that_reorders_and_doubles_a_java_client_ends_with_the_last_write() {
    if faketime().is_none() {
        eprintln!("not run, libfaketime is not installed");
        return;
    }
    let cluster = skewed_cluster().await.unwrap();
    // At one node each, over a network that is well: what one node serves never goes back.
    let mut steady = JoinSet::new();
    for node in cluster.ids() {
        let ear = Subscriber::bind(LOOPBACK).await.unwrap();
        cluster
            .v1(node)
            .subscribe("written", "127.0.0.1", ear.port)
            .await
            .unwrap();
        steady.spawn(async move {
            let (mut holds, mut stamp, mut heard) = (BTreeSet::new(), 0, 0);
            let all_by = Instant::now() + SOON * 4;
            // Until it holds all, and a while longer for what ought not to follow.
            let patience = |held: usize| {
                if held < WRITES {
                    all_by.saturating_duration_since(Instant::now())
                } else {
                    Duration::from_secs(4)
                }
            };
            while let Ok(push) = ear.next(patience(holds.len())).await {
                let (list, last) = (push.list.all, push.list.last_ref_time);
                assert!(
                    list.is_superset(&holds),
                    "node {node} took back {:?}",
                    holds.difference(&list)
                );
                // A datagram that is acked late is sent again.
                let again = last == stamp && list == holds;
                assert!(last > stamp || again, "node {node}: {last} after {stamp}");
                (holds, stamp, heard) = (list, last, heard + 1);
            }
            (holds, heard)
        });
    }
    let seed = 20_261_121;
    let mut client = BadNetwork::bind(seed).await.unwrap();
    let port = client.socket.local_addr().unwrap().port();
    for node in cluster.ids() {
        // As a 1.x client that asks another node each time is: known to all of them.
        cluster.v1(node).subscribe("written", "127.0.0.1", port).await.unwrap();
    }
    let mut wanted = BTreeSet::new();
    for round in 0..ROUNDS {
        for n in 0..20_u16 {
            // Nobody beats, and the test must not be shorter than a lease.
            let spec =
                Spec::ephemeral("written", "10.1.0.1", 100 * round + n + 1).with_lease_ms(5_000, 120_000, 180_000);
            register(&cluster, 1 + u64::from(n) % 3, &spec).await.unwrap();
            wanted.insert(spec.address());
            let pause = Duration::from_millis(client.draw(60));
            client.run_until(Instant::now() + pause).await.unwrap();
        }
        let last_write = Instant::now();
        client.run_until(last_write + Duration::from_secs(3)).await.unwrap();
        let missing: Vec<_> = wanted.difference(&client.holds).collect();
        assert!(
            missing.is_empty(),
            "3 s after write {round}, seed {seed}, it lacks {missing:?}"
        );
    }
    client.run_until(Instant::now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!(client.holds, wanted, "and it stays so");
    eprintln!(
        "{} lists applied, {} of them older than the one before",
        client.applied, client.went_back
    );
    assert!(client.went_back > 0, "the network did nothing: seed {seed}");
    while let Some(ear) = steady.join_next().await {
        let (holds, heard) = ear.unwrap();
        eprintln!("a steady one heard {heard} lists");
        assert_eq!(holds, wanted);
    }
}
