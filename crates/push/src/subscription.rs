use crate::Target;
use muster_model::ServiceKey;
use std::sync::Arc;
use std::time::Instant;

/// Who wants to be told of what. Two of one address that differ in `clusters` are two subscriptions; of two of one
/// connection the later replaces the earlier.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SubscriptionKey {
    pub service: ServiceKey,
    /// The cluster filter verbatim, as the client wrote it: it is part of the client's cache key (T-7).
    pub clusters: Box<str>,
    pub target: Target,
}

/// What is kept to show in listings and to choose how to deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionInfo {
    pub agent: Box<str>,
    pub app: Box<str>,
    /// The largest datagram this client can receive. Means nothing on a connection.
    pub datagram_bytes_max: usize,
}

/// What came of asking for a subscription; the answer to the poll says so by its `cacheMillis`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscribed {
    /// Will be pushed to.
    Pushed,
    /// Known, but pushes do not arrive or do not fit: poll sooner.
    PollOnly,
    /// Not kept: this node has as many as it takes.
    Refused,
}

/// A subscription as listed.
#[derive(Clone, Debug)]
pub struct Listed {
    pub key: Arc<SubscriptionKey>,
    pub info: Arc<SubscriptionInfo>,
    pub last_seen: Instant,
    /// Tries in a row that no ack answered.
    pub failures_in_a_row: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub subscriptions: usize,
    /// Tries handed to the network, further ones included.
    pub deliveries: u64,
    pub acked: u64,
    /// Deliveries given up after their last try.
    pub failed: u64,
}
