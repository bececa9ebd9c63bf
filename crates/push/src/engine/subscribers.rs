//! Who subscribes: added, renewed, replaced, ended.

use super::subscription::Subscription;
use super::{Engine, Service, SubscriptionId};
use crate::delivery::Mark;
use crate::pace::Pace;
use crate::target::Recipient;
use crate::{Listed, Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use muster_model::{ConnectionId, ServiceKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// Services that one address or connection may subscribe to.
pub(super) const SERVICES_PER_RECIPIENT_MAX: usize = 10_000;

impl Engine {
    /// Renews a subscription that is known, or says that it is not. On a connection the clusters may be others than
    /// before.
    pub(crate) fn renew(
        &mut self,
        key: &SubscriptionKey,
        info: &SubscriptionInfo,
        seen: Mark,
        now: Instant,
    ) -> Option<Subscribed> {
        let id = self.find(key)?;
        let subscription = self.subscriptions.get_mut(&id).expect("what is found is kept");
        subscription.last_seen = now;
        if *subscription.info != *info {
            subscription.info = Arc::new(info.clone());
        }
        let failing = match key.target {
            Target::Udp(address) => {
                let address = self
                    .addresses
                    .get_mut(&address)
                    .expect("a subscription's address is kept");
                address.polled();
                let failing = subscription.is_failing() || address.is_failing();
                // Java drops the answer to a poll if a push changed its list since the poll before
                // (`HostReactor.UpdateTask`), so the answer counts as told only where none can have.
                if failing || !subscription.sent_since_poll {
                    raise(&mut subscription.told, seen);
                }
                failing
            }
            // Rust's listeners hear of pushes alone, so that no answer counts as told.
            Target::Connection { .. } => false,
        };
        subscription.shown.raise(seen);
        subscription.sent_since_poll = false;
        subscription.restored = failing;
        let poll_only = failing || subscription.too_large.is_some();
        if subscription.key.clusters != key.clusters {
            self.replace(id, key, now);
        } else if subscription.dirty && subscription.in_flight.is_none() {
            self.queue(id);
        }
        Some(self.as_answer(poll_only))
    }

    fn find(&self, key: &SubscriptionKey) -> Option<SubscriptionId> {
        match key.target {
            Target::Udp(_) => self.by_key.get(key).copied(),
            Target::Connection { id, .. } => self.connections.get(&id)?.get(&key.service).copied(),
        }
    }

    /// Other clusters are another list, of which the client has been told nothing. Whether it answers is known still.
    fn replace(&mut self, id: SubscriptionId, key: &SubscriptionKey, now: Instant) {
        self.settle(id);
        let starts = now + self.config.welcome_after;
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        for (token, _) in std::mem::take(&mut subscription.sent) {
            self.tokens.remove(&(token, subscription.recipient(), id));
        }
        if let Some(held_until) = subscription.held_until.replace(starts) {
            self.holds.remove(&(held_until, id));
        }
        self.holds.insert((starts, id));
        subscription.key = Arc::new(key.clone());
        subscription.told = None;
        subscription.too_large = None;
        subscription.dirty = true;
    }

    /// Adds a subscription that is not known; `None` when its address or connection has as many as it may.
    pub(crate) fn add(
        &mut self,
        key: SubscriptionKey,
        info: SubscriptionInfo,
        seen: Mark,
        now: Instant,
    ) -> Option<Subscribed> {
        let (id, key) = (SubscriptionId(self.next_id), Arc::new(key));
        let (failing, connected) = match key.target {
            Target::Udp(address) => {
                let address = self.addresses.entry(address).or_default();
                if address.subscriptions.len() >= SERVICES_PER_RECIPIENT_MAX {
                    return None;
                }
                address.subscriptions.insert(id);
                address.polled();
                self.by_key.insert(key.clone(), id);
                self.expiries.insert((now + self.config.subscription_kept, id));
                (address.is_failing(), false)
            }
            Target::Connection { id: connection, .. } => {
                let services = self.connections.entry(connection).or_default();
                if services.len() >= SERVICES_PER_RECIPIENT_MAX {
                    return None;
                }
                services.insert(key.service.clone(), id);
                (false, true)
            }
        };
        self.next_id += 1;
        let service = self.services.entry(key.service.clone()).or_insert_with(|| Service {
            pace: Pace::new(&self.config),
            subscriptions: BTreeSet::new(),
        });
        service.subscriptions.insert(id);
        let starts = connected.then(|| now + self.config.welcome_after);
        if let Some(starts) = starts {
            self.holds.insert((starts, id));
        }
        self.subscriptions.insert(
            id,
            Subscription {
                key,
                info: Arc::new(info),
                last_seen: now,
                told: (!connected).then_some(seen),
                shown: seen,
                // The service may have changed between the snapshot and this call; looked up once, dropped if equal.
                dirty: true,
                queued: false,
                held_until: starts,
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

    // ---- ends

    /// Ends a connection's subscription to a service; says whether there was one.
    pub(crate) fn unsubscribe(&mut self, service: &ServiceKey, connection: ConnectionId) -> bool {
        let id = self
            .connections
            .get(&connection)
            .and_then(|services| services.get(service).copied());
        if let Some(id) = id {
            self.remove(id);
        }
        id.is_some()
    }

    /// Ends what a connection subscribed to; costs no more than it had.
    pub(crate) fn end(&mut self, connection: ConnectionId) {
        for (_, id) in self.connections.remove(&connection).unwrap_or_default() {
            self.remove(id);
        }
    }

    pub(super) fn expire(&mut self, id: SubscriptionId, now: Instant) {
        let Some(subscription) = self.subscriptions.get(&id) else {
            return;
        };
        let lives_until = subscription.last_seen + self.config.subscription_kept;
        if lives_until > now {
            self.expiries.insert((lives_until, id));
        } else {
            self.remove(id);
        }
    }

    /// Takes a subscription out of everything but `ready`, which skips it, and `expiries`, which found it.
    pub(super) fn remove(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.remove(&id) else {
            return;
        };
        let (recipient, key) = (subscription.recipient(), subscription.key);
        if let Some(in_flight) = subscription.in_flight {
            self.ack_waits.remove(&(in_flight.wait_ends, id));
        }
        if let Some(held_until) = subscription.held_until {
            self.holds.remove(&(held_until, id));
        }
        for (token, _) in subscription.sent {
            self.tokens.remove(&(token, recipient, id));
        }
        match recipient {
            Recipient::Address(at) => {
                self.by_key.remove(&key);
                if let Some(address) = self.addresses.get_mut(&at) {
                    address.subscriptions.remove(&id);
                    if address.subscriptions.is_empty() {
                        self.addresses.remove(&at);
                    }
                }
            }
            Recipient::Connection(connection) => {
                if let Some(services) = self.connections.get_mut(&connection) {
                    services.remove(&key.service);
                    if services.is_empty() {
                        self.connections.remove(&connection);
                    }
                }
            }
        }
        if let Some(service) = self.services.get_mut(&key.service) {
            service.subscriptions.remove(&id);
            if service.subscriptions.is_empty() {
                if let Some(due) = service.pace.due() {
                    self.merges.remove(&(due, key.service.clone()));
                }
                self.services.remove(&key.service);
                self.abandoned.insert(key.service.clone());
            }
        }
    }

    /// Services that have lost their last subscriber here since this was last asked, and have found no new one.
    pub(crate) fn take_abandoned(&mut self) -> Vec<ServiceKey> {
        let abandoned = std::mem::take(&mut self.abandoned).into_iter();
        abandoned
            .filter(|service| !self.services.contains_key(service))
            .collect()
    }

    // ---- listing

    pub(crate) fn listed(&self, of: &dyn Fn(&ServiceKey) -> bool) -> Vec<Listed> {
        let wanted = self.services.iter().filter(|(key, _)| of(key));
        wanted
            .flat_map(|(_, service)| &service.subscriptions)
            .map(|id| self.as_listed(*id))
            .collect()
    }

    pub(crate) fn listed_of(&self, connection: ConnectionId) -> Vec<Listed> {
        let services = self.connections.get(&connection).into_iter().flatten();
        services.map(|(_, id)| self.as_listed(*id)).collect()
    }

    fn as_listed(&self, id: SubscriptionId) -> Listed {
        let subscription = &self.subscriptions[&id];
        let of_address = match subscription.recipient() {
            Recipient::Address(address) => self.addresses[&address].unacked_in_a_row(),
            Recipient::Connection(_) => 0,
        };
        Listed {
            key: subscription.key.clone(),
            info: subscription.info.clone(),
            last_seen: subscription.last_seen,
            failures_in_a_row: subscription.unacked_in_a_row.max(of_address),
        }
    }
}

pub(super) fn raise(told: &mut Option<Mark>, to: Mark) {
    match told {
        Some(told) => told.raise(to),
        None => *told = Some(to),
    }
}
