//! What can be seen of the disk.

use prometheus::{Histogram, HistogramOpts, IntCounter, Registry, exponential_buckets};
use std::sync::LazyLock;

/// One sync of the Raft log. Buckets from 50 µs (a kind virtual disk needs 0.13 ms) doubling to 1.6 s.
pub static SYNC_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    let options = HistogramOpts::new(
        "muster_storage_sync_seconds",
        "Duration of one sync of the Raft log, in seconds.",
    )
    .buckets(exponential_buckets(0.000_05, 2.0, 16).expect("a positive start and a factor above one"));
    Histogram::with_opts(options).expect("a valid name")
});

/// Entries that went to disk; over the count of syncs it tells how many a sync carries.
pub static ENTRIES: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("muster_storage_log_entries_total", "Entries written to the Raft log.").expect("a valid name")
});

/// Bytes written to the log.
pub static LOG_BYTES: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("muster_storage_log_bytes_total", "Bytes written to the Raft log.").expect("a valid name")
});

/// Adds this crate's metrics to `registry`.
///
/// # Errors
/// A metric of the same name is there already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(SYNC_SECONDS.clone()))?;
    registry.register(Box::new(ENTRIES.clone()))?;
    registry.register(Box::new(LOG_BYTES.clone()))
}
