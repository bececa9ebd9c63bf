//! The rules of one shard: pure and synchronous, with the time passed in.
//!
//! ```text
//!            changed            merge over             begin            ack of the newest
//!   quiet ───────────▶ merging ────────────▶ ready ────────────▶ in flight ────────────▶ quiet
//!                                              ▲                    │ no ack in time, tries left
//!                                              ├────────────────────┘
//!                                              └── ack, and dirty meanwhile; a poll; an ack after failures
//! ```
//!
//! A subscription in flight that meets a change is marked dirty and nothing else. Each try asks for the newest list
//! again, and one that the subscriber has by then is dropped. What waits here are ids, never lists.

mod acks;

use crate::address::{Address, FAILURES_MAX};
use crate::delivery::Mark;
use crate::pace::Pace;
use crate::{Config, Delivery, Handed, Listed, Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use muster_model::{ServiceKey, ServiceSnapshot};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Services that one address may subscribe to.
const SERVICES_PER_ADDRESS_MAX: usize = 10_000;

/// How soon a delivery that the network had no room for is tried again.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// Names a subscription within its shard; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SubscriptionId(u64);

#[derive(Debug)]
struct Subscription {
    key: Arc<SubscriptionKey>,
    info: Arc<SubscriptionInfo>,
    last_seen: Instant,
    /// The newest list that the subscriber is known to have.
    told: Mark,
    /// The newest list that was ever shown to it, acked or not; nothing older follows. `told <= shown`.
    shown: Mark,
    /// There may be a list newer than `told`.
    dirty: bool,
    /// Stands in `ready`.
    queued: bool,
    /// A datagram went out since the last poll.
    sent_since_poll: bool,
    /// A poll gave one try back to a subscription that pushes do not reach.
    restored: bool,
    unacked_in_a_row: u32,
    /// Instances of the list that did not fit.
    too_large: Option<usize>,
    in_flight: Option<InFlight>,
    /// Tokens sent and not answered, with what they carried; at most one per try of one delivery.
    sent: Vec<(u64, Mark)>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    tries: usize,
    wait_ends: Instant,
    /// The last try went out, so that no ack counts against the subscriber.
    counts: bool,
}

impl Subscription {
    fn is_failing(&self) -> bool {
        self.unacked_in_a_row >= FAILURES_MAX
    }
}

#[derive(Debug)]
struct Service {
    pace: Pace,
    subscriptions: BTreeSet<SubscriptionId>,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// To be begun, each with the newest list of its service.
    pub(crate) tries: Vec<(SubscriptionId, ServiceKey)>,
    /// Services that lost their last subscriber in this shard.
    pub(crate) abandoned: Vec<ServiceKey>,
    /// More waits.
    pub(crate) more: bool,
}

/// A try that goes out.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) id: SubscriptionId,
    pub(crate) delivery: Delivery,
    /// The first try of a delivery to a subscriber in good standing: its delay is ours alone.
    pub(crate) prompt: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) deliveries: u64,
    pub(crate) acked: u64,
    pub(crate) failed: u64,
}

/// The state of one shard.
#[derive(Debug)]
pub(crate) struct Engine {
    config: Config,
    /// Pushing is allowed: the node is open and the switch is on.
    allowed: bool,
    next_id: u64,
    subscriptions: HashMap<SubscriptionId, Subscription>,
    by_key: HashMap<Arc<SubscriptionKey>, SubscriptionId>,
    services: HashMap<ServiceKey, Service>,
    addresses: HashMap<Target, Address>,
    /// Every pair in a subscription's `sent`, with its target.
    tokens: BTreeSet<(u64, Target, SubscriptionId)>,
    /// Each at most once (`queued`), so never longer than there are subscriptions.
    ready: VecDeque<SubscriptionId>,
    merges: BTreeSet<(Instant, ServiceKey)>,
    /// One per subscription in flight.
    ack_waits: BTreeSet<(Instant, SubscriptionId)>,
    /// One per subscription, moved on when it is reached and the subscriber was seen since.
    expiries: BTreeSet<(Instant, SubscriptionId)>,
    tally: Tally,
}

