use crate::{SubscriptionInfo, SubscriptionKey};
use muster_model::{ServiceKey, ServiceSnapshot};
use std::sync::Arc;

/// One delivery to one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub key: Arc<SubscriptionKey>,
    pub info: Arc<SubscriptionInfo>,
    pub snapshot: Arc<ServiceSnapshot>,
    /// Comes back in the ack. Strictly increasing per node, below 2^53 (JavaScript clients round above it).
    ///
    /// Deliveries of one snapshot to one cluster filter share it, further tries included, whether they go to addresses or
    /// to connections and whichever shard they come from: bytes that carry it are made once and kept with the snapshot
    /// (`snapshot.renders`, with the token in the key), however many the subscribers. With the address or connection it
    /// is unique. Only those of a service's seventeenth filter and on, and those of a list that three newer ones have
    /// overtaken while it was on its way out, have a token each.
    pub token: u64,
}

/// What became of handing a delivery to the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handed {
    Sent,
    /// Larger than this subscriber can receive: poll-only until the list shrinks.
    TooLarge,
    /// The address cannot be sent to, or the connection is gone, which ends the subscription.
    Unreachable,
    /// The network, or the connection's queue, takes nothing at this moment: tried again within milliseconds, a
    /// connection within a second where that lasts.
    Busy,
}

/// Carries deliveries out. Must not block.
pub trait Sink: Send + Sync + 'static {
    fn deliver(&self, delivery: &Delivery) -> Handed;
}

/// Gives the newest list of a service; asked right before each delivery.
pub trait Snapshots: Send + Sync + 'static {
    fn newest(&self, service: &ServiceKey) -> Arc<ServiceSnapshot>;
}

/// Which of a service's lists: enough to tell newer from older.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    revision: u64,
    stamp_ms: u64,
}

impl Mark {
    pub(crate) fn of(snapshot: &ServiceSnapshot) -> Self {
        Self {
            revision: snapshot.revision,
            stamp_ms: snapshot.stamp_ms,
        }
    }

    /// Equal revisions are the same list. Otherwise the stamp decides, which never goes back on a node, even where a
    /// service was forgotten and its revisions began anew.
    pub(crate) fn is_newer_than(self, other: Self) -> bool {
        self.revision != other.revision && (self.stamp_ms, self.revision) > (other.stamp_ms, other.revision)
    }

    pub(crate) fn raise(&mut self, to: Self) {
        if to.is_newer_than(*self) {
            *self = to;
        }
    }
}
