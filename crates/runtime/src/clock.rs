//! The one place that reads time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic and wall time of one node. Clones share the node's skew.
///
/// Monotonic time is tokio's, so a test with paused time moves it; wall time is the system's plus a skew, and moves with
/// tokio's time as well once [`Clock::manual`] was used.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    skew_ms: Arc<AtomicI64>,
    manual: Option<(Instant, u64)>,
}

impl Clock {
    /// The machine's time.
    pub fn system() -> Self {
        Self::default()
    }

    /// Wall time that starts at `wall_ms` and moves with tokio's (pausable) time alone. For tests.
    pub fn manual(wall_ms: u64) -> Self {
        Self {
            skew_ms: Arc::default(),
            manual: Some((tokio::time::Instant::now().into_std(), wall_ms)),
        }
    }

    pub fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Milliseconds since the epoch.
    pub fn wall_ms(&self) -> u64 {
        let true_ms = match self.manual {
            Some((start, wall_ms)) => wall_ms + (self.now() - start).as_millis() as u64,
            None => {
                #[allow(clippy::disallowed_methods, reason = "this is the clock")]
                let now = SystemTime::now();
                now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
            }
        };
        true_ms.saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }

    /// Makes the wall time wrong by `ms` from now on. For tests of skew.
    pub fn set_skew_ms(&self, ms: i64) {
        self.skew_ms.store(ms, Ordering::Relaxed);
    }
}
