//! When a service that changed is pushed.

use crate::Config;
use std::time::{Duration, Instant};

/// Changes merged into one push from which on the service counts as stormy.
const STORM_CHANGES: u32 = 4;

/// The pace of one service: a quiet one goes at once, a stormy one at growing intervals.
///
/// The wait after a push doubles up to `merge_max` while pushes merge [`STORM_CHANGES`] and more, halves when they merge
/// one, and is back at `merge_min` once a change finds the wait over.
#[derive(Debug)]
pub(crate) struct Pace {
    wait: Duration,
    last: Option<Instant>,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    due: Instant,
    changes: u32,
}

impl Pace {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            wait: config.merge_min,
            last: None,
            pending: None,
        }
    }

    /// Notes changes; the answer is when to push, if that was not settled before.
    pub(crate) fn changed(&mut self, changes: u32, now: Instant, config: &Config) -> Option<Instant> {
        if let Some(pending) = &mut self.pending {
            pending.changes = pending.changes.saturating_add(changes);
            return None;
        }
        let due = match self.last.map(|last| last + self.wait) {
            Some(over) if over > now => over,
            _ => {
                self.wait = config.merge_min;
                now
            }
        };
        self.pending = Some(Pending { due, changes });
        Some(due)
    }

    /// Notes that the push is under way.
    pub(crate) fn fire(&mut self, now: Instant, config: &Config) {
        let changes = self.pending.take().map_or(0, |pending| pending.changes);
        if changes >= STORM_CHANGES {
            self.wait = (self.wait * 2).min(config.merge_max);
        } else if changes <= 1 {
            self.wait = (self.wait / 2).max(config.merge_min);
        }
        self.last = Some(now);
    }

    /// Moves a push that waits to `now`; the answer is when it would have been.
    pub(crate) fn hurry(&mut self, now: Instant) -> Option<Instant> {
        let pending = self.pending.as_mut()?;
        Some(std::mem::replace(&mut pending.due, now))
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        muster_runtime::Clock::system().now()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_quiet_service_is_pushed_at_once_and_again_at_once_when_quiet_again() {
        let (config, now) = (Config::default(), start());
        let mut pace = Pace::new(&config);
        assert_eq!(pace.changed(1, now, &config), Some(now));
        pace.fire(now, &config);
        let later = now + ms(11);
        assert_eq!(pace.changed(1, later, &config), Some(later));
    }

    #[test]
    fn changes_right_after_a_push_are_merged_for_merge_min() {
        let (config, now) = (Config::default(), start());
        let mut pace = Pace::new(&config);
        pace.changed(1, now, &config);
        pace.fire(now, &config);
        assert_eq!(pace.changed(1, now + ms(1), &config), Some(now + ms(10)));
        assert_eq!(pace.changed(1, now + ms(2), &config), None);
    }

    #[test]
    fn a_storm_widens_the_wait_to_merge_max_and_no_change_waits_longer_than_a_second() {
        let config = Config {
            merge_max: ms(60_000),
            ..Config::default()
        }
        .bounded();
        let start = start();
        let mut pace = Pace::new(&config);
        let (mut first, mut longest, mut pushes) = (None, Duration::ZERO, 0);
        // A change each millisecond for twenty seconds.
        for at in (0..20_000).map(|n| start + ms(n)) {
            pace.changed(1, at, &config);
            first.get_or_insert(at);
            if pace.due().is_some_and(|due| due <= at) {
                longest = longest.max(at - first.take().unwrap());
                pace.fire(at, &config);
                pushes += 1;
            }
        }
        assert!(longest <= ms(1_000), "{longest:?}");
        assert!(longest >= ms(900), "{longest:?}");
        assert!(pushes <= 30, "{pushes}");
    }

    #[test]
    fn after_a_storm_the_first_change_goes_at_once() {
        let (config, start) = (Config::default(), start());
        let mut pace = Pace::new(&config);
        for n in 0..5_000 {
            let at = start + ms(n);
            pace.changed(1, at, &config);
            if pace.due().is_some_and(|due| due <= at) {
                pace.fire(at, &config);
            }
        }
        pace.fire(start + ms(5_000), &config);
        let calm = start + ms(6_000);
        assert_eq!(pace.changed(1, calm, &config), Some(calm));
        pace.fire(calm, &config);
        assert_eq!(pace.changed(1, calm + ms(1), &config), Some(calm + ms(10)));
    }
}
