//! What was done, what was acknowledged, and what went wrong.

use crate::dice::Dice;
use crate::http::{self, Answer, Connection, Spec};
use crate::report::Report;
use anyhow::{Context, Result, ensure};
use muster_testkit::{Cluster, Listed};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Kept of what went wrong; more are counted.
const ERRORS_KEPT: usize = 20;
/// Of a hundred writes, those whose writer lists at once.
const READ_AFTER: usize = 10;
/// A follower hears of what is committed with the next message of the leader, which beats every 100 ms.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How far the soak is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Churn,
    /// Nothing changes any more; who is there beats on.
    Still,
    Over,
}

#[derive(Default)]
struct Pages {
    /// By service: who is registered, as acknowledged.
    services: BTreeMap<String, BTreeSet<String>>,
    errors: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

/// Shared by all workers.
#[derive(Clone)]
pub(super) struct Book {
    pub(super) nodes: Arc<[SocketAddr]>,
    pub(super) grpc: Arc<[SocketAddr]>,
    pages: Arc<Mutex<Pages>>,
    errors: Arc<AtomicU64>,
    operations: Arc<AtomicU64>,
    phase: Arc<watch::Sender<Phase>>,
    dice: Arc<Mutex<Dice>>,
}

impl Book {
    pub(super) fn new(cluster: &Cluster, seed: u64) -> Result<Self> {
        let parsed = |addresses: Vec<String>| -> Result<Arc<[SocketAddr]>> {
            addresses.iter().map(|address| Ok(address.parse()?)).collect()
        };
        Ok(Self {
            nodes: parsed(cluster.addresses())?,
            grpc: parsed(cluster.grpc_addresses())?,
            pages: Arc::default(),
            errors: Arc::default(),
            operations: Arc::default(),
            phase: Arc::new(watch::Sender::new(Phase::Churn)),
            dice: Arc::new(Mutex::new(Dice::new(seed))),
        })
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dice(&self) -> Dice {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).another()
    }

    pub(super) fn go(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Sleeps, but not past the end of the churn.
    pub(super) async fn rest(&self, time: Duration) {
        let mut phase = self.phase.subscribe();
        // whichever comes first
        let _ = tokio::time::timeout(time, phase.wait_for(|phase| *phase != Phase::Churn)).await;
    }

    pub(super) fn count(&self, what: &'static str) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        *self.pages().counts.entry(what).or_default() += 1;
    }

    pub(super) fn error(&self, what: &str, error: &anyhow::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut pages = self.pages();
        if pages.errors.len() < ERRORS_KEPT {
            pages.errors.push(format!("{what}: {error:#}"));
        }
    }

    pub(super) fn joined(&self, service: &str, address: String) {
        self.pages()
            .services
            .entry(service.to_owned())
            .or_default()
            .insert(address);
    }

    pub(super) fn left(&self, service: &str, address: &str) {
        if let Some(addresses) = self.pages().services.get_mut(service) {
            addresses.remove(address);
        }
    }

    /// Nobody uses the name again; that its list is empty was looked at.
    pub(super) fn forget(&self, service: &str) {
        self.pages().services.remove(service);
    }

    pub(super) fn services(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.pages().services.clone()
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self, report: &mut Report) {
        let pages = self.pages();
        let counts: Vec<_> = pages
            .counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        report.figure("done", counts.join(", "));
        let mut seen = format!("{} of {} operations", self.errors(), self.operations());
        for error in &pages.errors {
            seen = format!("{seen}; {error}");
        }
        report.hold(
            "nothing is answered with an error, and writes are read",
            self.errors() == 0,
            seen,
        );
    }
}

/// A worker's connection to one node. Everything that goes wrong on it is noted.
pub(super) struct Desk {
    pub(super) book: Book,
    pub(super) dice: Dice,
    node: SocketAddr,
    connection: Option<Connection>,
}

impl Desk {
    pub(super) fn new(book: &Book, node: usize) -> Self {
        Self {
            dice: book.dice(),
            node: book.nodes[node % book.nodes.len()],
            book: book.clone(),
            connection: None,
        }
    }

    async fn call(&mut self, request: &[u8]) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.node, ANSWER_WITHIN).await?,
        };
        let answer = connection.call(request, ANSWER_WITHIN).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// A call that must be answered well; says whether it was.
    pub(super) async fn ask(&mut self, what: &'static str, request: &[u8]) -> bool {
        self.book.count(what);
        match self.call(request).await.and_then(Answer::ok) {
            Ok(_) => true,
            Err(error) => {
                self.book.error(what, &error.context(self.node.to_string()));
                false
            }
        }
    }

    pub(super) async fn register(&mut self, what: &'static str, spec: &Spec) -> bool {
        let done = self.ask(what, &spec.register()).await;
        if done {
            self.book.joined(&spec.service, spec.address());
            self.look(spec, true).await;
        }
        done
    }

    pub(super) async fn deregister(&mut self, what: &'static str, spec: &Spec) -> bool {
        let done = self.ask(what, &spec.deregister()).await;
        if done {
            self.book.left(&spec.service, &spec.address());
            self.look(spec, false).await;
        }
        done
    }

    /// Now and then, whether this node shows what it has just acknowledged: an ephemeral write at once, a persistent one when
    /// it has heard of it, for the leader answers when it has applied it itself.
    async fn look(&mut self, spec: &Spec, is_there: bool) {
        if !self.dice.percent(READ_AFTER) {
            return;
        }
        self.book.count("own writes read");
        let until = Instant::now() + if spec.ephemeral { Duration::ZERO } else { HEARD_WITHIN };
        loop {
            let found = self.list(&spec.service).await.and_then(|listed| {
                let found = listed.all.contains(&spec.address());
                let not = if found { "" } else { "not " };
                ensure!(found == is_there, "{} is {not}listed", spec.address());
                Ok(())
            });
            match found {
                Ok(()) => return,
                Err(_) if Instant::now() < until => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return self.book.error("own write", &error.context(spec.service.clone())),
            }
        }
    }

    pub(super) async fn list(&mut self, service: &str) -> Result<Listed> {
        let answer = self.call(&http::list(service)).await?.ok()?;
        Listed::parse(&serde_json::from_slice(&answer).context("a list that is no JSON")?)
    }

    /// The next call comes by a new connection.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }
}
