//! Points in time small enough for an atomic.

use muster_runtime::Clock;
use std::time::{Duration, Instant};

/// Milliseconds on this node's monotonic clock. Never leaves the node: peers are told ages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// Milliseconds from `earlier` to `self`; 0 when it is not earlier.
    pub(crate) fn since_ms(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `since_ms` as it travels: 49 days are as good as ever.
    pub(crate) fn age_ms(self, earlier: Moment) -> u32 {
        u32::try_from(self.since_ms(earlier)).unwrap_or(u32::MAX)
    }

    pub(crate) fn minus_ms(self, ms: u64) -> Moment {
        Moment(self.0.saturating_sub(ms))
    }
}

/// Turns instants into moments.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    clock: Clock,
    start: Instant,
}

impl Timeline {
    /// The moment the store starts at: far enough from zero for whatever was seen before it, 34 years.
    const START_MS: u64 = 1 << 40;

    pub(crate) fn new(clock: Clock) -> Self {
        let start = clock.now();
        Self { clock, start }
    }

    pub(crate) fn now(&self) -> Moment {
        self.at(self.clock.now())
    }

    pub(crate) fn instant(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn at(&self, instant: Instant) -> Moment {
        let after = instant.saturating_duration_since(self.start);
        let before = self.start.saturating_duration_since(instant);
        Moment((Self::START_MS + ms(after)).saturating_sub(ms(before)))
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
