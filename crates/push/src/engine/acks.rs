//! What an ack means: whose it is, what it ends, whom it restores.

use super::{Engine, SubscriptionId};
use crate::Target;
use crate::delivery::Mark;
use std::net::SocketAddr;
use std::time::Instant;

/// Holders of one token looked through for an ack from an unknown address; of more, none can be told apart anyway.
const HOLDERS_SEEN_MAX: usize = 1_024;

/// Whom an ack from an unknown address may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    pub(crate) any: Vec<SubscriptionId>,
    pub(crate) same_port: Vec<SubscriptionId>,
}

impl Engine {
    /// Takes an ack from the very address sent to, or from its host; false if it answers nothing that was sent there.
    pub(crate) fn acked(&mut self, token: u64, from: Target, now: Instant) -> bool {
        let of_address = (token, from, SubscriptionId(0))..=(token, from, SubscriptionId(u64::MAX));
        let exact = self.tokens.range(of_address).next().map(|(_, _, id)| *id);
        let Some(id) = exact.or_else(|| self.only_holder_on(token, from)) else {
            return false;
        };
        self.accept(id, token, true, now);
        true
    }

    /// The one subscription on this host that was sent the token: NAT changed the port.
    fn only_holder_on(&self, token: u64, from: Target) -> Option<SubscriptionId> {
        let mut on_host = self
            .holders_of(token)
            .filter(|(_, target, _)| target.ip() == from.ip())
            .map(|(_, _, id)| *id);
        on_host.next().filter(|_| on_host.next().is_none())
    }

    fn holders_of(&self, token: u64) -> impl Iterator<Item = &(u64, Target, SubscriptionId)> {
        let lowest = Target::Udp(SocketAddr::from(([0, 0, 0, 0], 0)));
        self.tokens
            .range((token, lowest, SubscriptionId(0))..)
            .take_while(move |(held, _, _)| *held == token)
            .take(HOLDERS_SEEN_MAX)
    }

    /// Who was sent the token, at most two of each kind: enough to know whether it is one alone.
    pub(crate) fn holders(&self, token: u64, port: u16) -> Holders {
        let mut holders = Holders::default();
        for (_, target, id) in self.holders_of(token) {
            if holders.any.len() < 2 {
                holders.any.push(*id);
            }
            if target.port() == port && holders.same_port.len() < 2 {
                holders.same_port.push(*id);
            }
        }
        holders
    }

    /// Takes an ack for a subscription. One from another host is no `proof` that the target wants datagrams.
    pub(crate) fn accept(&mut self, id: SubscriptionId, token: u64, proof: bool, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let Some(mark) = subscription
            .sent
            .iter()
            .find(|(sent, _)| *sent == token)
            .map(|(_, mark)| *mark)
        else {
            return;
        };
        self.tally.acked += 1;
        subscription.last_seen = now;
        subscription.unacked_in_a_row = 0;
        subscription.told.raise(mark);
        let answered = |sent: Mark| !sent.is_newer_than(mark);
        for (token, _) in subscription.sent.iter().filter(|(_, sent)| answered(*sent)) {
            self.tokens.remove(&(*token, subscription.key.target, id));
        }
        subscription.sent.retain(|(_, sent)| !answered(*sent));
        let address = self
            .addresses
            .get_mut(&subscription.key.target)
            .expect("a subscription's address is kept");
        let recovered = address.acked(proof);
        let newest_answered = answered(subscription.shown) || subscription.sent.is_empty();
        let dirty = subscription.dirty;
        let waiting: Vec<_> = if recovered {
            address.subscriptions.iter().copied().collect()
        } else {
            Vec::new()
        };
        if newest_answered {
            self.settle(id);
            if dirty {
                self.queue(id);
            }
        }
        for id in waiting {
            if self
                .subscriptions
                .get(&id)
                .is_some_and(|s| s.dirty && s.in_flight.is_none())
            {
                self.queue(id);
            }
        }
    }
}
