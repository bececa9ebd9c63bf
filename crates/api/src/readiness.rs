//! Whether the node serves, asked at every request.

use muster_naming::{Naming, Readiness};
use muster_runtime::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A node found ready is believed to be so for this long; one that is not is asked at every request.
const BELIEVED_MS: u64 = 100;

/// What a door remembers of the node's readiness, so that a request costs one load.
pub(crate) struct Believed {
    began: Instant,
    /// Milliseconds since `began`.
    until_ms: AtomicU64,
}

impl Believed {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            began: clock.now(),
            until_ms: AtomicU64::new(0),
        }
    }

    /// # Errors
    /// Why the node does not serve.
    pub(crate) fn check(&self, clock: &Clock, naming: &Naming) -> Result<(), Readiness> {
        let now_ms = clock.now().saturating_duration_since(self.began).as_millis() as u64;
        if now_ms < self.until_ms.load(Ordering::Relaxed) {
            return Ok(());
        }
        let readiness = naming.readiness();
        if !readiness.ready {
            return Err(readiness);
        }
        self.until_ms.store(now_ms + BELIEVED_MS, Ordering::Relaxed);
        Ok(())
    }
}
