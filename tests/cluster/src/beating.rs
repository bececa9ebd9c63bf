//! Instances that beat, and the memory of when each was last heard.

use muster_testkit::{Http, Spec, V1};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const BEAT_EVERY: Duration = Duration::from_secs(1);
/// What a node that stands still takes, the client takes elsewhere.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// From an answer to a beat until its node has told the others (once a second), and a look of the watch in flight.
const SPREAD_WITHIN: Duration = Duration::from_millis(1_500);

/// When the last beat of each instance was sent that was answered well.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastBeats(Arc<Mutex<BTreeMap<String, Instant>>>);

impl LastBeats {
    fn note(&self, address: &str, sent: Instant) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.insert(address.to_owned(), sent);
    }

    /// Those whose last beat before now is older than `timeout` allows: a machine that gives the client or its node no time
    /// for so long shows nothing about the others. Of who does not beat, nothing is known.
    pub(crate) fn silent(&self, timeout: Duration) -> Vec<String> {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = timeout.saturating_sub(SPREAD_WITHIN);
        let silent = beats.iter().filter(|(_, sent)| sent.elapsed() > limit);
        silent.map(|(address, _)| address.clone()).collect()
    }
}

/// Registers instances and beats for them every second, as a 1.x client does: at one node, and at the next when that fails.
pub struct Beating {
    specs: Vec<Spec>,
    pub(crate) last: LastBeats,
    failed: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Beating {
    /// Registers all, spread over the nodes, and beats from then on.
    ///
    /// # Errors
    /// A registration that a node does not take.
    pub async fn start(http: &Http, addresses: &[String], specs: Vec<Spec>) -> anyhow::Result<Self> {
        let nodes: Arc<[V1]> = addresses.iter().map(|it| V1::new(http.clone(), it.clone())).collect();
        let (last, failed, mut tasks) = (LastBeats::default(), Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for (number, spec) in specs.iter().cloned().enumerate() {
            let node = number % nodes.len();
            let sent = Instant::now();
            nodes[node].register(&spec).await?.ok()?;
            last.note(&spec.address(), sent);
            tasks.spawn(beat(nodes.clone(), node, spec, last.clone(), failed.clone()));
        }
        Ok(Self {
            specs,
            last,
            failed,
            _tasks: tasks,
        })
    }

    /// `ip:port` of all.
    pub fn published(&self) -> impl Iterator<Item = String> + '_ {
        self.specs.iter().map(Spec::address)
    }

    /// Beats that a node did not answer well, each sent again to the next one.
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

async fn beat(nodes: Arc<[V1]>, mut node: usize, spec: Spec, last: LastBeats, failed: Arc<AtomicUsize>) {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        for _ in 0..nodes.len() {
            let sent = Instant::now();
            let answer = tokio::time::timeout(ANSWER_WITHIN, nodes[node].beat(&spec)).await;
            if matches!(&answer, Ok(Ok(answer)) if answer.status == 200) {
                last.note(&spec.address(), sent);
                break;
            }
            failed.fetch_add(1, Ordering::Relaxed);
            node = (node + 1) % nodes.len();
        }
    }
}
