//! The shell around one shard's engine: takes changes in, carries tries out.

use crate::delivery::{Sink, Snapshots};
use crate::engine::{Due, Engine, Occasion, Try};
use crate::token::{Issuer, Topics};
use crate::{Config, Handed, metrics};
use muster_model::{ServiceKey, ServiceSnapshot};
use muster_runtime::{Clock, Shutdown};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// Tries per round: few enough that a newest list asked for at its begin is sent within a millisecond or so, and that
/// the runtime's other tasks get their turn.
const TRIES_PER_ROUND: usize = 64;

/// What all shards of a node use.
pub(crate) struct Shared {
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) clock: Clock,
    pub(crate) issuer: Issuer,
    pub(crate) topics: Topics,
}

pub(crate) struct Shard {
    index: usize,
    /// Held for a batch of rules at a time; never while rendering or sending.
    engine: Mutex<Engine>,
    /// Services that changed and how often since the last round. Only those with subscribers here come in, so it is
    /// bounded by the subscriptions.
    changed: Mutex<HashMap<ServiceKey, u32>>,
    wake: Notify,
    /// Held through a round, so that a subscriber's tries leave in the order they were begun.
    round: Mutex<()>,
}

/// What a round left.
pub(crate) struct Left {
    pub(crate) more: bool,
    pub(crate) next_wake: Option<Instant>,
}

impl Shard {
    pub(crate) fn new(index: usize, config: Config) -> Self {
        Self {
            index,
            engine: Mutex::new(Engine::new(config)),
            changed: Mutex::default(),
            wake: Notify::new(),
            round: Mutex::new(()),
        }
    }

    pub(crate) fn changed(&self, service: &ServiceKey) {
        let mut changed = self.changed.lock();
        match changed.get_mut(service) {
            Some(changes) => *changes = changes.saturating_add(1),
            None => {
                changed.insert(service.clone(), 1);
            }
        }
        drop(changed);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Applies rules to the engine and keeps the gauges right.
    pub(crate) fn with_engine<T>(&self, rules: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock();
        let (kept, in_flight, failed) = (engine.len(), engine.in_flight(), engine.tally().failed);
        let outcome = rules(&mut engine);
        metrics::SUBSCRIPTIONS.add(engine.len() as i64 - kept as i64);
        metrics::IN_FLIGHT.add(engine.in_flight() as i64 - in_flight as i64);
        metrics::GIVEN_UP.inc_by(engine.tally().failed - failed);
        outcome
    }

    /// Applies rules that may end subscriptions, and gives back what these took. `on_ended` hears how many there were.
    pub(crate) fn ending<T>(
        &self,
        shared: &Shared,
        on_ended: &impl Fn(usize),
        rules: impl FnOnce(&mut Engine) -> T,
    ) -> T {
        self.with_engine(|engine| {
            let kept = engine.len();
            let outcome = rules(engine);
            on_ended(kept - engine.len());
            for service in &engine.take_abandoned() {
                shared.topics.leave(service, self.index);
            }
            outcome
        })
    }

    /// Runs until shutdown.
    pub(crate) async fn run(&self, shared: &Shared, on_ended: impl Fn(usize), shutdown: Shutdown) {
        while !shutdown.has_begun() {
            let left = self.round(shared, &on_ended);
            if left.more {
                tokio::task::yield_now().await;
                continue;
            }
            let timer = async {
                match left.next_wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.begun() => {}
                () = self.wake.notified() => {}
                () = timer => {}
            }
        }
    }

    /// Does what is due now, at most [`TRIES_PER_ROUND`] tries. `on_ended` hears how many subscriptions ended.
    pub(crate) fn round(&self, shared: &Shared, on_ended: &impl Fn(usize)) -> Left {
        let _alone = self.round.lock();
        let due = self.due(shared, on_ended);
        let tries = self.begin(shared, &due);
        let outcomes: Vec<(Try, Handed)> = tries.into_iter().map(|tried| carry_out(shared, tried)).collect();
        let now = shared.clock.now();
        let next_wake = self.ending(shared, on_ended, |engine| {
            for (tried, outcome) in &outcomes {
                engine.handed(tried, *outcome, now);
            }
            engine.next_wake()
        });
        Left {
            more: due.more,
            next_wake,
        }
    }

    fn due(&self, shared: &Shared, on_ended: &impl Fn(usize)) -> Due {
        let changed = std::mem::take(&mut *self.changed.lock());
        let now = shared.clock.now();
        self.ending(shared, on_ended, |engine| {
            for (service, changes) in &changed {
                engine.changed(service, *changes, now);
            }
            engine.due(TRIES_PER_ROUND, now)
        })
    }

    fn begin(&self, shared: &Shared, due: &Due) -> Vec<Try> {
        // One look for a run of tries of one service: they are begun in the same moment.
        let mut newest: Vec<Arc<ServiceSnapshot>> = Vec::with_capacity(due.tries.len());
        for (_, service) in &due.tries {
            let same = newest.last().filter(|last| last.key == *service).cloned();
            newest.push(same.unwrap_or_else(|| shared.snapshots.newest(service)));
        }
        if due.tries.is_empty() {
            return Vec::new();
        }
        let now = shared.clock.now();
        let token = |snapshot: &ServiceSnapshot, clusters: &str| {
            shared
                .topics
                .token(snapshot, clusters, || shared.issuer.issue(&shared.clock))
        };
        self.with_engine(|engine| {
            let begun = due.tries.iter().zip(&newest);
            begun
                .filter_map(|((id, _), snapshot)| engine.begin(*id, snapshot, token, now))
                .collect()
        })
    }
}

fn carry_out(shared: &Shared, tried: Try) -> (Try, Handed) {
    let outcome = shared.sink.deliver(&tried.delivery);
    let via = metrics::via(&tried.delivery.key.target);
    metrics::DELIVERIES
        .with_label_values(&[via, metrics::outcome_label(outcome)])
        .inc();
    if let (Handed::Sent, Some(trace)) = (outcome, &tried.delivery.snapshot.trace)
        && tried.occasion != Occasion::Welcome
    {
        let age = shared
            .clock
            .now()
            .saturating_duration_since(trace.received)
            .as_secs_f64();
        metrics::SENT_AGE.with_label_values(&[via]).observe(age);
        if tried.occasion == Occasion::Prompt {
            metrics::DELAY.with_label_values(&[via]).observe(age);
        }
    }
    tracing::trace!(
        service = %tried.delivery.key.service,
        target = %tried.delivery.key.target,
        revision = tried.delivery.snapshot.revision,
        token = tried.delivery.token,
        ?outcome,
        "push"
    );
    (tried, outcome)
}
