//! Instances that beat, and the memory of when each was last heard.

use muster_testkit::{Http, Publisher, Spec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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

/// Instances that beat, and when each was last heard.
pub struct Beating {
    publisher: Publisher,
    pub(crate) last: LastBeats,
}

impl Beating {
    /// As [`Publisher::start`].
    ///
    /// # Errors
    /// As [`Publisher::start`].
    pub async fn start(
        http: &Http,
        addresses: &[String],
        specs: Vec<Spec>,
        beat_every: Duration,
    ) -> anyhow::Result<Self> {
        let last = LastBeats::default();
        let noting = last.clone();
        let noted = move |spec: &Spec, sent| noting.note(spec, sent);
        let publisher = Publisher::start_noting(http, addresses, specs, beat_every, noted).await?;
        Ok(Self { publisher, last })
    }

    /// `ip:port` of all.
    pub fn published(&self) -> impl Iterator<Item = String> + '_ {
        self.publisher.published()
    }

    /// Takes those of `lacking` out of whom nothing can be asked, since their own beats did not get through for `timeout`;
    /// answers how many.
    pub fn excuse(&self, service: &str, timeout: Duration, lacking: &mut BTreeSet<String>) -> usize {
        self.last.excuse(service, timeout, lacking)
    }

    /// Beats that a node did not answer well, each sent again to the next one.
    pub fn failed(&self) -> usize {
        self.publisher.beats_failed()
    }
}
