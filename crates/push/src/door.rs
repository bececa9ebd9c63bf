use crate::delivery::Mark;
use crate::engine::SubscriptionId;
use crate::shard::{Shard, Shared};
use crate::target::Recipient;
use crate::token::{Issuer, Topics};
use crate::{Config, Counts, Listed, Sink, Snapshots, Subscribed, SubscriptionInfo, SubscriptionKey, metrics};
use muster_model::{ConnectionId, ServiceKey, ServiceSnapshot};
use muster_runtime::{Clock, TaskKind, Tasks};
use parking_lot::Mutex;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Shards per node. More than a small machine has cores, so that a host whose datagrams are costly shares with few.
const SHARDS: usize = 8;

/// Acks from addresses nothing was sent to that are looked into; each asks every shard.
const STRANGERS_PER_SECOND_MAX: u32 = 1_000;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    shared: Shared,
    shards: Vec<Shard>,
    subscriptions_max: usize,
    /// Over all shards; `subscriptions <= subscriptions_max`.
    subscriptions: AtomicUsize,
    gate: Mutex<Gate>,
    strangers: Mutex<Strangers>,
    /// The first ack from another address was said aloud; the rest are only counted.
    stranger_logged: AtomicBool,
}

/// What pushing waits for. Nothing is sent unless both hold.
#[derive(Clone, Copy)]
struct Gate {
    open: bool,
    enabled: bool,
}

/// Strange acks of the present second.
struct Strangers {
    since: Instant,
    seen: u32,
}

impl Push {
    /// Starts the workers; pushes nothing before [`Push::open`].
    pub fn start(
        config: Config,
        snapshots: Arc<dyn Snapshots>,
        sink: Arc<dyn Sink>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        metrics::register();
        let config = config.bounded();
        let since = clock.now();
        let push = Self(Arc::new(Inner {
            shards: (0..SHARDS).map(|index| Shard::new(index, config.clone())).collect(),
            subscriptions_max: config.subscriptions_max,
            shared: Shared {
                snapshots,
                sink,
                clock,
                issuer: Issuer::default(),
                topics: Topics::default(),
            },
            subscriptions: AtomicUsize::new(0),
            gate: Mutex::new(Gate {
                open: false,
                enabled: true,
            }),
            strangers: Mutex::new(Strangers { since, seen: 0 }),
            stranger_logged: AtomicBool::new(false),
        }));
        for index in 0..SHARDS {
            let inner = push.0.clone();
            let shutdown = tasks.shutdown().clone();
            tasks.spawn("push", TaskKind::Critical, async move {
                inner.shards[index]
                    .run(&inner.shared, |ended| inner.ended(ended), shutdown)
                    .await;
            });
        }
        push
    }

    /// Allows pushing: the node's state is loaded, so no list is short from our own ignorance (G7).
    pub fn open(&self) {
        self.0.set_gate(|gate| gate.open = true);
    }

    /// `pushEnabled`: off, nothing is sent; subscriptions are kept.
    pub fn set_enabled(&self, enabled: bool) {
        self.0.set_gate(|gate| gate.enabled = enabled);
    }

    /// Adds or renews a subscription. `seen` is the snapshot that the caller answers with.
    ///
    /// To an address it counts as told, unless a datagram went out since the poll before, in which case Java clients drop
    /// the answer. To a connection it does not, because listeners of the Rust SDK hear of pushes alone: a new subscription,
    /// and one whose clusters differ from before, is pushed once, [`Config::welcome_after`] later. The same again renews,
    /// and nothing is pushed.
    pub fn subscribe(&self, key: SubscriptionKey, info: SubscriptionInfo, seen: &ServiceSnapshot) -> Subscribed {
        let inner = &*self.0;
        let key = SubscriptionKey {
            target: key.target.canonical(),
            ..key
        };
        let index = shard_of(key.target.recipient());
        let shard = &inner.shards[index];
        let (seen, now) = (Mark::of(seen), inner.shared.clock.now());
        let answer = shard.with_engine(|engine| {
            if let Some(answer) = engine.renew(&key, &info, seen, now) {
                return Some(answer);
            }
            inner.reserve().then_some(())?;
            let service = key.service.clone();
            let added = engine.add(key, info, seen, now);
            match added {
                Some(_) => inner.shared.topics.join(&service, index),
                None => inner.ended(1),
            }
            added
        });
        match answer {
            Some(answer) => {
                shard.wake();
                answer
            }
            None => {
                metrics::REFUSED.inc();
                Subscribed::Refused
            }
        }
    }

    /// A service has a newer snapshot. Cheap; called for every change.
    pub fn changed(&self, service: &ServiceKey) {
        let mut shards = self.0.shared.topics.shards_of(service);
        while shards != 0 {
            self.0.shards[shards.trailing_zeros() as usize].changed(service);
            shards &= shards - 1;
        }
    }

    /// A subscriber says it has what `token` carried. `from` is where the ack came from, which NAT may have changed.
    pub fn acked(&self, token: u64, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let now = self.0.shared.clock.now();
        let shard = &self.0.shards[shard_of(Recipient::Address(from))];
        let (matched, ready) = shard.with_engine(|engine| (engine.acked(token, from, now), engine.has_ready()));
        if ready {
            shard.wake();
        }
        let outcome = if matched {
            "matched"
        } else if self.0.acked_from_elsewhere(token, from, now) {
            "other_address"
        } else {
            "unmatched"
        };
        metrics::ACKS.with_label_values(&[metrics::UDP, outcome]).inc();
    }

