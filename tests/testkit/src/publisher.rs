//! Ephemeral instances of a client that is alive.

use crate::http::Http;
use crate::v1::{Spec, V1};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a node that stands still takes, the client takes elsewhere.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Is told of each registration and beat that was answered well, with the time that it was sent.
type Noted = Arc<dyn Fn(&Spec, Instant) + Send + Sync>;

/// Registers instances and beats for them as an unmodified client does: at one node, and at the next one when that fails.
/// Dropped, it falls silent at once, as a client that dies.
pub struct Publisher {
    pub specs: Vec<Spec>,
    failed: Arc<AtomicUsize>,
    _beats: JoinSet<()>,
}

impl Publisher {
    /// Registers all of them, spread over the nodes, and beats from then on.
    ///
    /// # Errors
    /// A registration that no node takes.
    pub async fn start(
        http: &Http,
        addresses: &[String],
        specs: Vec<Spec>,
        beat_every: Duration,
    ) -> anyhow::Result<Self> {
        Self::start_noting(http, addresses, specs, beat_every, |_, _| {}).await
    }

    /// As [`Publisher::start`]; `noted` is told of each registration and beat that was answered well, and when it was sent.
    ///
    /// # Errors
    /// As [`Publisher::start`].
    pub async fn start_noting(
        http: &Http,
        addresses: &[String],
        specs: Vec<Spec>,
        beat_every: Duration,
        noted: impl Fn(&Spec, Instant) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let noted: Noted = Arc::new(noted);
        let nodes: Arc<[V1]> = addresses.iter().map(|it| V1::new(http.clone(), it.clone())).collect();
        let failed = Arc::new(AtomicUsize::new(0));
        let mut beats = JoinSet::new();
        for (number, spec) in specs.iter().cloned().enumerate() {
            let node = number % nodes.len();
            let sent = Instant::now();
            nodes[node].register(&spec).await?.ok()?;
            noted(&spec, sent);
            let beating = beat(nodes.clone(), node, spec, beat_every, noted.clone(), failed.clone());
            beats.spawn(beating);
        }
        Ok(Self {
            specs,
            failed,
            _beats: beats,
        })
    }

    /// Beats that a node did not answer well, each sent again to the next one.
    pub fn beats_failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    /// `ip:port` of all.
    pub fn published(&self) -> impl Iterator<Item = String> + '_ {
        self.specs.iter().map(Spec::address)
    }
}

async fn beat(nodes: Arc<[V1]>, mut node: usize, spec: Spec, every: Duration, noted: Noted, failed: Arc<AtomicUsize>) {
    loop {
        tokio::time::sleep(every).await;
        for _ in 0..nodes.len() {
            let sent = Instant::now();
            let answer = tokio::time::timeout(ANSWER_WITHIN, nodes[node].beat(&spec)).await;
            if matches!(&answer, Ok(Ok(answer)) if answer.status == 200) {
                noted(&spec, sent);
                break;
            }
            failed.fetch_add(1, Ordering::Relaxed);
            node = (node + 1) % nodes.len();
        }
    }
}
