//! Tries: when one may begin, what the network said to it, what follows when nobody answers.

use super::subscribers::raise;
use super::subscription::InFlight;
use super::{Engine, SubscriptionId};
use crate::address::{FAILURES_MAX, Past};
use crate::delivery::Mark;
use crate::target::Recipient;
use crate::{Delivery, Handed};
use muster_model::ServiceSnapshot;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon a delivery that the network had no room for is tried again.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// How far that wait doubles for a connection: what has filled its queue may be a client that has stopped reading.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(1);

/// A try that goes out.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) id: SubscriptionId,
    pub(crate) delivery: Delivery,
    pub(crate) occasion: Occasion,
}

/// What a try tells of our own speed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Occasion {
    /// The first try of a change to a subscriber in good standing: its delay is ours alone.
    Prompt,
    /// A further try, or the subscriber had stopped answering.
    Late,
    /// The list that a new subscription begins with; it may have changed long ago.
    Welcome,
}

impl Engine {
    /// The ack of a try did not come in time, or a try that found no room is due again.
    pub(super) fn no_ack(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let Some(in_flight) = subscription.in_flight else {
            return;
        };
        if in_flight.counts {
            subscription.unacked_in_a_row = subscription.unacked_in_a_row.saturating_add(1);
            if let Recipient::Address(address) = subscription.recipient() {
                self.address_mut(address).unacked();
            }
        }
        if !self.allowed {
            self.give_up(id);
        } else if in_flight.tries < in_flight.tries_max || !in_flight.counts {
            self.queue(id);
        } else {
            self.exhausted(id);
        }
    }

    /// The last try of a delivery went unanswered. An address waits for its next poll. A connection's client never polls,
    /// so that it is done with this list, and waits for the next change.
    fn exhausted(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        if !subscription.is_connected() {
            return self.give_up(id);
        }
        // Not `shown`: the answer to a renewal may have shown a newer list than was ever pushed.
        if let Some((_, newest)) = subscription.sent.last() {
            raise(&mut subscription.told, *newest);
        }
        let changed_meanwhile = subscription.dirty;
        self.tally.failed += 1;
        self.settle(id);
        if changed_meanwhile {
            self.queue(id);
        }
    }

