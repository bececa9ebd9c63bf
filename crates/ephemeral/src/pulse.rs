//! Whether this process has gone on running.
//!
//! One that stood still (a stopped container, a machine that swaps) wakes up to connections that their clients have closed
//! because it did not answer. It hears of those ends before it hears where the clients are now.

use crate::moment::Moment;
use std::sync::atomic::{AtomicU64, Ordering};

/// A beat that comes this late means that the process stood still. Clients wait three seconds for an answer.
const STALL_MS: u64 = 3_000;
/// After standing still, ends of connections are doubtful for this long: within it, peers have called, and been compared with
/// more than once.
const DOUBT_MS: u64 = 10_000;

/// Beats while the process runs.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: AtomicU64,
    /// When it went on after standing still; 0 if it never did.
    resumed: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            last: AtomicU64::new(now.0),
            resumed: AtomicU64::new(0),
        }
    }

    pub(crate) fn beat(&self, now: Moment) {
        if self.stands_still(now) {
            self.resumed.store(now.0, Ordering::Release);
        }
        self.last.store(now.0, Ordering::Release);
    }

    /// Whether the process stands still, or did a moment ago.
    pub(crate) fn is_doubtful(&self, now: Moment) -> bool {
        let resumed = Moment(self.resumed.load(Ordering::Acquire));
        now.since_ms(resumed) < DOUBT_MS || self.stands_still(now)
    }

    fn stands_still(&self, now: Moment) -> bool {
        now.since_ms(Moment(self.last.load(Ordering::Acquire))) > STALL_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_in_doubt_from_a_missed_beat_until_ten_seconds_after_the_next() {
        let start = 1 << 40;
        let pulse = Pulse::new(Moment(start));
        let doubtful = |after| pulse.is_doubtful(Moment(start + after));
        assert!(!doubtful(0) && !doubtful(3_000));
        pulse.beat(Moment(start + 500));
        assert!(!doubtful(3_500));
        assert!(doubtful(3_501), "before the next beat, too");
        pulse.beat(Moment(start + 6_000));
        assert!(doubtful(6_000));
        for after in (6_500..=16_000).step_by(500) {
            pulse.beat(Moment(start + after));
        }
        assert!(doubtful(15_999));
        assert!(!doubtful(16_000));
    }
}
