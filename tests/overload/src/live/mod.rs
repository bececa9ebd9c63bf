//! Clients that go on while others misbehave, and what they notice of it: publishers that beat, one who polls, one who is
//! told of changes by UDP and one by gRPC, one who writes persistent instances, and newcomers.
//!
//! Each keeps its connection as real clients do, opens another when that breaks, and counts what went wrong. What counts most:
//! none of the publishers may ever be missing in the list, or unhealthy.

mod changes;
mod publishers;

use crate::http::{self, Answer, Connection};
use crate::report::{Report, quantiles};
use anyhow::Result;
use hdrhistogram::Histogram;
use muster_testkit::GrpcClient;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// As SDKs wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// As SDKs wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A second longer than the node itself waits for a majority.
const WRITTEN_WITHIN: Duration = Duration::from_secs(6);

const POLL_EVERY: Duration = Duration::from_millis(200);
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// A client that starts, connects, lists and goes.
const NEWCOMER_EVERY: Duration = Duration::from_millis(500);

/// What live clients noticed.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) beats: Histogram<u64>,
    pub(crate) lists: Histogram<u64>,
    pub(crate) pushed_udp: Histogram<u64>,
    pub(crate) pushed_grpc: Histogram<u64>,
    pub(crate) writes: Histogram<u64>,
    pub(crate) newcomers: Histogram<u64>,
    pub(crate) newcomers_grpc: Histogram<u64>,
    pub(crate) beats_failed: usize,
    pub(crate) lists_failed: usize,
    pub(crate) writes_failed: usize,
    pub(crate) newcomers_failed: usize,
    /// Each tries again.
    pub(crate) newcomers_grpc_failed: usize,
    /// Lists that lacked a living publisher.
    pub(crate) short_lists: usize,
    /// Lists that called a living publisher unhealthy.
    pub(crate) unhealthy_lists: usize,
    /// Times that a gRPC subscriber had to connect again.
    pub(crate) grpc_reconnects: usize,
    pub(crate) last_failure: String,
}

impl Default for Figures {
    fn default() -> Self {
        // Three digits, from microseconds to a minute.
        let empty = || Histogram::new_with_max(60_000_000, 3).expect("the bounds are right");
        Self {
            beats: empty(),
            lists: empty(),
            pushed_udp: empty(),
            pushed_grpc: empty(),
            writes: empty(),
            newcomers: empty(),
            newcomers_grpc: empty(),
            beats_failed: 0,
            lists_failed: 0,
            writes_failed: 0,
            newcomers_failed: 0,
            newcomers_grpc_failed: 0,
            short_lists: 0,
            unhealthy_lists: 0,
            grpc_reconnects: 0,
            last_failure: String::new(),
        }
    }
}

/// Shared by all live clients.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Figures>>);

