use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    /// A service that was quiet is pushed at once; its next push waits this long after the last, so that storms merge.
    pub merge_min: Duration,
    /// How far the wait grows under a lasting storm. No change waits longer than 1000 ms, whatever this says.
    pub merge_max: Duration,
    /// Waits before each further try of an unacknowledged datagram.
    pub retries: Vec<Duration>,
    /// Waits before each further try of a delivery that a connection's client has not acknowledged. A stream loses
    /// nothing, so these serve a client that was busy or failed over it once, not a network.
    pub stream_retries: Vec<Duration>,
    /// How long after subscribing a connection is pushed its first list, so that the answer to the subscription is
    /// written first. Not above a second.
    pub welcome_after: Duration,
    /// A subscription of an address lives this long after its last poll or ack. Not below 90 s. That of a connection
    /// lives as long as the connection.
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
            // 5 s is how long Nacos waits for the ack of a push (`PushConstants`); it tries for ever, we three times.
            stream_retries: vec![Duration::from_secs(5); 2],
            // Many times what an answer takes from the handler to the socket, and unnoticed by who waits for an event.
            welcome_after: Duration::from_millis(10),
            subscription_kept: Duration::from_secs(90),
            subscriptions_max: 200_000,
        }
    }
}

/// 1.4 promised its clients to merge for 1000 ms at most.
const MERGE_LIMIT: Duration = Duration::from_millis(1_000);

/// A Rust client's listeners hear of nothing before their first push.
const WELCOME_LIMIT: Duration = Duration::from_secs(1);

/// The waits between tries to a connection whose client never acks.
const DEAF_WAIT_MIN: Duration = Duration::from_secs(1);
const DEAF_WAIT_MAX: Duration = Duration::from_secs(30);

/// A Java 1.4 client whose list is empty polls every 60 s; less than that and it would be deaf in between.
const KEPT_MIN: Duration = Duration::from_secs(90);

impl Config {
    /// The same with every value inside its limits.
    pub(crate) fn bounded(mut self) -> Self {
        self.merge_max = self.merge_max.min(MERGE_LIMIT);
        self.merge_min = self.merge_min.min(self.merge_max);
        self.welcome_after = self.welcome_after.min(WELCOME_LIMIT);
        self.subscription_kept = self.subscription_kept.max(KEPT_MIN);
        self
    }

    /// How long the ack of the `tries`th datagram (from 1) is waited for: until the next, and after the last as long as
    /// before it.
    pub(crate) fn ack_wait(&self, tries: usize) -> Duration {
        wait_of(&self.retries, tries)
    }

    /// The same of a delivery to a connection.
    pub(crate) fn stream_ack_wait(&self, tries: usize) -> Duration {
        wait_of(&self.stream_retries, tries)
    }
}

fn wait_of(waits: &[Duration], tries: usize) -> Duration {
    let wait = waits.get(tries.saturating_sub(1)).or(waits.last());
    wait.copied().unwrap_or(Duration::from_secs(1))
}

/// How long a connection's client that has left so many tries unanswered beyond the first few is left alone.
pub(crate) fn deaf_wait(unanswered: u32) -> Duration {
    DEAF_WAIT_MIN.saturating_mul(1 << unanswered.min(10)).min(DEAF_WAIT_MAX)
}
