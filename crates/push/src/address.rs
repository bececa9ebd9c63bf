//! What is known of one target address: whether datagrams arrive there, and how many it may be sent.

use crate::engine::SubscriptionId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Unanswered datagrams in a row from which on pushes count as not arriving.
pub(crate) const FAILURES_MAX: u32 = 3;

/// The target address comes from an unauthenticated parameter, so that anyone could aim datagrams at a third party.
/// Until an address has acked once, each poll in its name earns it this many and no more.
const CREDITS_PER_POLL: usize = 2;

const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Address {
    pub(crate) subscriptions: BTreeSet<SubscriptionId>,
    /// Has acked from this very host; until then `credits` bind.
    proven: bool,
    credits: usize,
    unacked_in_a_row: u32,
    /// While pushes do not arrive: no datagram before the instant; the wait doubles with each one sent.
    back_off: Option<(Instant, Duration)>,
}

impl Address {
    pub(crate) fn polled(&mut self) {
        let credits_max = CREDITS_PER_POLL * self.subscriptions.len().max(1);
        self.credits = (self.credits + CREDITS_PER_POLL).min(credits_max);
    }

    /// Whether a datagram may go now.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        (self.proven || self.credits > 0) && self.back_off.is_none_or(|(until, _)| until <= now)
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        self.credits = self.credits.saturating_sub(1);
        if self.is_failing() {
            let wait = self
                .back_off
                .map_or(BACK_OFF_MIN, |(_, wait)| (wait * 2).min(BACK_OFF_MAX));
            self.back_off = Some((now + wait, wait));
        }
    }

    /// Takes back what `sent` took: the network had no room.
    pub(crate) fn not_sent(&mut self) {
        self.credits += 1;
    }

    pub(crate) fn unacked(&mut self) {
        self.unacked_in_a_row = self.unacked_in_a_row.saturating_add(1);
    }

    pub(crate) fn unreachable(&mut self, now: Instant) {
        self.unacked_in_a_row = self.unacked_in_a_row.max(FAILURES_MAX);
        self.sent(now);
    }

    /// Notes an ack; true if pushes had counted as not arriving.
    pub(crate) fn acked(&mut self, proof: bool) -> bool {
        let was_failing = self.is_failing();
        self.proven |= proof;
        self.unacked_in_a_row = 0;
        self.back_off = None;
        was_failing
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.unacked_in_a_row >= FAILURES_MAX
    }

    pub(crate) fn unacked_in_a_row(&self) -> u32 {
        self.unacked_in_a_row
    }
}
