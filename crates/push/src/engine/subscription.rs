//! What is kept of one subscription.

use crate::address::FAILURES_MAX;
use crate::config::{Config, deaf_wait};
use crate::delivery::Mark;
use crate::target::Recipient;
use crate::{SubscriptionInfo, SubscriptionKey, Target};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names a subscription within its shard; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SubscriptionId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) key: Arc<SubscriptionKey>,
    pub(super) info: Arc<SubscriptionInfo>,
    pub(super) last_seen: Instant,
    /// The newest list that the subscriber needs not be told: it acked it, a poll told it, or it is on a connection and
    /// left every try of it unanswered. None before a connection's first push, and once an address has shown that an older
    /// list reached it last.
    pub(super) told: Option<Mark>,
    /// The newest list that was ever shown to it, acked or not; nothing older follows. `told <= shown`.
    pub(super) shown: Mark,
    /// There may be a list newer than `told`.
    pub(super) dirty: bool,
    /// Stands in `ready`.
    pub(super) queued: bool,
    /// Nothing begins before; stands in `holds`. Only for a connection that has just subscribed.
    pub(super) held_until: Option<Instant>,
    /// A datagram went out since the last poll.
    pub(super) sent_since_poll: bool,
    /// A poll gave one try back to a subscription that pushes do not reach.
    pub(super) restored: bool,
    pub(super) unacked_in_a_row: u32,
    /// Instances of the list that did not fit.
    pub(super) too_large: Option<usize>,
    pub(super) in_flight: Option<InFlight>,
    /// Tokens sent and not answered, with what they carried; at most one per try of one delivery.
    pub(super) sent: Vec<(u64, Mark)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// Those that went out, the last one included even if it did not.
    pub(super) tries: usize,
    /// No further try follows once there are so many.
    pub(super) tries_max: usize,
    pub(super) wait_ends: Instant,
    /// The last try went out, so that no ack counts against the subscriber.
    pub(super) counts: bool,
    /// No earlier try had the last one's token.
    pub(super) new_token: bool,
    /// How often in a row there was no room for it.
    pub(super) busy_in_a_row: u32,
}

impl Subscription {
    pub(super) fn recipient(&self) -> Recipient {
        self.key.target.recipient()
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.key.target, Target::Connection { .. })
    }

    pub(super) fn is_failing(&self) -> bool {
        self.unacked_in_a_row >= FAILURES_MAX
    }

    pub(super) fn needs(&self, mark: Mark) -> bool {
        self.told.is_none_or(|told| mark.is_newer_than(told))
    }

    /// How many tries a delivery begun now gets. One suffices for a connection's client that answers nothing: what it
    /// cannot read today it cannot read in five seconds.
    pub(super) fn tries_max(&self, config: &Config) -> usize {
        match self.is_connected() {
            false => config.retries.len() + 1,
            true if self.is_failing() => 1,
            true => config.stream_retries.len() + 1,
        }
    }

    /// How long the ack of its `tries`th try is waited for.
    pub(super) fn ack_wait(&self, tries: usize, tries_max: usize, config: &Config) -> Duration {
        match self.is_connected() {
            false => config.ack_wait(tries),
            true if self.is_failing() && tries_max == 1 => deaf_wait(self.unacked_in_a_row - FAILURES_MAX),
            true => config.stream_ack_wait(tries),
        }
    }
}
