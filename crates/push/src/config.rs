use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    /// A service that was quiet is pushed at once; its next push waits this long after the last, so that storms merge.
    pub merge_min: Duration,
    /// How far the wait grows under a lasting storm. No change waits longer than 1000 ms, whatever this says.
    pub merge_max: Duration,
    /// Waits before each further try of an unacknowledged delivery.
    pub retries: Vec<Duration>,
    /// A subscription lives this long after its last poll or ack. Not below 90 s.
    pub subscription_kept: Duration,
    /// Subscriptions kept on this node; more are refused, and the client goes on polling.
    pub subscriptions_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            merge_min: Duration::from_millis(10),
            merge_max: Duration::from_millis(500),
            retries: vec![Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)],
            subscription_kept: Duration::from_secs(90),
            subscriptions_max: 200_000,
        }
    }
}

/// 1.4 promised its clients to merge for 1000 ms at most.
const MERGE_LIMIT: Duration = Duration::from_millis(1_000);

/// A Java 1.4 client whose list is empty polls every 60 s; less than that and it would be deaf in between.
const KEPT_MIN: Duration = Duration::from_secs(90);

impl Config {
    /// The same with every value inside its limits.
    pub(crate) fn bounded(mut self) -> Self {
        self.merge_max = self.merge_max.min(MERGE_LIMIT);
        self.merge_min = self.merge_min.min(self.merge_max);
        self.subscription_kept = self.subscription_kept.max(KEPT_MIN);
        self
    }

    /// How long the ack of the `tries`th try (from 1) is waited for: until the next try, and after the last as long as
    /// before it.
    pub(crate) fn ack_wait(&self, tries: usize) -> Duration {
        let wait = self.retries.get(tries.saturating_sub(1)).or(self.retries.last());
        wait.copied().unwrap_or(Duration::from_secs(1))
    }
}
