//! How often a target is probed, and how many results make a verdict. Pure.

use std::time::Duration;

/// What a probe found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    Passed {
        round_trip: Duration,
    },
    /// No answer in time, or one that says "not now" (503, 302).
    Slow,
    /// The connection broke in another way.
    Broken,
    /// Nobody listens there, or something else answers: unhealthy at once.
    Refused,
}

/// Bounds and inertia of the interval of one kind of probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    /// How much of the old interval stays.
    pub(crate) factor: f64,
}

impl Pace {
    pub(crate) fn start(&self) -> Duration {
        (self.min + self.max) / 2
    }

    /// The wait after a probe: drawn towards the round trip while all is well, and away from what does not answer.
    pub(crate) fn next(&self, interval: Duration, found: Found) -> Duration {
        let sample = match found {
            Found::Passed { round_trip } => round_trip,
            Found::Slow => interval * 2,
            Found::Broken | Found::Refused => self.max,
        };
        let next = interval.mul_f64(self.factor) + sample.min(self.max * 2).mul_f64(1.0 - self.factor);
        next.clamp(self.min, self.max)
    }
}

/// The numbers of the prober.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The first probe waits at least this long.
    pub(crate) first_wait: Duration,
    pub(crate) tcp: Pace,
    pub(crate) http: Pace,
    /// Of one probe, connecting included.
    pub(crate) deadline: Duration,
    /// Of writing one flip to Raft.
    pub(crate) flip_deadline: Duration,
    /// Flips under way at once; what finds no room is found again by the next probe.
    pub(crate) flips_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            first_wait: millis(2_000),
            tcp: Pace {
                min: millis(1_000),
                max: millis(5_000),
                factor: 0.75,
            },
            http: Pace {
                min: millis(500),
                max: millis(5_000),
                factor: 0.85,
            },
            deadline: millis(500),
            flip_deadline: millis(3_000),
            flips_max: 256,
        }
    }
}

/// Results in a row. A result of the other kind starts anew.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Streak {
    passed: u32,
    failed: u32,
}

impl Streak {
    /// Counts a result; `Some(healthy)` once the target must be one or the other.
    pub(crate) fn count(&mut self, found: Found, times: u32) -> Option<bool> {
        match found {
            Found::Passed { .. } => {
                self.failed = 0;
                self.passed = self.passed.saturating_add(1);
                (self.passed >= times).then_some(true)
            }
            Found::Slow | Found::Broken => {
                self.passed = 0;
                self.failed = self.failed.saturating_add(1);
                (self.failed >= times).then_some(false)
            }
            Found::Refused => {
                self.passed = 0;
                self.failed = self.failed.saturating_add(1);
                Some(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pace: Pace, start_ms: u64, found: Found, steps: usize) -> Vec<u128> {
        let mut interval = Duration::from_millis(start_ms);
        std::iter::repeat_with(|| {
            interval = pace.next(interval, found);
            interval.as_millis()
        })
        .take(steps)
        .collect()
    }

    const PASSED: Found = Found::Passed {
        round_trip: Duration::from_millis(1),
    };

    #[test]
    fn tcp_intervals_follow_nacos() {
        let tcp = Limits::default().tcp;
        assert_eq!(tcp.start().as_millis(), 3_000);
        assert_eq!(run(tcp, 3_000, PASSED, 4), [2_250, 1_687, 1_266, 1_000]);
        assert_eq!(run(tcp, 1_000, Found::Slow, 4), [1_250, 1_562, 1_953, 2_441]);
        assert_eq!(run(tcp, 5_000, PASSED, 6), [3_750, 2_812, 2_109, 1_582, 1_187, 1_000]);
        assert!(run(tcp, 1_000, Found::Refused, 40)[39] > 4_990);
    }

    #[test]
    fn three_in_a_row_make_a_verdict_and_another_result_starts_anew() {
        let mut streak = Streak::default();
        assert_eq!(streak.count(PASSED, 3), None);
        assert_eq!(streak.count(PASSED, 3), None);
        assert_eq!(streak.count(Found::Slow, 3), None);
        assert_eq!(streak.count(PASSED, 3), None);
        assert_eq!(streak.count(PASSED, 3), None);
        assert_eq!(streak.count(PASSED, 3), Some(true));
        assert_eq!(streak.count(Found::Slow, 3), None);
        assert_eq!(streak.count(Found::Broken, 3), None);
        assert_eq!(streak.count(Found::Slow, 3), Some(false));
    }

    #[test]
    fn a_refused_connection_is_a_verdict_at_once() {
        assert_eq!(Streak::default().count(Found::Refused, 3), Some(false));
    }
}
