//! What is known of one target address: whether datagrams arrive there, and how many it may be sent.

use crate::delivery::Mark;
use crate::engine::SubscriptionId;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Unanswered datagrams in a row from which on pushes count as not arriving.
pub(crate) const FAILURES_MAX: u32 = 3;

/// The target address comes from an unauthenticated parameter, so that anyone could aim datagrams at a third party.
/// Until an address has acked once, each poll in its name earns it this many and no more.
const CREDITS_PER_POLL: usize = 2;

/// Unanswered datagrams in a row from which on pushes count as not arriving at an address that has never acked: all that
/// one poll is worth, so that a client behind a wall is told so at its next poll and not at the one after.
const UNPROVEN_FAILURES_MAX: u32 = CREDITS_PER_POLL as u32;

/// Datagrams that are over and done with whose late arrival is still recognized, by the ack. A network that reorders
/// holds few of one address back at a time, and each costs 32 bytes.
const PAST_MAX: usize = 16;

/// How often one of them has the newest list sent again: more copies than networks make of a datagram, and few enough that
/// who forges acks in an address's name draws next to nothing.
const REPAIRS_MAX: u8 = 4;

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
    /// Datagrams whose ack is waited for no more; the latest last, at most [`PAST_MAX`].
    past: VecDeque<Past>,
}

/// A datagram that was answered, or overtaken by another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    pub(crate) token: u64,
    pub(crate) subscription: SubscriptionId,
    /// What it carried.
    pub(crate) mark: Mark,
    /// How often its late arrival had the newest list sent again.
    pub(crate) repairs: u8,
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
        let failures_max = if self.proven {
            FAILURES_MAX
        } else {
            UNPROVEN_FAILURES_MAX
        };
        self.unacked_in_a_row >= failures_max
    }

    pub(crate) fn is_past(&mut self, past: Past) {
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(past);
    }

    pub(crate) fn past(&self, token: u64) -> Option<Past> {
        self.past.iter().find(|past| past.token == token).copied()
    }

    /// Notes that the newest list is sent again because of it.
    pub(crate) fn repaired(&mut self, token: u64) {
        self.past.retain_mut(|past| {
            past.repairs += u8::from(past.token == token);
            past.repairs < REPAIRS_MAX
        });
    }

    pub(crate) fn unacked_in_a_row(&self) -> u32 {
        self.unacked_in_a_row
    }
}
