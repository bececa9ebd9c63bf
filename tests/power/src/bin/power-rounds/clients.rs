//! Clients that register, edit and deregister persistent instances, each its own, at all nodes.
//!
//! Each instance belongs to one client, which has one call under way at a time, so what may be found of it is known: what the last
//! acknowledged call left, or, where nobody knows whether a later call was carried out, either. An instance of which that is not known
//! is left alone until it has been looked at: a call that comes late must not be taken for a wrong answer.

use hyper::Method;
use hyper_util::client::legacy::Error;
use muster_power::Random;
use muster_testkit::Http;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

const CLIENTS: usize = 12;
const INSTANCES_EACH: usize = 12;
const PATH: &str = "/nacos/v1/ns/instance";
/// After a call that was not acknowledged.
const PAUSE: Duration = Duration::from_millis(20);

/// What was last written of an instance; none: it is not there.
pub(crate) type Version = Option<u64>;

/// What may be found of an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) possible: BTreeSet<Version>,
    /// The last call has no answer that says what became of it.
    pub(crate) unsettled: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            possible: BTreeSet::from([None]),
            unsettled: false,
        }
    }
}

/// What all clients know.
#[derive(Clone)]
pub(crate) struct Book {
    pages: Arc<[Mutex<Vec<Known>>]>,
    /// No two writes are the same, over all lives.
    next: Arc<AtomicU64>,
    pub(crate) counts: Arc<Counts>,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) registered: AtomicU64,
    pub(crate) edited: AtomicU64,
    pub(crate) deregistered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            pages: (0..CLIENTS)
                .map(|_| Mutex::new(vec![Known::default(); INSTANCES_EACH]))
                .collect(),
            next: Arc::new(AtomicU64::new(1)),
            counts: Arc::default(),
        }
    }

    /// Forgets what was written; the counts stay.
    pub(crate) fn begin_anew(&self) {
        for client in 0..CLIENTS {
            self.page(client).fill(Known::default());
        }
    }

    pub(crate) fn clients(&self) -> std::ops::Range<usize> {
        0..CLIENTS
    }

    pub(crate) fn page(&self, client: usize) -> MutexGuard<'_, Vec<Known>> {
        self.pages[client].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn acknowledged(&self) -> u64 {
        let counts = [&self.registered, &self.edited, &self.deregistered];
        counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// The service of one client.
pub(crate) fn service(client: usize) -> String {
    format!("power-{client}")
}

/// Where an instance of a client is.
pub(crate) fn address(client: usize, instance: usize) -> (String, u16) {
    (format!("127.1.{client}.1"), instance as u16 + 1)
}

/// The clients at work; dropped, they stop where they are.
pub(crate) struct Clients {
    tasks: JoinSet<()>,
}

impl Clients {
    pub(crate) fn start(http: &Http, nodes: &[String], book: &Book, random: &mut Random) -> Self {
        let mut tasks = JoinSet::new();
        for number in book.clients() {
            let client = Client {
                number,
                http: http.clone(),
                nodes: nodes.to_vec(),
                book: book.clone(),
                random: Random::new(random.number()),
            };
            tasks.spawn(client.run());
        }
        Self { tasks }
    }

    /// Ends them in the middle of their calls, whose outcome then nobody knows.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Register(u64),
    Edit(u64),
    Deregister,
}

/// What is known after a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Acknowledged,
    /// Said to have done nothing.
    Refused,
    Unknown,
}

impl Call {
    fn leaves(self) -> Version {
        match self {
            Call::Register(version) | Call::Edit(version) => Some(version),
            Call::Deregister => None,
        }
    }
}

struct Client {
    number: usize,
    http: Http,
    nodes: Vec<String>,
    book: Book,
    random: Random,
}

impl Client {
    async fn run(mut self) {
        loop {
            let Some((instance, call)) = self.draw() else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let before = self.begun(instance, call);
            let outcome = self.play(instance, call).await;
            self.ended(instance, call, before, outcome);
            if outcome != Outcome::Acknowledged {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// A call on an instance of which it is known how it is.
    fn draw(&mut self) -> Option<(usize, Call)> {
        let settled: Vec<_> = {
            let page = self.book.page(self.number);
            let settled = page.iter().enumerate().filter(|(_, known)| !known.unsettled);
            settled
                .map(|(instance, known)| (instance, known.possible.contains(&None)))
                .collect()
        };
        if settled.is_empty() {
            return None;
        }
        let (instance, absent) = *self.random.one_of(&settled);
        let version = self.book.next.fetch_add(1, Ordering::Relaxed);
        let call = match self.random.below(10) {
            _ if absent => Call::Register(version),
            0..4 => Call::Register(version),
            4..7 => Call::Edit(version),
            _ => Call::Deregister,
        };
        Some((instance, call))
    }

    /// Notes the worst that can come of it, before it is sent; answers what was known.
    fn begun(&self, instance: usize, call: Call) -> Known {
        let mut page = self.book.page(self.number);
        let known = &mut page[instance];
        let before = known.clone();
        known.possible.insert(call.leaves());
        known.unsettled = true;
        before
    }

    fn ended(&self, instance: usize, call: Call, before: Known, outcome: Outcome) {
        let counts = &*self.book.counts;
        let counter = match (outcome, call) {
            (Outcome::Unknown, _) => &counts.unknown,
            (Outcome::Refused, _) => &counts.refused,
            (Outcome::Acknowledged, Call::Register(_)) => &counts.registered,
            (Outcome::Acknowledged, Call::Edit(_)) => &counts.edited,
            (Outcome::Acknowledged, Call::Deregister) => &counts.deregistered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let known = &mut self.book.page(self.number)[instance];
        match outcome {
            Outcome::Acknowledged => {
                known.possible = BTreeSet::from([call.leaves()]);
                known.unsettled = false;
            }
            Outcome::Refused => *known = before,
            Outcome::Unknown => {}
        }
    }

    async fn play(&mut self, instance: usize, call: Call) -> Outcome {
        let (ip, port) = address(self.number, instance);
        let (service, port) = (service(self.number), port.to_string());
        let metadata = format!("{{\"v\":\"{}\"}}", call.leaves().unwrap_or(0));
        let parameters = [
            ("serviceName", service.as_str()),
            ("ip", &ip),
            ("port", &port),
            ("ephemeral", "false"),
            ("metadata", &metadata),
        ];
        let method = match call {
            Call::Register(_) => Method::POST,
            Call::Edit(_) => Method::PUT,
            Call::Deregister => Method::DELETE,
        };
        let node = self.random.one_of(&self.nodes).clone();
        match self.http.call(method, &node, PATH, &parameters).await {
            Ok(answer) if answer.status == 200 => Outcome::Acknowledged,
            Ok(answer) if is_refusal(answer.status, &answer.body) => Outcome::Refused,
            Ok(_) => Outcome::Unknown,
            // Nobody was there to hear it.
            Err(error) if error.downcast_ref::<Error>().is_some_and(Error::is_connect) => Outcome::Refused,
            Err(_) => Outcome::Unknown,
        }
    }
}

/// Whether an answer says that nothing was done.
fn is_refusal(status: u16, text: &str) -> bool {
    status == 400 || status == 503 || text.contains("did not find the Leader node")
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for version in &self.possible {
            f.write_str(if first { "" } else { " or " })?;
            match version {
                Some(version) => write!(f, "version {version}")?,
                None => f.write_str("not there")?,
            }
            first = false;
        }
        Ok(())
    }
}
