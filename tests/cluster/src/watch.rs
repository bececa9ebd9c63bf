//! Lists that must never be short.

use crate::beating::{Beating, LastBeats};
use anyhow::{bail, ensure};
use muster_testkit::{Cluster, GrpcClient, Http, Listed, Subscriber, list_of};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two polls of one node; each renews the subscription as well.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// Before a node whose stream has ended is asked again.
const STREAM_AGAIN: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Seen {
    polls: usize,
    pushes: usize,
    stream_pushes: usize,
    /// Answers that were no list: a node that does not run, or that has not loaded.
    unanswered: usize,
    /// Instances not shown as healthy whose own beats had not got through for a beat timeout.
    silent: usize,
    wrong: Vec<String>,
}

/// Looks at a service from all sides, all the time: a client of each node that polls and is pushed to by UDP, and one that
/// has a stream. Every list that any of them is shown must hold everybody who lives, as healthy: who holds a connection, and
/// who has had a beat answered within its beat timeout.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Eye {
    node: u64,
    service: String,
    wanted: Arc<BTreeSet<String>>,
    beats: LastBeats,
    beat_timeout: Duration,
    seen: Arc<Mutex<Seen>>,
    begun: Instant,
}

impl Watch {
    /// Looks at `service` at all nodes of the cluster from here on; pushes come to `ear`, an address of this host.
    ///
    /// # Errors
    /// No socket can be had.
    pub async fn start(
        cluster: &Cluster,
        ear: IpAddr,
        service: &str,
        (beating, beat_timeout): (&Beating, Duration),
        held: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<Self> {
        let (seen, mut tasks) = (Arc::new(Mutex::new(Seen::default())), JoinSet::new());
        let wanted = Arc::new(held.into_iter().chain(beating.published()).collect::<BTreeSet<_>>());
        ensure!(!wanted.is_empty(), "nobody is watched");
        for node in cluster.ids() {
            let eye = Eye {
                node,
                service: service.to_owned(),
                wanted: wanted.clone(),
                beats: beating.last.clone(),
                beat_timeout,
                seen: seen.clone(),
                begun: Instant::now(),
            };
            let subscriber = Subscriber::bind(ear).await?;
            let port = subscriber.port;
            tasks.spawn(
                eye.clone()
                    .poll(cluster.http().clone(), cluster.address(node), ear, port),
            );
            tasks.spawn(eye.clone().hear(subscriber));
            tasks.spawn(eye.stream(cluster.grpc_address(node)));
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// Fails if any list so far was short, or if nothing was looked at; prints how much was.
    ///
    /// # Errors
    /// The first lists that were wrong.
    pub fn verdict(&self, what: &str) -> anyhow::Result<()> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!(
            "{what}: {} polls, {} pushes by UDP and {} by stream looked at, {} questions without a list, {} times somebody \
             whose beats did not get through, {} wrong",
            seen.polls,
            seen.pushes,
            seen.stream_pushes,
            seen.unanswered,
            seen.silent,
            seen.wrong.len()
        );
        ensure!(seen.polls > 0, "nothing was looked at");
        if !seen.wrong.is_empty() {
            let first: Vec<_> = seen.wrong.iter().take(5).cloned().collect();
            bail!(
                "{what}: {} wrong lists, the first:\n{}",
                seen.wrong.len(),
                first.join("\n")
            );
        }
        Ok(())
    }
}

impl Eye {
    async fn poll(self, http: Http, address: String, ear: IpAddr, udp_port: u16) {
        let (ear, udp_port) = (ear.to_string(), udp_port.to_string());
        let parameters = [
            ("serviceName", self.service.as_str()),
            ("clientIP", ear.as_str()),
            ("udpPort", udp_port.as_str()),
        ];
        loop {
            match http.get(&address, "/nacos/v1/ns/instance/list", &parameters).await {
                Ok(answer) if answer.status == 200 => match answer.json().and_then(|json| Listed::parse(&json)) {
                    Ok(listed) => self.look("a poll", &listed, |seen| seen.polls += 1),
                    Err(error) => self.note(|seen| seen.wrong.push(format!("no list: {error:#}"))),
                },
                _ => self.note(|seen| seen.unanswered += 1),
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn hear(self, subscriber: Subscriber) {
        loop {
            if let Ok(push) = subscriber.next(Duration::from_secs(3_600)).await {
                self.look("a push by UDP", &push.list, |seen| seen.pushes += 1);
            }
        }
    }

    async fn stream(self, address: String) {
        loop {
            if self.stream_once(&address).await.is_err() {
                self.note(|seen| seen.unanswered += 1);
            }
            tokio::time::sleep(STREAM_AGAIN).await;
        }
    }

    /// # Errors
    /// Always in the end: the stream has ended, or there was none.
    async fn stream_once(&self, address: &str) -> anyhow::Result<()> {
        let mut client = GrpcClient::connect(address).await?;
        let first = client.subscribe(&self.service).await?;
        self.look("a subscription's answer", &first, |seen| seen.stream_pushes += 1);
        loop {
            let heard = client.next(Duration::from_secs(3_600)).await?;
            if heard.kind == "NotifySubscriberRequest" && heard.json["serviceInfo"]["name"] == self.service.as_str() {
                self.look("a push by stream", &list_of(&heard.json)?, |seen| {
                    seen.stream_pushes += 1;
                });
            }
        }
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn look(&self, what: &str, listed: &Listed, count: impl FnOnce(&mut Seen)) {
        let mut lacking: BTreeSet<_> = self.wanted.difference(&listed.healthy).cloned().collect();
        let silent = self.beats.excuse(&self.service, self.beat_timeout, &mut lacking);
        let (unhealthy, missing): (Vec<_>, Vec<_>) = lacking.into_iter().partition(|it| listed.all.contains(it));
        self.note(|seen| {
            count(seen);
            seen.silent += silent;
            if !unhealthy.is_empty() || !missing.is_empty() {
                seen.wrong.push(format!(
                    "{:.1} s after the beginning {what} of node {} shows {} of {}: missing {missing:?}, not healthy {unhealthy:?}",
                    self.begun.elapsed().as_secs_f64(),
                    self.node,
                    listed.all.len(),
                    self.wanted.len(),
                ));
            }
        });
    }
}
