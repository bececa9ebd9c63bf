//! Hybrid logical time (Kulkarni et al., "Logical Physical Clocks", 2014), one per node.

use crate::Clock;
use muster_model::Stamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A stamp later than this is garbage: the year 2286. Heeded, it would drive the clock into its end, behind which there is
/// no later stamp.
const STAMP_MS_MAX: u64 = 10_000_000_000_000;

/// A node that has been shown a faster clock loses a millisecond a second on it, so that clocks which jitter against each
/// other do not drive time ahead of them for good.
const SECONDS_TO_LOSE_ONE: u64 = 1_000;

/// Issues stamps that follow the wall clock, never go back, and are later than every stamp this node has seen. Clones
/// share the state.
///
/// Time goes on at the pace of the fastest clock shown, also when its node is gone: it does not stand still until the wall
/// clock has caught up. Clients that move from a fast node to a slow one drop lists that look older than what they hold.
#[derive(Clone, Debug)]
pub struct HybridClock {
    clock: Clock,
    shown: Arc<Shown>,
}

/// What a node has been shown of others' time. Both only grow.
#[derive(Debug, Default)]
struct Shown {
    /// The latest stamp issued or observed.
    last: AtomicU64,
    /// What the fastest clock shown is ahead of [`losing`] wall time, milliseconds.
    lead_ms: AtomicU64,
}

impl HybridClock {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            shown: Arc::default(),
        }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The next stamp: strictly later than all before it on this node.
    pub fn tick(&self) -> Stamp {
        let now = Stamp::from_millis(self.pace_ms()).0;
        let last = self
            .shown
            .last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(now.max(last + 1)))
            .expect("the closure always answers");
        Stamp(now.max(last + 1))
    }

    /// Notes a stamp that a peer issued; later ticks are later than it. One that no clock can have issued is passed over.
    pub fn observe(&self, seen: Stamp) {
        if seen.millis() > STAMP_MS_MAX {
            return;
        }
        self.shown.last.fetch_max(seen.0, Ordering::AcqRel);
        let lead_ms = seen.millis().saturating_sub(losing(self.clock.wall_ms()));
        self.shown.lead_ms.fetch_max(lead_ms, Ordering::AcqRel);
    }

    /// The hybrid time without moving it, in milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        let last = Stamp(self.shown.last.load(Ordering::Acquire));
        self.pace_ms().max(last.millis())
    }

    /// What the clock would show now, had nobody asked it before.
    fn pace_ms(&self) -> u64 {
        let wall_ms = self.clock.wall_ms();
        wall_ms.max(losing(wall_ms) + self.shown.lead_ms.load(Ordering::Acquire))
    }
}

/// The time of a clock that loses on the wall clock.
fn losing(wall_ms: u64) -> u64 {
    wall_ms - wall_ms / SECONDS_TO_LOSE_ONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_that_no_clock_issues_does_not_end_time() {
        let hybrid = HybridClock::new(Clock::system());
        hybrid.observe(Stamp(u64::MAX));
        assert!(hybrid.tick() < hybrid.tick());
    }

    #[test]
    fn ticks_grow_even_when_the_wall_clock_goes_back() {
        let clock = Clock::system();
        let hybrid = HybridClock::new(clock.clone());
        let first = hybrid.tick();
        clock.set_skew_ms(-60_000);
        assert!(hybrid.tick() > first);
    }

    #[test]
    fn a_tick_is_later_than_what_a_fast_peer_has_shown() {
        let hybrid = HybridClock::new(Clock::system());
        let fast = Stamp::from_millis(hybrid.now_ms() + 5_000);
        hybrid.observe(fast);
        assert!(hybrid.tick() > fast);
    }

    #[test]
    fn time_goes_on_at_the_pace_of_a_fast_peer_that_is_gone() {
        let clock = Clock::system();
        let hybrid = HybridClock::new(clock.clone());
        let fast_ms = hybrid.now_ms() + 10_000;
        hybrid.observe(Stamp::from_millis(fast_ms));
        clock.set_skew_ms(2_000);
        let later_ms = hybrid.now_ms();
        assert!(later_ms >= fast_ms + 2_000 - 3, "{}", later_ms - fast_ms);
        assert!(hybrid.tick() >= Stamp::from_millis(later_ms));
    }

    #[test]
    fn a_lead_over_the_wall_clock_wears_off() {
        let clock = Clock::system();
        let hybrid = HybridClock::new(clock.clone());
        hybrid.observe(Stamp::from_millis(clock.wall_ms() + 10));
        clock.set_skew_ms(11_000);
        assert!(hybrid.now_ms() <= clock.wall_ms());
    }
}