    /// A connection's client says it has what `token` carried.
    pub fn acked_by(&self, token: u64, connection: ConnectionId) {
        let now = self.0.shared.clock.now();
        let shard = self.0.shard_of(connection);
        let (matched, ready) =
            shard.with_engine(|engine| (engine.acked_by(token, connection, now), engine.has_ready()));
        if ready {
            shard.wake();
        }
        let outcome = if matched { "matched" } else { "unmatched" };
        metrics::ACKS.with_label_values(&[metrics::STREAM, outcome]).inc();
    }

    /// Ends a connection's subscription to a service, whatever its clusters; says whether there was one.
    pub fn unsubscribe(&self, service: &ServiceKey, connection: ConnectionId) -> bool {
        let inner = &*self.0;
        let ended = |subscriptions| inner.ended(subscriptions);
        inner
            .shard_of(connection)
            .ending(&inner.shared, &ended, |engine| engine.unsubscribe(service, connection))
    }

    /// Ends everything that a connection subscribed to. Call it when the connection has ended and no request of it is
    /// under way; a subscription that comes later all the same is dropped when its first push finds nobody.
    pub fn end(&self, connection: ConnectionId) {
        let inner = &*self.0;
        let ended = |subscriptions| inner.ended(subscriptions);
        inner
            .shard_of(connection)
            .ending(&inner.shared, &ended, |engine| engine.end(connection));
    }

    /// What a connection subscribes to.
    pub fn subscriptions_of(&self, connection: ConnectionId) -> Vec<Listed> {
        let shard = self.0.shard_of(connection);
        shard.with_engine(|engine| engine.listed_of(connection))
    }

    pub fn subscriptions(&self, of: &dyn Fn(&ServiceKey) -> bool) -> Vec<Listed> {
        let shards = self.0.shards.iter();
        shards
            .flat_map(|shard| shard.with_engine(|engine| engine.listed(of)))
            .collect()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.0.shards {
            let (kept, tally) = shard.with_engine(|engine| (engine.len(), engine.tally()));
            counts.subscriptions += kept;
            counts.deliveries += tally.deliveries;
            counts.acked += tally.acked;
            counts.failed += tally.failed;
        }
        counts
    }

    /// Sends what is due now or waits for merging, at most for `deadline`. Works after shutdown began, too.
    pub async fn drain(&self, deadline: Duration) {
        let inner = &*self.0;
        let ends = inner.shared.clock.now() + deadline;
        for shard in &inner.shards {
            // Brings the changes in first; they are hurried next.
            shard.round(&inner.shared, &|ended| inner.ended(ended));
            shard.with_engine(|engine| engine.hurry(inner.shared.clock.now()));
            while shard.round(&inner.shared, &|ended| inner.ended(ended)).more {
                if inner.shared.clock.now() >= ends {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Inner {
    fn set_gate(&self, set: impl FnOnce(&mut Gate)) {
        let mut gate = self.gate.lock();
        set(&mut gate);
        let allowed = gate.open && gate.enabled;
        for shard in &self.shards {
            shard.with_engine(|engine| engine.set_allowed(allowed));
            shard.wake();
        }
    }

    fn shard_of(&self, connection: ConnectionId) -> &Shard {
        &self.shards[shard_of(Recipient::Connection(connection))]
    }

    fn reserve(&self) -> bool {
        let taken = |kept: usize| (kept < self.subscriptions_max).then_some(kept + 1);
        self.subscriptions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
    }

    fn ended(&self, subscriptions: usize) {
        self.subscriptions.fetch_sub(subscriptions, Ordering::Relaxed);
    }

    /// NAT changes where acks come from. One counts for the subscription that alone was sent the token, or alone with
    /// the port the ack came from.
    fn acked_from_elsewhere(&self, token: u64, from: SocketAddr, now: Instant) -> bool {
        if !self.admits_stranger(now) {
            return false;
        }
        let (mut any, mut same_port) = (Vec::new(), Vec::new());
        for (index, shard) in self.shards.iter().enumerate() {
            let holders = shard.with_engine(|engine| engine.holders(token, from.port()));
            let here = |id: &SubscriptionId| (index, *id);
            any.extend(holders.any.iter().map(here));
            same_port.extend(holders.same_port.iter().map(here));
        }
        let (index, id) = match (same_port.as_slice(), any.as_slice()) {
            ([one], _) | ([], [one]) => *one,
            _ => return false,
        };
        // From loopback the ack comes from this very host, whichever of its addresses was asked for: nobody else can send it.
        let proves_address = from.ip().is_loopback();
        self.shards[index].with_engine(|engine| engine.accept(id, token, proves_address, now));
        self.shards[index].wake();
        if !self.stranger_logged.swap(true, Ordering::Relaxed) {
            tracing::info!(%from, token, "an ack came from another address than it was sent to; further ones are counted");
        }
        true
    }

    fn admits_stranger(&self, now: Instant) -> bool {
        let mut strangers = self.strangers.lock();
        if now.saturating_duration_since(strangers.since) >= Duration::from_secs(1) {
            *strangers = Strangers { since: now, seen: 0 };
        }
        strangers.seen += 1;
        strangers.seen <= STRANGERS_PER_SECOND_MAX
    }
}

/// All ports of a host share a shard, so that a slow or hostile one hurts no other shard. Connections are numbered in
/// turn, so that those of one host spread evenly.
fn shard_of(recipient: Recipient) -> usize {
    match recipient {
        Recipient::Address(address) => {
            let mut hasher = DefaultHasher::new();
            address.ip().hash(&mut hasher);
            hasher.finish() as usize % SHARDS
        }
        Recipient::Connection(ConnectionId(number)) => (number % SHARDS as u64) as usize,
    }
}

#[cfg(test)]
mod tests;
