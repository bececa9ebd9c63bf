//! One measurement: many connections send a scenario's calls for a while.
//!
//! As fast as answers come (a closed loop: the rate is what the server can do, the delays those under full load), or at a rate
//! of calls that does not wait for the server. Then a call's delay begins when it was due: a server that stands still for a
//! second is charged for all calls of that second, and not for the one that it kept waiting.

mod line;
mod outcome;
mod pace;
mod scenario;

pub use outcome::Outcome;
pub use scenario::{Door, Scenario, Shape, address_of};

use crate::peers::Program;
use crate::push::{fresh_service, now};
use crate::usage::Usage;
use crate::{grpc, http};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use line::Line;
use pace::Pace;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longer delays count as this: a minute.
const DELAY_US_MAX: u64 = 60_000_000;
/// Nothing is measured while connections and the server's tables grow.
const WARM_UP: Duration = Duration::from_secs(1);
/// Instances that send no beats are unhealthy after 15 s; they are registered anew before.
const WARMING_PIECE: Duration = Duration::from_secs(8);
/// Copies of what was registered reach all members within milliseconds; a beat there before that would be an unknown one.
const COPIED: Duration = Duration::from_secs(1);
/// Connections that register what the scenario wants, side by side.
const FILLING: u32 = 16;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    pub door: Door,
    /// Addresses that take the connections in turn.
    pub servers: Vec<SocketAddr>,
    pub connections: u32,
    /// Calls a second of all connections together; none: as fast as answers come.
    pub rate: Option<f64>,
    pub measured: Duration,
    /// Sent for so long beforehand, and not measured: for servers that get faster with what they are asked.
    pub warming: Option<Duration>,
    pub shape: Shape,
    /// The servers' processes, whose CPU and memory are told.
    pub pids: Vec<u32>,
    /// Told each second on standard error.
    pub shows_progress: bool,
}

/// Clients that publish what a scenario asks for, until this is dropped.
#[derive(Default)]
struct Filling {
    clients: JoinSet<Result<()>>,
    over: watch::Sender<()>,
}

#[derive(Default)]
struct Shared {
    counts: AtomicBool,
    over: AtomicBool,
    done: AtomicU64,
    refused: AtomicU64,
}

impl Plan {
    /// # Errors
    /// The door has no such call, a connection fails or ends, or a server's process has ended.
    pub async fn run(&self) -> Result<Outcome> {
        self.scenario.check(self.door)?;
        ensure!(!self.servers.is_empty(), "no server");
        let run = fresh_service("load");
        let mut cold = self.warming.unwrap_or_default();
        while !cold.is_zero() {
            let piece = if self.door == Door::Http {
                cold.min(WARMING_PIECE)
            } else {
                cold
            };
            self.round(&run, piece).await.context("warming up")?;
            cold -= piece;
        }
        self.round(&run, self.measured).await
    }

    /// Instances are registered anew: those of an earlier round have sent no beat since.
    async fn round(&self, run: &str, measured: Duration) -> Result<Outcome> {
        let _filling = self.fill(run).await.context("registering what is there beforehand")?;
        let lines = self.open().await?;
        let shared = Arc::new(Shared::default());
        let mut drivers = JoinSet::new();
        let common: Option<Arc<[Bytes]>> = self.is_common().then(|| self.requests(run, 0));
        for (number, line) in (0..).zip(lines) {
            let requests = common.clone().unwrap_or_else(|| self.requests(run, number));
            // All begin elsewhere.
            let first = requests.len() * number as usize / self.connections as usize;
            let pace = Pace::new(self.rate, number, self.connections);
            drivers.spawn(drive(line, requests, first, pace, shared.clone()));
        }
        tokio::time::sleep(WARM_UP).await;
        let before = Usage::of(&self.pids)?;
        let begun = now();
        shared.counts.store(true, Ordering::Relaxed);
        self.wait(&shared, measured).await;
        shared.counts.store(false, Ordering::Relaxed);
        let took = begun.elapsed();
        let usage = Usage::of(&self.pids)?.since(&before);
        shared.over.store(true, Ordering::Relaxed);
        let mut delays = histogram()?;
        while let Some(driver) = drivers.join_next().await {
            delays.add(driver??)?;
        }
        let refused = shared.refused.load(Ordering::Relaxed);
        Ok(Outcome::new(self, &delays, took, refused, usage))
    }

    /// Over HTTP all connections send the same, but for what each has of its own.
    fn is_common(&self) -> bool {
        self.door == Door::Http && self.scenario != Scenario::Mixed
    }

    fn requests(&self, run: &str, connection: u32) -> Arc<[Bytes]> {
        self.scenario.requests(self.door, &self.shape, run, connection).into()
    }

    async fn open(&self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for number in 0..self.connections {
            let server = self.servers[number as usize % self.servers.len()];
            let line = Line::open(self.door, server).await;
            lines.push(line.with_context(|| format!("connection {number}"))?);
        }
        Ok(lines)
    }