    /// Ends the delivery without success. The subscription stays dirty: a change, a poll or an ack tries again.
    pub(super) fn give_up(&mut self, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.dirty = true;
            if let Some(in_flight) = subscription.in_flight.take() {
                self.ack_waits.remove(&(in_flight.wait_ends, id));
                self.tally.failed += 1;
            }
        }
    }

    /// Ends the delivery: nothing is left to send.
    pub(super) fn settle(&mut self, id: SubscriptionId) {
        if let Some(in_flight) = self.subscriptions.get_mut(&id).and_then(|s| s.in_flight.take()) {
            self.ack_waits.remove(&(in_flight.wait_ends, id));
        }
    }

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
        if !subscription.needs(mark) {
            subscription.dirty = false;
            self.settle(id);
            return None;
        }
        let fits = subscription
            .too_large
            .is_none_or(|instances| snapshot.instances.len() < instances);
        let in_order = !subscription.shown.is_newer_than(mark);
        if !(self.allowed && fits && in_order && self.reaches(id, now)) {
            self.give_up(id);
            return None;
        }
        let subscription = self.subscriptions.get_mut(&id)?;
        let (recipient, failing) = (subscription.recipient(), subscription.is_failing());
        let token = token(snapshot, &subscription.key.clusters);
        let earlier = subscription.in_flight;
        if earlier.is_none() {
            for (old, mark) in subscription.sent.drain(..) {
                self.tokens.remove(&(old, recipient, id));
                if let Recipient::Address(address) = recipient
                    && let Some(address) = self.addresses.get_mut(&address)
                {
                    address.is_past(Past {
                        token: old,
                        subscription: id,
                        mark,
                        repairs: 0,
                    });
                }
            }
        }
        let new_token = self.tokens.insert((token, recipient, id));
        if new_token {
            subscription.sent.push((token, mark));
        }
        let tries = earlier.map_or(0, |earlier| earlier.tries) + 1;
        let tries_max = earlier.map_or_else(|| subscription.tries_max(&self.config), |earlier| earlier.tries_max);
        let wait_ends = now + subscription.ack_wait(tries, tries_max, &self.config);
        subscription.in_flight = Some(InFlight {
            tries,
            tries_max,
            wait_ends,
            counts: true,
            new_token,
            busy_in_a_row: earlier.map_or(0, |earlier| earlier.busy_in_a_row),
        });
        self.ack_waits.insert((wait_ends, id));
        let mut occasion = match subscription.told {
            None if !mark.is_newer_than(subscription.shown) => Occasion::Welcome,
            _ if earlier.is_none() && !failing => Occasion::Prompt,
            _ => Occasion::Late,
        };
        subscription.shown = mark;
        subscription.too_large = None;
        subscription.dirty = false;
        subscription.restored = false;
        subscription.sent_since_poll = true;
        let delivery = Delivery {
            key: subscription.key.clone(),
            info: subscription.info.clone(),
            snapshot: snapshot.clone(),
            token,
        };
        if let Recipient::Address(address) = recipient {
            let address = self.address_mut(address);
            if address.is_failing() {
                occasion = Occasion::Late;
            }
            address.sent(now);
        }
        Some(Try { id, delivery, occasion })
    }

    /// Whether the subscriber may be sent to now. A connection always may: it asked over the very stream.
    fn reaches(&self, id: SubscriptionId, now: Instant) -> bool {
        let subscription = &self.subscriptions[&id];
        let Recipient::Address(address) = subscription.recipient() else {
            return true;
        };
        let address = &self.addresses[&address];
        let failing = subscription.is_failing() || address.is_failing();
        // The last try of a delivery under way goes out although the two before it failed; a new delivery does not.
        let reached = !(failing && subscription.in_flight.is_none()) || subscription.restored;
        reached && address.admits(now)
    }

    /// Notes what the network said to a try.
    pub(crate) fn handed(&mut self, tried: &Try, outcome: Handed, now: Instant) {
        let (id, token) = (tried.id, tried.delivery.token);
        if outcome == Handed::Sent {
            self.tally.deliveries += 1;
        }
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let recipient = subscription.recipient();
        if let (Handed::Unreachable, Recipient::Connection(_)) = (outcome, recipient) {
            self.remove(id);
            return;
        }
        let Some(in_flight) = &mut subscription.in_flight else {
            return;
        };
        let new_token = in_flight.new_token;
        match outcome {
            Handed::Sent => in_flight.busy_in_a_row = 0,
            Handed::Busy => {
                let wait = match recipient {
                    Recipient::Address(_) => BUSY_WAIT,
                    Recipient::Connection(_) => (BUSY_WAIT * (1 << in_flight.busy_in_a_row.min(6))).min(BUSY_WAIT_MAX),
                };
                self.ack_waits.remove(&(in_flight.wait_ends, id));
                *in_flight = InFlight {
                    tries: in_flight.tries - 1,
                    wait_ends: now + wait,
                    counts: false,
                    busy_in_a_row: in_flight.busy_in_a_row.saturating_add(1),
                    ..*in_flight
                };
                self.ack_waits.insert((now + wait, id));
                // An ack of an earlier try must not be taken for the end.
                subscription.dirty = true;
                if new_token {
                    self.forget(id, token);
                }
                if let Recipient::Address(address) = recipient {
                    self.address_mut(address).not_sent();
                }
            }
            Handed::TooLarge => {
                subscription.too_large = Some(tried.delivery.snapshot.instances.len());
                self.forget(id, token);
                self.give_up(id);
            }
            Handed::Unreachable => {
                subscription.unacked_in_a_row = subscription.unacked_in_a_row.max(FAILURES_MAX);
                if let Recipient::Address(address) = recipient {
                    self.address_mut(address).unreachable(now);
                }
                self.forget(id, token);
                self.give_up(id);
            }
        }
    }

    fn forget(&mut self, id: SubscriptionId, token: u64) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.sent.retain(|(sent, _)| *sent != token);
            self.tokens.remove(&(token, subscription.recipient(), id));
        }
    }
}
