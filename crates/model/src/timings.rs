//! How long an ephemeral instance may be silent.

use crate::Metadata;
use std::time::Duration;

/// The three times of a lease. Defaults are Nacos's: 5 s, 15 s, 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatTimings {
    /// How often the client is asked to beat.
    pub interval: Duration,
    /// Silence after which the instance is unhealthy.
    pub timeout: Duration,
    /// Silence after which the instance is removed.
    pub delete: Duration,
}

/// The timings contradict each other: a client that beats on time would be expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("beat interval must be less than beat timeout and delete timeout")]
pub struct TimingsError;

impl Default for BeatTimings {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(5_000),
            timeout: Duration::from_millis(15_000),
            delete: Duration::from_millis(30_000),
        }
    }
}

impl BeatTimings {
    /// Reads `preserved.heart.beat.interval`, `preserved.heart.beat.timeout` and `preserved.ip.delete.timeout`, each in
    /// milliseconds. A value that is not all digits counts as absent, as it does in Nacos (`Instance#getMetaDataByKey`).
    ///
    /// # Errors
    /// [`TimingsError`] when timeout or delete timeout is below the interval.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, TimingsError> {
        let standard = Self::default();
        let read = |key, otherwise| {
            metadata
                .get(key)
                .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
                .map_or(otherwise, Duration::from_millis)
        };
        let timings = Self {
            interval: read("preserved.heart.beat.interval", standard.interval),
            timeout: read("preserved.heart.beat.timeout", standard.timeout),
            delete: read("preserved.ip.delete.timeout", standard.delete),
        };
        if timings.timeout < timings.interval || timings.delete < timings.interval {
            return Err(TimingsError);
        }
        Ok(timings)
    }
}