    /// Registers what the scenario asks for, in a moment that is not measured. What connections publish stays until the answer
    /// is dropped.
    async fn fill(&self, run: &str) -> Result<Filling> {
        let mut filling = Filling::default();
        match self.door {
            Door::Http if self.scenario == Scenario::Persistent => {
                switch_checks_off(self.servers[0]).await?;
                return Ok(filling);
            }
            _ if !self.scenario.wants_instances() => return Ok(filling),
            Door::Http => {
                let requests = Scenario::Register.requests(Door::Http, &self.shape, run, 0);
                send_each(self.servers[0], requests, FILLING).await?;
            }
            Door::Grpc => self.publish(run, &mut filling).await?,
        }
        tokio::time::sleep(COPIED).await;
        Ok(filling)
    }

    /// As many instances in each service as over HTTP, which are there as long as their connections.
    async fn publish(&self, run: &str, filling: &mut Filling) -> Result<()> {
        for connection in 0..self.shape.per_service as u32 {
            let mut client = grpc::Client::connect(self.servers[0], None).await?;
            for request in Scenario::Register.requests(Door::Grpc, &self.shape, run, connection) {
                client.call(&request).await?;
            }
            filling.clients.spawn(client.hold(filling.over.subscribe()));
        }
        Ok(())
    }

    async fn wait(&self, shared: &Shared, measured: Duration) {
        let end = tokio::time::Instant::now() + measured;
        let mut told = shared.done.load(Ordering::Relaxed);
        while tokio::time::Instant::now() < end {
            let second = tokio::time::Instant::now() + Duration::from_secs(1);
            tokio::time::sleep_until(second.min(end)).await;
            let done = shared.done.load(Ordering::Relaxed);
            if self.shows_progress {
                #[allow(clippy::print_stderr, reason = "progress, beside the result")]
                {
                    eprintln!("  {} calls in this second", done - told);
                }
            }
            told = done;
        }
    }
}

/// Instances at addresses where nothing listens would be probed and found unhealthy, each of which is a write. A server that
/// does not know the switch probes, or does not.
///
/// # Errors
/// The connection fails.
pub async fn switch_checks_off(server: SocketAddr) -> Result<()> {
    let off = "PUT /nacos/v1/ns/operator/switches?entry=check&value=false HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";
    let mut connection = http::Connection::open(server).await?;
    connection.exchange(off.as_bytes()).await.map(drop)
}

/// Sends each of these requests once over HTTP, from so many connections side by side.
///
/// # Errors
/// One is refused, or a connection fails.
pub async fn send_each(server: SocketAddr, requests: Vec<Bytes>, connections: u32) -> Result<()> {
    let (requests, step) = (Arc::new(requests), connections as usize);
    let mut sending = JoinSet::new();
    for first in 0..step {
        let requests = Arc::clone(&requests);
        sending.spawn(async move {
            let mut connection = http::Connection::open(server).await?;
            for request in requests.iter().skip(first).step_by(step) {
                let status = connection.exchange(request).await?;
                ensure!(status == 200, "a registration was answered {status}");
            }
            Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

/// Sends so many calls of a scenario on one connection, after what it wants has been registered and `begins` was called.
///
/// # Errors
/// The door has no such call, a call is refused, or the connection fails; those of `begins`.
pub async fn send(
    scenario: Scenario,
    door: Door,
    server: &Program,
    shape: &Shape,
    calls: u64,
    begins: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let plan = Plan {
        scenario,
        door,
        servers: vec![if door == Door::Http { server.http } else { server.grpc }],
        connections: 1,
        rate: None,
        measured: Duration::ZERO,
        warming: None,
        shape: *shape,
        pids: Vec::new(),
        shows_progress: false,
    };
    scenario.check(door)?;
    // The same name each time: a longer one costs more.
    let run = "counted";
    let _filling = plan.fill(run).await?;
    let mut line = Line::open(door, plan.servers[0]).await?;
    let requests = plan.requests(run, 0);
    tokio::time::sleep(WARM_UP).await;
    begins()?;
    for request in requests.iter().cycle().take(calls as usize) {
        ensure!(line.call(request).await?, "refused");
    }
    Ok(())
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, DELAY_US_MAX, 3)?)
}

async fn drive(
    mut line: Line,
    requests: Arc<[Bytes]>,
    first: usize,
    mut pace: Pace,
    shared: Arc<Shared>,
) -> Result<Histogram<u64>> {
    let mut delays = histogram()?;
    let mut requests = requests.iter().cycle().skip(first);
    while !shared.over.load(Ordering::Relaxed) {
        let request = requests.next().context("no requests")?;
        let due = pace.next().await;
        let ok = line.call(request).await?;
        if shared.counts.load(Ordering::Relaxed) {
            delays.saturating_record(due.elapsed().as_micros().max(1) as u64);
            shared.done.fetch_add(1, Ordering::Relaxed);
            if !ok {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(delays)
}
