//! Instances that beat, and the memory of when each was last heard.

use muster_testkit::{Http, Spec, V1};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a node that stands still takes, the client takes elsewhere.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// From an answer to a beat until its node has told the others (once a second), and a look of the watch in flight.
const SPREAD_WITHIN: Duration = Duration::from_millis(1_500);

/// A beat that was answered well.
#[derive(Clone, Copy, Debug)]
struct Beat {
    sent: Instant,
    answered: Instant,
}

/// By service and address: the beats that may still be spreading, and the one before them.
type BeatsOfAll = BTreeMap<(String, String), VecDeque<Beat>>;

/// The last beats of each instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastBeats(Arc<Mutex<BeatsOfAll>>);

impl LastBeats {
    fn note(&self, spec: &Spec, sent: Instant) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = beats.entry((spec.service.clone(), spec.address())).or_default();
        let answered = Instant::now();
        of_one.push_back(Beat { sent, answered });
        while of_one.get(1).is_some_and(|it| it.answered.elapsed() > SPREAD_WITHIN) {
            of_one.pop_front();
        }
    }

    /// Takes those of `lacking` out whose beats are, or just were, further apart than `timeout` allows, and answers how many:
    /// a machine that gives the client or its node no time for so long shows nothing about the others. Of who does not beat,
    /// nothing is known.
    pub(crate) fn excuse(&self, service: &str, timeout: Duration, lacking: &mut BTreeSet<String>) -> usize {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = timeout.saturating_sub(SPREAD_WITHIN);
        let is_silent = |address: &String| {
            let Some(of_one) = beats.get(&(service.to_owned(), address.clone())) else {
                return false;
            };
            let still = of_one.back().is_some_and(|last| last.sent.elapsed() > limit);
            let until_now = of_one
                .iter()
                .zip(of_one.iter().skip(1))
                .any(|(before, after)| after.sent - before.sent > limit && after.answered.elapsed() <= SPREAD_WITHIN);
            still || until_now
        };
        let before = lacking.len();
        lacking.retain(|address| !is_silent(address));
        before - lacking.len()
    }
}

/// Registers instances and beats for them, as a 1.x client does: at one node, and at the next when that fails.
pub struct Beating {
    specs: Vec<Spec>,
    pub(crate) last: LastBeats,
    failed: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Beating {
    /// Registers all, spread over the nodes, and beats so often from then on.
    ///
    /// # Errors
    /// A registration that a node does not take.
    pub async fn start(
        http: &Http,
        addresses: &[String],
        specs: Vec<Spec>,
        beat_every: Duration,
    ) -> anyhow::Result<Self> {
        let nodes: Arc<[V1]> = addresses.iter().map(|it| V1::new(http.clone(), it.clone())).collect();
        let (last, failed, mut tasks) = (LastBeats::default(), Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for (number, spec) in specs.iter().cloned().enumerate() {
            let node = number % nodes.len();
            let sent = Instant::now();
            nodes[node].register(&spec).await?.ok()?;
            last.note(&spec, sent);
            let beating = beat(nodes.clone(), node, spec, beat_every, last.clone(), failed.clone());
            tasks.spawn(beating);
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

    /// Takes those of `lacking` out of whom nothing can be asked, since their own beats did not get through for `timeout`;
    /// answers how many.
    pub fn excuse(&self, service: &str, timeout: Duration, lacking: &mut BTreeSet<String>) -> usize {
        self.last.excuse(service, timeout, lacking)
    }

    /// Beats that a node did not answer well, each sent again to the next one.
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

async fn beat(
    nodes: Arc<[V1]>,
    mut node: usize,
    spec: Spec,
    every: Duration,
    last: LastBeats,
    failed: Arc<AtomicUsize>,
) {
    loop {
        tokio::time::sleep(every).await;
        for _ in 0..nodes.len() {
            let sent = Instant::now();
            let answer = tokio::time::timeout(ANSWER_WITHIN, nodes[node].beat(&spec)).await;
            if matches!(&answer, Ok(Ok(answer)) if answer.status == 200) {
                last.note(&spec, sent);
                break;
            }
            failed.fetch_add(1, Ordering::Relaxed);
            node = (node + 1) % nodes.len();
        }
    }
}