impl Notes {
    fn note(&self, note: impl FnOnce(&mut Figures)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The live clients of one scene. Dropped, all fall silent.
pub(crate) struct Live {
    notes: Notes,
    _tasks: JoinSet<()>,
}

impl Live {
    /// Starts them at one node and waits until all have begun.
    ///
    /// # Errors
    /// The node, which is left alone at this time, does not take one of them.
    pub(crate) async fn start(node: SocketAddr, grpc: SocketAddr) -> Result<Self> {
        let (notes, mut tasks) = (Notes::default(), JoinSet::new());
        publishers::start(node, &notes, &mut tasks).await?;
        changes::start(node, grpc, &notes, &mut tasks).await?;
        tasks.spawn(poll(node, notes.clone()));
        tasks.spawn(write(node, notes.clone()));
        tasks.spawn(come_and_go(node, notes.clone()));
        tasks.spawn(come_and_go_by_grpc(grpc, notes.clone()));
        Ok(Self { notes, _tasks: tasks })
    }

    /// What was noticed since the last time.
    pub(crate) fn take(&self) -> Figures {
        std::mem::take(&mut *self.notes.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that is opened again after it broke.
struct Kept {
    node: SocketAddr,
    connection: Option<Connection>,
}

impl Kept {
    fn to(node: SocketAddr) -> Self {
        Self { node, connection: None }
    }

    async fn call(&mut self, request: &[u8], within: Duration) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.node, CONNECT_WITHIN).await?,
        };
        let answer = connection.call(request, within).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Ticks that do not make up for those that were missed.
fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn poll(node: SocketAddr, notes: Notes) {
    let (mut kept, request, mut ticks) = (Kept::to(node), http::list(publishers::SERVICE), ticks(POLL_EVERY));
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let answer = kept.call(&request, ANSWER_WITHIN).await.and_then(Answer::ok);
        notes.note(|figures| match answer.map(|body| publishers::seen(&body)) {
            Ok((listed, healthy)) => {
                figures.lists.saturating_record(micros(began));
                figures.short_lists += usize::from(listed < publishers::COUNT);
                figures.unhealthy_lists += usize::from(healthy < listed);
            }
            Err(error) => {
                figures.lists_failed += 1;
                figures.last_failure = format!("list: {error:#}");
            }
        });
    }
}

async fn write(node: SocketAddr, notes: Notes) {
    let (mut kept, mut ticks) = (Kept::to(node), ticks(WRITE_EVERY));
    for number in 0_u32.. {
        ticks.tick().await;
        // The same few again and again: no scene is to grow by this.
        let spec = http::Spec::persistent("live-written", "10.8.0.1", 1 + (number % 8) as u16);
        let spec = spec.with_metadata(format!(r#"{{"n":"{number}"}}"#));
        let began = Instant::now();
        let answer = kept.call(&spec.register(), WRITTEN_WITHIN).await.and_then(Answer::ok);
        notes.note(|figures| match answer {
            Ok(_) => figures.writes.saturating_record(micros(began)),
            Err(error) => {
                figures.writes_failed += 1;
                figures.last_failure = format!("write: {error:#}");
            }
        });
    }
}

async fn come_and_go(node: SocketAddr, notes: Notes) {
    let (request, mut ticks) = (http::list(publishers::SERVICE), ticks(NEWCOMER_EVERY));
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let answer = Kept::to(node).call(&request, ANSWER_WITHIN).await.and_then(Answer::ok);
        notes.note(|figures| match answer {
            Ok(_) => figures.newcomers.saturating_record(micros(began)),
            Err(error) => {
                figures.newcomers_failed += 1;
                figures.last_failure = format!("newcomer: {error:#}");
            }
        });
    }
}

async fn come_and_go_by_grpc(grpc: SocketAddr, notes: Notes) {
    let (grpc, mut ticks) = (grpc.to_string(), ticks(NEWCOMER_EVERY));
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let connecting = tokio::time::timeout(ANSWER_WITHIN, GrpcClient::connect(&grpc));
        let is_connected = matches!(connecting.await, Ok(Ok(_)));
        notes.note(|figures| match is_connected {
            true => figures.newcomers_grpc.saturating_record(micros(began)),
            false => figures.newcomers_grpc_failed += 1,
        });
    }
}

impl Figures {
    /// Adds what was noticed at another time.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.beats, &other.beats),
            (&mut self.lists, &other.lists),
            (&mut self.pushed_udp, &other.pushed_udp),
            (&mut self.pushed_grpc, &other.pushed_grpc),
            (&mut self.writes, &other.writes),
            (&mut self.newcomers, &other.newcomers),
            (&mut self.newcomers_grpc, &other.newcomers_grpc),
        ] {
            mine.add(others).expect("both have the same bounds");
        }
        self.beats_failed += other.beats_failed;
        self.lists_failed += other.lists_failed;
        self.writes_failed += other.writes_failed;
        self.newcomers_failed += other.newcomers_failed;
        self.newcomers_grpc_failed += other.newcomers_grpc_failed;
        self.short_lists += other.short_lists;
        self.unhealthy_lists += other.unhealthy_lists;
        self.grpc_reconnects += other.grpc_reconnects;
        if !other.last_failure.is_empty() {
            self.last_failure.clone_from(&other.last_failure);
        }
    }

    /// What became of the publishers: the one thing that holds in every scene.
    pub(crate) fn hold_nobody_lost(&self, report: &mut Report) {
        let seen = format!(
            "{} lists, {} short, {} with someone unhealthy; {} of {} beats failed",
            self.lists.len(),
            self.short_lists,
            self.unhealthy_lists,
            self.beats_failed,
            self.beats.len() as usize + self.beats_failed
        );
        let is_kept = !self.lists.is_empty() && self.short_lists == 0 && self.unhealthy_lists == 0;
        report.hold("no living publisher is missing or unhealthy", is_kept, seen);
    }

    /// Who has a connection goes on without an error.
    pub(crate) fn hold_nothing_failed(&self, report: &mut Report) {
        let failed = self.beats_failed + self.lists_failed + self.writes_failed + self.grpc_reconnects;
        let mut seen = format!(
            "{} beats, {} lists, {} writes, {} gRPC connections failed",
            self.beats_failed, self.lists_failed, self.writes_failed, self.grpc_reconnects
        );
        if failed > 0 {
            seen = format!("{seen}; last: {}", self.last_failure);
        }
        report.hold("clients that are connected notice no error", failed == 0, seen);
    }

    /// Pushes came.
    pub(crate) fn hold_pushed(&self, report: &mut Report) {
        let (udp, grpc) = (self.pushed_udp.len(), self.pushed_grpc.len());
        let seen = format!("{udp} by UDP, {grpc} by gRPC");
        report.hold("live subscribers are told of changes", udp > 0 && grpc > 0, seen);
    }

    /// Delays as figures of the report: half / 99 % / longest.
    pub(crate) fn figures(&self, when: &str, report: &mut Report) {
        for (name, micros) in [
            ("beat", &self.beats),
            ("list", &self.lists),
            ("push by UDP", &self.pushed_udp),
            ("push by gRPC", &self.pushed_grpc),
            ("persistent write", &self.writes),
            ("newcomer", &self.newcomers),
            ("newcomer by gRPC", &self.newcomers_grpc),
        ] {
            report.figure(format!("{name} {when}"), quantiles(micros));
        }
        if self.newcomers_failed > 0 {
            report.figure(format!("newcomers refused {when}"), self.newcomers_failed.to_string());
        }
    }
}
