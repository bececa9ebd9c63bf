//! What an ack means: whose it is, what it ends, whom it restores.

use super::subscribers::raise;
use super::{Engine, SubscriptionId};
use crate::address::Past;
use crate::delivery::Mark;
use crate::target::Recipient;
use muster_model::ConnectionId;
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
    pub(crate) fn acked(&mut self, token: u64, from: SocketAddr, now: Instant) -> bool {
        let exact = self.sent_to(token, Recipient::Address(from));
        if exact.is_none() && self.arrived_late(token, from, now) {
            return true;
        }
        let Some(id) = exact.or_else(|| self.only_holder_on(token, from)) else {
            return false;
        };
        self.accept(id, token, true, now);
        true
    }

    /// Takes an ack that came over a connection; false if it answers nothing that was sent there.
    pub(crate) fn acked_by(&mut self, token: u64, connection: ConnectionId, now: Instant) -> bool {
        let Some(id) = self.sent_to(token, Recipient::Connection(connection)) else {
            return false;
        };
        self.accept(id, token, true, now);
        true
    }

    /// An ack of what had been answered or overtaken before: the network brought the datagram late or twice, or its ack.
    ///
    /// Java 1.x applies whatever arrives, so that the client may hold an older list now than the one it acked last: the
    /// newest is sent again. A few times for each such datagram, so that forged acks, however many, draw little; and
    /// never for the newest list itself, so that a network which doubles everything draws nothing.
    fn arrived_late(&mut self, token: u64, from: SocketAddr, now: Instant) -> bool {
        let Some(past) = self.addresses.get(&from).and_then(|address| address.past(token)) else {
            return false;
        };
        let id = past.subscription;
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return false;
        };
        if !subscription.shown.is_newer_than(past.mark) {
            return false;
        }
        subscription.last_seen = now;
        subscription.unacked_in_a_row = 0;
        subscription.told = None;
        subscription.dirty = true;
        self.address_mut(from).repaired(token);
        let mut waiting = self.acked_at(from, true);
        waiting.push(id);
        self.queue_dirty(waiting);
        true
    }

    fn sent_to(&self, token: u64, to: Recipient) -> Option<SubscriptionId> {
        let of_recipient = (token, to, SubscriptionId(0))..=(token, to, SubscriptionId(u64::MAX));
        self.tokens.range(of_recipient).next().map(|(_, _, id)| *id)
    }

    /// The one subscription on this host that was sent the token: NAT changed the port.
    fn only_holder_on(&self, token: u64, from: SocketAddr) -> Option<SubscriptionId> {
        let mut on_host = self
            .holders_of(token)
            .filter(|(address, _)| address.ip() == from.ip())
            .map(|(_, id)| id);
        on_host.next().filter(|_| on_host.next().is_none())
    }

    /// Addresses alone, though connections may hold the same token.
    fn holders_of(&self, token: u64) -> impl Iterator<Item = (SocketAddr, SubscriptionId)> {
        let lowest = Recipient::Address(SocketAddr::from(([0, 0, 0, 0], 0)));
        self.tokens
            .range((token, lowest, SubscriptionId(0))..)
            .map_while(move |(held, recipient, id)| match recipient {
                Recipient::Address(address) if *held == token => Some((*address, *id)),
                _ => None,
            })
            .take(HOLDERS_SEEN_MAX)
    }

    /// Who was sent the token, at most two of each kind: enough to know whether it is one alone.
    pub(crate) fn holders(&self, token: u64, port: u16) -> Holders {
        let mut holders = Holders::default();
        for (address, id) in self.holders_of(token) {
            if holders.any.len() < 2 {
                holders.any.push(id);
            }
            if address.port() == port && holders.same_port.len() < 2 {
                holders.same_port.push(id);
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
        let recipient = subscription.recipient();
        raise(&mut subscription.told, mark);
        let answered = |sent: Mark| !sent.is_newer_than(mark);
        for (token, mark) in subscription.sent.iter().filter(|(_, sent)| answered(*sent)) {
            self.tokens.remove(&(*token, recipient, id));
            if let Recipient::Address(address) = recipient {
                let address = self
                    .addresses
                    .get_mut(&address)
                    .expect("a subscription's address is kept");
                address.is_past(Past {
                    token: *token,
                    subscription: id,
                    mark: *mark,
                    repairs: 0,
                });
            }
        }
        subscription.sent.retain(|(_, sent)| !answered(*sent));
        let newest_answered = answered(subscription.shown) || subscription.sent.is_empty();
        let dirty = subscription.dirty;
        let waiting = match recipient {
            Recipient::Address(address) => self.acked_at(address, proof),
            Recipient::Connection(_) => Vec::new(),
        };
        if newest_answered {
            self.settle(id);
            if dirty {
                self.queue(id);
            }
        }
        self.queue_dirty(waiting);
    }

    fn queue_dirty(&mut self, ids: Vec<SubscriptionId>) {
        for id in ids {
            if self
                .subscriptions
                .get(&id)
                .is_some_and(|s| s.dirty && s.in_flight.is_none())
            {
                self.queue(id);
            }
        }
    }

    /// Notes that datagrams arrive at an address; the answer is who waited for that to be known.
    fn acked_at(&mut self, address: SocketAddr, proof: bool) -> Vec<SubscriptionId> {
        let address = self.address_mut(address);
        if address.acked(proof) {
            address.subscriptions.iter().copied().collect()
        } else {
            Vec::new()
        }
    }
}
