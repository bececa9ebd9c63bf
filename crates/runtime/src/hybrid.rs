//! Hybrid logical time (Kulkarni et al., "Logical Physical Clocks", 2014), one per node.

use crate::Clock;
use muster_model::Stamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A stamp later than this is garbage: the year 2286. Heeded, it would drive the clock into its end, behind which there is
/// no later stamp.
const STAMP_MS_MAX: u64 = 10_000_000_000_000;

/// Issues stamps that follow the wall clock, never go back, and are later than every stamp this node has seen. Clones
/// share the state.
#[derive(Clone, Debug)]
pub struct HybridClock {
    clock: Clock,
    /// The latest stamp issued or observed; only grows.
    last: Arc<AtomicU64>,
}

impl HybridClock {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            last: Arc::default(),
        }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The next stamp: strictly later than all before it on this node.
    pub fn tick(&self) -> Stamp {
        let wall = Stamp::from_millis(self.clock.wall_ms()).0;
        let last = self
            .last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(wall.max(last + 1)))
            .expect("the closure always answers");
        Stamp(wall.max(last + 1))
    }

    /// Notes a stamp that a peer issued; later ticks are later than it. One that no clock can have issued is passed over.
    pub fn observe(&self, seen: Stamp) {
        if seen.millis() <= STAMP_MS_MAX {
            self.last.fetch_max(seen.0, Ordering::AcqRel);
        }
    }

    /// The hybrid time without moving it, in milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.clock
            .wall_ms()
            .max(Stamp(self.last.load(Ordering::Acquire)).millis())
    }
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
}