impl Engine {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            allowed: false,
            next_id: 0,
            subscriptions: HashMap::new(),
            by_key: HashMap::new(),
            services: HashMap::new(),
            addresses: HashMap::new(),
            tokens: BTreeSet::new(),
            ready: VecDeque::new(),
            merges: BTreeSet::new(),
            ack_waits: BTreeSet::new(),
            expiries: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.ack_waits.len()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Allows or forbids pushing. What changed meanwhile is due once it is allowed.
    pub(crate) fn set_allowed(&mut self, allowed: bool) {
        self.allowed = allowed;
        if allowed {
            let dirty: Vec<_> = self
                .subscriptions
                .iter()
                .filter(|(_, s)| s.dirty)
                .map(|(id, _)| *id)
                .collect();
            for id in dirty {
                self.queue(id);
            }
        } else {
            for id in std::mem::take(&mut self.ready) {
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.queued = false;
                }
                self.give_up(id);
            }
        }
    }

    // ---- polls

    /// Renews a subscription that is known, or says that it is not.
    pub(crate) fn renew(
        &mut self,
        key: &SubscriptionKey,
        info: &SubscriptionInfo,
        seen: Mark,
        now: Instant,
    ) -> Option<Subscribed> {
        let id = *self.by_key.get(key)?;
        let address = self
            .addresses
            .get_mut(&key.target)
            .expect("a subscription's address is kept");
        let subscription = self.subscriptions.get_mut(&id).expect("by_key names what is kept");
        address.polled();
        subscription.last_seen = now;
        if *subscription.info != *info {
            subscription.info = Arc::new(info.clone());
        }
        // Java drops the answer to a poll if a push changed its list since the poll before (`HostReactor.UpdateTask`),
        // so the answer counts as told only where none can have.
        let failing = subscription.is_failing() || address.is_failing();
        if failing || !subscription.sent_since_poll {
            subscription.told.raise(seen);
        }
        subscription.shown.raise(seen);
        subscription.sent_since_poll = false;
        subscription.restored = failing;
        let poll_only = failing || subscription.too_large.is_some();
        if subscription.dirty && subscription.in_flight.is_none() {
            self.queue(id);
        }
        Some(self.as_answer(poll_only))
    }

    /// Adds a subscription that is not known; `None` when its address has as many as it may.
    pub(crate) fn add(
        &mut self,
        key: SubscriptionKey,
        info: SubscriptionInfo,
        seen: Mark,
        now: Instant,
    ) -> Option<Subscribed> {
        let address = self.addresses.entry(key.target).or_default();
        if address.subscriptions.len() >= SERVICES_PER_ADDRESS_MAX {
            return None;
        }
        let id = SubscriptionId(self.next_id);
        self.next_id += 1;
        address.subscriptions.insert(id);
        address.polled();
        let failing = address.is_failing();
        let key = Arc::new(key);
        self.by_key.insert(key.clone(), id);
        let service = self.services.entry(key.service.clone()).or_insert_with(|| Service {
            pace: Pace::new(&self.config),
            subscriptions: BTreeSet::new(),
        });
        service.subscriptions.insert(id);
        self.expiries.insert((now + self.config.subscription_kept, id));
        self.subscriptions.insert(
            id,
            Subscription {
                key,
                info: Arc::new(info),
                last_seen: now,
                told: seen,
                shown: seen,
                // The service may have changed between the snapshot and this call; looked up once, dropped if equal.
                dirty: true,
                queued: false,
                sent_since_poll: false,
                restored: failing,
                unacked_in_a_row: 0,
                too_large: None,
                in_flight: None,
                sent: Vec::new(),
            },
        );
        self.queue(id);
        Some(self.as_answer(failing))
    }

    fn as_answer(&self, poll_only: bool) -> Subscribed {
        if poll_only || !self.allowed {
            Subscribed::PollOnly
        } else {
            Subscribed::Pushed
        }
    }

    // ---- changes

    /// Notes that a service has changed so many times.
    pub(crate) fn changed(&mut self, service: &ServiceKey, changes: u32, now: Instant) {
        if let Some(entry) = self.services.get_mut(service)
            && let Some(due) = entry.pace.changed(changes, now, &self.config)
        {
            self.merges.insert((due, service.clone()));
        }
    }

    /// Makes due what waits for merging.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for (_, service) in std::mem::take(&mut self.merges) {
            if let Some(entry) = self.services.get_mut(&service) {
                entry.pace.hurry(now);
                self.merges.insert((now, service));
            }
        }
    }

    // ---- time

    /// When [`Engine::due`] has something to do next, as things stand.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let firsts = [
            self.merges.first().map(|(at, _)| *at),
            self.ack_waits.first().map(|(at, _)| *at),
            self.expiries.first().map(|(at, _)| *at),
        ];
        firsts.into_iter().flatten().min()
    }

    /// Moves time on and takes at most `tries_max` tries.
    pub(crate) fn due(&mut self, tries_max: usize, now: Instant) -> Due {
        let mut due = Due::default();
        while let Some((_, id)) = take_first_due(&mut self.expiries, now) {
            self.expire(id, now, &mut due.abandoned);
        }
        while let Some((_, id)) = take_first_due(&mut self.ack_waits, now) {
            self.no_ack(id);
        }
        while let Some((_, service)) = take_first_due(&mut self.merges, now) {
            self.fire(&service, now);
        }
        while self.allowed && due.tries.len() < tries_max {
            let Some(id) = self.ready.pop_front() else { break };
            if let Some(subscription) = self.subscriptions.get_mut(&id) {
                subscription.queued = false;
                due.tries.push((id, subscription.key.service.clone()));
            }
        }
        due.more = self.allowed && !self.ready.is_empty();
        due
    }

    fn fire(&mut self, service: &ServiceKey, now: Instant) {
        let Some(entry) = self.services.get_mut(service) else {
            return;
        };
        entry.pace.fire(now, &self.config);
        for id in &entry.subscriptions {
            let subscription = self.subscriptions.get_mut(id).expect("a service names what is kept");
            subscription.dirty = true;
            if self.allowed && subscription.in_flight.is_none() && !subscription.queued {
                subscription.queued = true;
                self.ready.push_back(*id);
            }
        }
    }

    /// While pushing is forbidden nothing queues: ids of subscriptions that end would pile up.
    fn queue(&mut self, id: SubscriptionId) {
        if self.allowed
            && let Some(subscription) = self.subscriptions.get_mut(&id)
            && !subscription.queued
        {
            subscription.queued = true;
            self.ready.push_back(id);
        }
    }

    fn no_ack(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let Some(in_flight) = subscription.in_flight else {
            return;
        };
        if in_flight.counts {
            subscription.unacked_in_a_row = subscription.unacked_in_a_row.saturating_add(1);
            self.address_of(id).unacked();
        }
        if in_flight.tries > self.config.retries.len() || !self.allowed {
            self.give_up(id);
        } else {
            self.queue(id);
        }
    }

    /// Ends the delivery without success. The subscription stays dirty: a change, a poll or an ack tries again.
    fn give_up(&mut self, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.dirty = true;
            if let Some(in_flight) = subscription.in_flight.take() {
                self.ack_waits.remove(&(in_flight.wait_ends, id));
                self.tally.failed += 1;
            }
        }
    }

    fn expire(&mut self, id: SubscriptionId, now: Instant, abandoned: &mut Vec<ServiceKey>) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let lives_until = subscription.last_seen + self.config.subscription_kept;
        if lives_until > now {
            self.expiries.insert((lives_until, id));
            return;
        }
        let subscription = self.subscriptions.remove(&id).expect("looked at just now");
        let key = subscription.key;
        self.by_key.remove(&key);
        if let Some(in_flight) = subscription.in_flight {
            self.ack_waits.remove(&(in_flight.wait_ends, id));
        }
        for (token, _) in subscription.sent {
            self.tokens.remove(&(token, key.target, id));
        }
        if let Some(address) = self.addresses.get_mut(&key.target) {
            address.subscriptions.remove(&id);
            if address.subscriptions.is_empty() {
                self.addresses.remove(&key.target);
            }
        }
        if let Some(service) = self.services.get_mut(&key.service) {
            service.subscriptions.remove(&id);
            if service.subscriptions.is_empty() {
                if let Some(due) = service.pace.due() {
                    self.merges.remove(&(due, key.service.clone()));
                }
                self.services.remove(&key.service);
                abandoned.push(key.service.clone());
            }
        }
    }

    fn address_of(&mut self, id: SubscriptionId) -> &mut Address {
        let target = self.subscriptions[&id].key.target;
        self.addresses
            .get_mut(&target)
            .expect("a subscription's address is kept")
    }

    // ---- tries

    /// Begins a try with the newest list, unless the subscriber has it or may not be sent to.
    pub(crate) fn begin(
        &mut self,
        id: SubscriptionId,
        snapshot: &Arc<ServiceSnapshot>,
        token: impl FnOnce(&ServiceSnapshot, &str) -> u64,
        now: Instant,
    ) -> Option<Try> {
        let subscription = self.subscriptions.get_mut(&id)?;
        let mark = Mark::of(snapshot);
        if !mark.is_newer_than(subscription.told) {
            // It acked this list, or a poll told it.
            subscription.dirty = false;
            self.settle(id);
            return None;
        }
        let address = self.addresses.get_mut(&subscription.key.target)?;
        let failing = subscription.is_failing() || address.is_failing();
        let first = subscription.in_flight.is_none();
        let fits = subscription
            .too_large
            .is_none_or(|instances| snapshot.instances.len() < instances);
        // The last try of a delivery under way goes out although the two before it failed; a new delivery does not.
        let reached = !(failing && first) || subscription.restored;
        let in_order = !subscription.shown.is_newer_than(mark);
        if !(self.allowed && fits && reached && in_order && address.admits(now)) {
            self.give_up(id);
            return None;
        }
        address.sent(now);
        let token = token(snapshot, &subscription.key.clusters);
        if first {
            for (old, _) in subscription.sent.drain(..) {
                self.tokens.remove(&(old, subscription.key.target, id));
            }
        }
        if self.tokens.insert((token, subscription.key.target, id)) {
            subscription.sent.push((token, mark));
        }
        let tries = subscription.in_flight.map_or(0, |in_flight| in_flight.tries) + 1;
        let wait_ends = now + self.config.ack_wait(tries);
        self.ack_waits.insert((wait_ends, id));
        subscription.in_flight = Some(InFlight {
            tries,
            wait_ends,
            counts: true,
        });
        subscription.shown = mark;
        subscription.too_large = None;
        subscription.dirty = false;
        subscription.restored = false;
        subscription.sent_since_poll = true;
        Some(Try {
            id,
            prompt: first && !failing,
            delivery: Delivery {
                key: subscription.key.clone(),
                info: subscription.info.clone(),
                snapshot: snapshot.clone(),
                token,
            },
        })
    }

    /// Notes what the network said to a try.
    pub(crate) fn handed(&mut self, tried: &Try, outcome: Handed, now: Instant) {
        let (id, token) = (tried.id, tried.delivery.token);
        if outcome == Handed::Sent {
            self.tally.deliveries += 1;
            return;
        }
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let Some(in_flight) = subscription.in_flight else {
            return;
        };
        match outcome {
            Handed::Sent => {}
            Handed::Busy => {
                self.ack_waits.remove(&(in_flight.wait_ends, id));
                let wait_ends = now + BUSY_WAIT;
                self.ack_waits.insert((wait_ends, id));
                subscription.in_flight = Some(InFlight {
                    tries: in_flight.tries - 1,
                    wait_ends,
                    counts: false,
                });
                self.address_of(id).not_sent();
            }
            Handed::TooLarge => {
                subscription.too_large = Some(tried.delivery.snapshot.instances.len());
                self.forget(id, token);
                self.give_up(id);
            }
            Handed::Unreachable => {
                subscription.unacked_in_a_row = subscription.unacked_in_a_row.max(FAILURES_MAX);
                self.address_of(id).unreachable(now);
                self.forget(id, token);
                self.give_up(id);
            }
        }
    }

    fn forget(&mut self, id: SubscriptionId, token: u64) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.sent.retain(|(sent, _)| *sent != token);
            self.tokens.remove(&(token, subscription.key.target, id));
        }
    }

    /// Ends the delivery: nothing is left to send.
    fn settle(&mut self, id: SubscriptionId) {
        if let Some(in_flight) = self.subscriptions.get_mut(&id).and_then(|s| s.in_flight.take()) {
            self.ack_waits.remove(&(in_flight.wait_ends, id));
        }
    }

    // ---- listing

    pub(crate) fn listed(&self, of: &dyn Fn(&ServiceKey) -> bool) -> Vec<Listed> {
        let wanted = self.services.iter().filter(|(key, _)| of(key));
        wanted
            .flat_map(|(_, service)| &service.subscriptions)
            .map(|id| {
                let subscription = &self.subscriptions[id];
                let address = &self.addresses[&subscription.key.target];
                Listed {
                    key: subscription.key.clone(),
                    info: subscription.info.clone(),
                    last_seen: subscription.last_seen,
                    failures_in_a_row: subscription.unacked_in_a_row.max(address.unacked_in_a_row()),
                }
            })
            .collect()
    }
}

/// Takes the first entry if its time has come.
fn take_first_due<T: Ord>(entries: &mut BTreeSet<(Instant, T)>, now: Instant) -> Option<(Instant, T)> {
    if entries.first().is_some_and(|(at, _)| *at <= now) {
        entries.pop_first()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
