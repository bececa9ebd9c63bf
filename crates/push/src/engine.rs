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
mod subscribers;
mod subscription;
mod tries;

pub(crate) use subscription::SubscriptionId;
pub(crate) use tries::{Occasion, Try};

use crate::Config;
use crate::SubscriptionKey;
use crate::address::Address;
use crate::pace::Pace;
use crate::target::Recipient;
use muster_model::{ConnectionId, ServiceKey};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use subscription::Subscription;

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
    /// More waits.
    pub(crate) more: bool,
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
    /// Those of addresses.
    by_key: HashMap<Arc<SubscriptionKey>, SubscriptionId>,
    /// Those of connections: one per service, whatever its clusters.
    connections: HashMap<ConnectionId, HashMap<ServiceKey, SubscriptionId>>,
    services: HashMap<ServiceKey, Service>,
    addresses: HashMap<SocketAddr, Address>,
    /// Every pair in a subscription's `sent`, with whom its ack will come from.
    tokens: BTreeSet<(u64, Recipient, SubscriptionId)>,
    /// Each at most once (`queued`). Those that ended meanwhile go with the next round.
    ready: VecDeque<SubscriptionId>,
    /// Every `held_until`.
    holds: BTreeSet<(Instant, SubscriptionId)>,
    merges: BTreeSet<(Instant, ServiceKey)>,
    /// One per subscription in flight.
    ack_waits: BTreeSet<(Instant, SubscriptionId)>,
    /// One per subscription of an address, moved on when it is reached and the subscriber was seen since.
    expiries: BTreeSet<(Instant, SubscriptionId)>,
    /// Services that lost their last subscriber, until somebody asks.
    abandoned: HashSet<ServiceKey>,
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
            connections: HashMap::new(),
            services: HashMap::new(),
            addresses: HashMap::new(),
            tokens: BTreeSet::new(),
            ready: VecDeque::new(),
            holds: BTreeSet::new(),
            merges: BTreeSet::new(),
            ack_waits: BTreeSet::new(),
            expiries: BTreeSet::new(),
            abandoned: HashSet::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.ack_waits.len()
    }

    /// A try could begin now. After an ack that is all that may have become due.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
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

    // ---- changes

    /// Notes that a service has changed so many times.
    pub(crate) fn changed(&mut self, service: &ServiceKey, changes: u32, now: Instant) {
        if let Some(entry) = self.services.get_mut(service)
            && let Some(due) = entry.pace.changed(changes, now, &self.config)
        {
            self.merges.insert((due, service.clone()));
        }
    }

    /// Makes due what waits for merging, or for the answer to its subscription.
    pub(crate) fn hurry(&mut self, now: Instant) {
        while let Some((_, id)) = self.holds.pop_first() {
            self.release(id);
        }
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
            self.holds.first().map(|(at, _)| *at),
            self.expiries.first().map(|(at, _)| *at),
        ];
        firsts.into_iter().flatten().min()
    }

    /// Moves time on and takes at most `tries_max` tries.
    pub(crate) fn due(&mut self, tries_max: usize, now: Instant) -> Due {
        let mut due = Due::default();
        while let Some((_, id)) = take_first_due(&mut self.expiries, now) {
            self.expire(id, now);
        }
        while let Some((_, id)) = take_first_due(&mut self.ack_waits, now) {
            self.no_ack(id);
        }
        while let Some((_, id)) = take_first_due(&mut self.holds, now) {
            self.release(id);
        }
        while let Some((_, service)) = take_first_due(&mut self.merges, now) {
            self.fire(&service, now);
        }
        while self.allowed && due.tries.len() < tries_max {
            let Some(id) = self.ready.pop_front() else { break };
            if let Some(subscription) = self.subscriptions.get_mut(&id) {
                subscription.queued = false;
                if subscription.held_until.is_some() {
                    // Replaced while it stood here.
                    continue;
                }
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
            let free = !subscription.queued && subscription.in_flight.is_none() && subscription.held_until.is_none();
            if self.allowed && free {
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
            && subscription.held_until.is_none()
        {
            subscription.queued = true;
            self.ready.push_back(id);
        }
    }

    /// The wait after subscribing is over.
    fn release(&mut self, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.held_until = None;
            if subscription.dirty {
                self.queue(id);
            }
        }
    }

    fn address_mut(&mut self, address: SocketAddr) -> &mut Address {
        self.addresses
            .get_mut(&address)
            .expect("a subscription's address is kept")
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
