//! How often members are asked, and how long silence is forgiven.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub ping_every: Duration,
    /// Silence after which a member counts as dead. Not below three pings.
    pub dead_after: Duration,
    /// Wall clocks further apart than this raise a metric and a warning.
    pub skew_warn_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_millis(500),
            dead_after: Duration::from_secs(3),
            skew_warn_ms: 500,
        }
    }
}

impl Config {
    /// `dead_after`, but never below three pings: one lost ping must not kill.
    pub(crate) fn dead_after(&self) -> Duration {
        self.dead_after.max(self.ping_every * 3)
    }

    /// How long one ping may take. Several are on their way at once over a slow link; four of them bound that.
    pub(crate) fn ping_within(&self) -> Duration {
        (self.ping_every * 4).min(self.dead_after())
    }
}
