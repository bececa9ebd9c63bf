//! Telling subscribers: who they are, when they are told, what an ack means, when to try again.
//!
//! Newest wins: one delivery in flight per subscription; a change meanwhile marks it dirty, and every try carries the
//! newest snapshot. Nothing queues snapshots, so memory is bounded by subscriptions (reference 1.14). How a snapshot
//! becomes bytes and reaches an address is the [`Sink`]'s affair, which `api` implements.

use muster_model::{ServiceKey, ServiceSnapshot};
use muster_runtime::{Clock, Tasks};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Config {
    /// A service that was quiet is pushed at once; its next push waits this long after the last, so that storms merge.
    pub merge_min: Duration,
    /// How far the wait grows under a lasting storm.
    pub merge_max: Duration,
    /// Waits before each further try of an unacknowledged delivery.
    pub retries: Vec<Duration>,
    /// A subscription lives this long after its last poll or ack. Not below 90 s.
    pub subscription_kept: Duration,
    /// Subscriptions kept on this node; more are refused, and the client goes on polling.
    pub subscriptions_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            merge_min: Duration::from_millis(10),
            merge_max: Duration::from_millis(500),
            retries: vec![Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)],
            subscription_kept: Duration::from_secs(90),
            subscriptions_max: 200_000,
        }
    }
}

/// Who wants to be told of what. Two of one address that differ in `clusters` are two subscriptions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SubscriptionKey {
    pub service: ServiceKey,
    /// The cluster filter verbatim, as the client wrote it: it is part of the client's cache key (T-7).
    pub clusters: Box<str>,
    pub target: SocketAddr,
}

/// What is kept to show in listings and to choose how to deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionInfo {
    pub agent: Box<str>,
    pub app: Box<str>,
    /// The largest datagram this client can receive.
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

/// One delivery to one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub key: Arc<SubscriptionKey>,
    pub info: Arc<SubscriptionInfo>,
    pub snapshot: Arc<ServiceSnapshot>,
    /// Comes back in the ack. Strictly increasing per node, below 2^53 (JavaScript clients round above it). Deliveries
    /// of one snapshot share it, so that bytes can be shared.
    pub token: u64,
}

/// What became of handing a delivery to the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handed {
    Sent,
    /// Larger than this subscriber can receive: poll-only until the list shrinks.
    TooLarge,
    /// The address cannot be sent to.
    Unreachable,
}

/// Carries deliveries out. Must not block.
pub trait Sink: Send + Sync + 'static {
    fn deliver(&self, delivery: &Delivery) -> Handed;
}

/// Gives the newest list of a service; asked right before each delivery.
pub trait Snapshots: Send + Sync + 'static {
    fn newest(&self, service: &ServiceKey) -> Arc<ServiceSnapshot>;
}

/// A subscription as listed.
#[derive(Clone, Debug)]
pub struct Listed {
    pub key: Arc<SubscriptionKey>,
    pub info: Arc<SubscriptionInfo>,
    pub last_seen: Instant,
    pub failures_in_a_row: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub subscriptions: usize,
    pub deliveries: u64,
    pub acked: u64,
    pub failed: u64,
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Push {
    _skeleton: (),
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
        let _ = (config, snapshots, sink, clock, tasks);
        todo!("skeleton")
    }

    /// Allows pushing: the node's state is loaded, so no list is short from our own ignorance (G7).
    pub fn open(&self) {
        todo!("skeleton")
    }

    /// Adds or renews a subscription. `seen` is the snapshot that the caller answers the poll with: it counts as told.
    pub fn subscribe(&self, key: SubscriptionKey, info: SubscriptionInfo, seen: &ServiceSnapshot) -> Subscribed {
        let _ = (key, info, seen);
        todo!("skeleton")
    }

    /// A service has a newer snapshot. Cheap; called for every change.
    pub fn changed(&self, service: &ServiceKey) {
        let _ = service;
        todo!("skeleton")
    }

    /// A subscriber says it has what `token` carried. `from` is where the ack came from, which NAT may have changed.
    pub fn acked(&self, token: u64, from: SocketAddr) {
        let _ = (token, from);
        todo!("skeleton")
    }

    pub fn subscriptions(&self, of: &dyn Fn(&ServiceKey) -> bool) -> Vec<Listed> {
        let _ = of;
        todo!("skeleton")
    }

    pub fn counts(&self) -> Counts {
        todo!("skeleton")
    }

    /// `pushEnabled`: off, nothing is sent; subscriptions are kept.
    pub fn set_enabled(&self, enabled: bool) {
        let _ = enabled;
        todo!("skeleton")
    }

    /// Sends what is due now, at most for `deadline`.
    pub async fn drain(&self, deadline: Duration) {
        let _ = deadline;
        todo!("skeleton")
    }
}
