//! Requests that arrive by the clock, whether the ones before have been answered or not.

use super::capacity::write;
use crate::http::{Answer, Connection};
use anyhow::Result;
use bytes::{Bytes, BytesMut};
use hdrhistogram::Histogram;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// Requests under way on one connection; what arrives beyond is not sent. Half a socket's buffers of requests.
const UNDER_WAY_MAX: usize = 128;
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(10);
/// When a client gives up, as SDKs do; its connection is of no more use then.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sentences that are not the node's own, kept to be shown.
const UNNAMED_KEPT: usize = 3;

/// What became of what arrived.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) arrived: u64,
    pub(super) sent: u64,
    pub(super) ok: u64,
    pub(super) refused: u64,
    /// Answered later than any client waits, or never.
    pub(super) late: u64,
    /// Connections that could not be opened, or broke.
    pub(super) broken: u64,
    /// Of what was answered well, from its arrival.
    pub(super) micros: Histogram<u64>,
    /// How the node refused.
    pub(super) names: BTreeSet<String>,
    /// Refusals in words that are none of the node's.
    pub(super) unnamed: BTreeSet<String>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            arrived: 0,
            sent: 0,
            ok: 0,
            refused: 0,
            late: 0,
            broken: 0,
            micros: Histogram::new_with_max(60_000_000, 3).expect("the bounds are right"),
            names: BTreeSet::new(),
            unnamed: BTreeSet::new(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        write!(
            formatter,
            "{} arrived, {} sent, {} answered well, {} refused ({}), {} late, {} connections broken",
            self.arrived,
            self.sent,
            self.ok,
            self.refused,
            names.join(", "),
            self.late,
            self.broken
        )
    }
}

/// The node's own words for it, and what they mean.
const NAMES: [(u16, &str, &str); 4] = [
    (503, "too many writes are waiting", "too many writes are waiting"),
    (500, "outcome unknown", "outcome unknown"),
    (500, "did not find the Leader node", "no leader"),
    (503, "this node is full", "full"),
];

impl Outcome {
    fn add(&mut self, other: Self) {
        self.arrived += other.arrived;
        self.sent += other.sent;
        self.ok += other.ok;
        self.refused += other.refused;
        self.late += other.late;
        self.broken += other.broken;
        self.micros.add(&other.micros).expect("both have the same bounds");
        self.names.extend(other.names);
        self.unnamed.extend(other.unnamed);
    }

    fn answered(&mut self, answer: &Answer, arrived: Instant) {
        let took = arrived.elapsed();
        if answer.status == 200 {
            if took > PATIENCE {
                self.late += 1;
            } else {
                self.ok += 1;
                self.micros.saturating_record(took.as_micros() as u64);
            }
            return;
        }
        self.refused += 1;
        let text = answer.text();
        match NAMES.iter().find(|(_, words, _)| text.contains(words)) {
            Some((_, _, name)) => drop(self.names.insert(format!("{} {name}", answer.status))),
            None if self.unnamed.len() < UNNAMED_KEPT => {
                self.unnamed.insert(format!("{}: {text}", answer.status));
            }
            None => {}
        }
    }
}

/// Tasks with an outcome each.
pub(super) struct Arrivals(JoinSet<Outcome>);

impl Arrivals {
    /// Begins calls that share connections, one after the other on each.
    pub(super) fn begin(
        node: SocketAddr,
        requests: Arc<[Bytes]>,
        connections: usize,
        per_second: f64,
        length: Duration,
    ) -> Self {
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let (requests, rate) = (requests.clone(), per_second / connections as f64);
            let begin = number * requests.len() / connections;
            tasks.spawn(call(node, requests, begin, rate, length));
        }
        Self(tasks)
    }

    pub(super) async fn end(self) -> Outcome {
        gather(self.0).await
    }
}

async fn gather(mut tasks: JoinSet<Outcome>) -> Outcome {
    let mut all = Outcome::default();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(outcome) => all.add(outcome),
            Err(_) => all.broken += 1,
        }
    }
    all
}

/// One connection that is opened again when it breaks, or when its client has lost patience.
async fn call(node: SocketAddr, requests: Arc<[Bytes]>, begin: usize, per_second: f64, length: Duration) -> Outcome {
    let (mut outcome, began, mut next) = (Outcome::default(), Instant::now(), begin);
    while began.elapsed() < length {
        let used = use_one(node, &requests, &mut next, per_second, began, length, &mut outcome).await;
        if used.is_err() {
            outcome.broken += 1;
        }
    }
    outcome
}

async fn use_one(
    node: SocketAddr,
    requests: &[Bytes],
    next: &mut usize,
    per_second: f64,
    began: Instant,
    length: Duration,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut connection = Connection::open(node, PATIENCE).await?;
    let mut under_way: VecDeque<Instant> = VecDeque::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sending = BytesMut::new();
    while began.elapsed() < length {
        tokio::select! {
            answer = connection.answer(), if !under_way.is_empty() => {
                let answer = answer?;
                let arrived = under_way.pop_front().unwrap_or_else(Instant::now);
                outcome.answered(&answer, arrived);
            }
            _ = ticks.tick() => {
                let due = (began.elapsed().as_secs_f64() * per_second) as u64;
                let arrived = due.saturating_sub(outcome.arrived);
                outcome.arrived += arrived;
                let room = UNDER_WAY_MAX.saturating_sub(under_way.len());
                let taken = room.min(arrived as usize);
                let now = Instant::now();
                for _ in 0..taken {
                    sending.extend_from_slice(&requests[*next % requests.len()]);
                    *next += 1;
                    under_way.push_back(now);
                }
                outcome.sent += taken as u64;
                // Fits the socket's buffer, as the bound of what is under way is so small.
                connection.send(&sending.split()).await?;
                if under_way.front().is_some_and(|oldest| oldest.elapsed() > PATIENCE) {
                    outcome.late += under_way.len() as u64;
                    return Ok(());
                }
            }
        }
    }
    // What is under way at the end is answered within the patience or not at all.
    while let Some(arrived) = under_way.pop_front() {
        let Ok(answer) = tokio::time::timeout(PATIENCE, connection.answer()).await else {
            outcome.late += 1 + under_way.len() as u64;
            break;
        };
        outcome.answered(&answer?, arrived);
    }
    Ok(())
}

/// Persistent writes, one under way on each connection.
pub(super) struct Writes(JoinSet<Outcome>);

impl Writes {
    pub(super) fn begin(node: SocketAddr, writers: usize, per_second: f64, length: Duration) -> Self {
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            tasks.spawn(write_on(node, writer, per_second / writers as f64, length));
        }
        Self(tasks)
    }

    pub(super) async fn end(self) -> Outcome {
        gather(self.0).await
    }
}

async fn write_on(node: SocketAddr, writer: usize, per_second: f64, length: Duration) -> Outcome {
    let (mut outcome, began) = (Outcome::default(), Instant::now());
    let mut connection = None;
    while began.elapsed() < length {
        let due = (began.elapsed().as_secs_f64() * per_second) as u64;
        if due <= outcome.arrived {
            tokio::time::sleep(TICK).await;
            continue;
        }
        outcome.arrived = due;
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(node, PATIENCE).await,
        };
        let Ok(mut open) = open else {
            outcome.broken += 1;
            continue;
        };
        let arrived = Instant::now();
        outcome.sent += 1;
        match open
            .call(&write(writer, outcome.sent as usize).register(), PATIENCE)
            .await
        {
            Ok(answer) => {
                outcome.answered(&answer, arrived);
                connection = Some(open);
            }
            Err(_) => outcome.late += 1,
        }
    }
    outcome
}
