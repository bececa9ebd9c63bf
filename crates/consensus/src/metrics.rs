//! What can be seen of consensus. One group per process.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::sync::LazyLock;

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("a valid name")
}

/// The term this member is in.
pub static TERM: LazyLock<IntGauge> = LazyLock::new(|| gauge("muster_raft_term", "The Raft term this member is in."));

/// 1 while this member leads.
pub static IS_LEADER: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_raft_is_leader",
        "Whether this member leads the Raft group (1) or not (0).",
    )
});

/// 1 while this member knows a leader.
pub static HAS_LEADER: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_raft_has_leader",
        "Whether this member knows a leader (1) or not (0).",
    )
});

/// Index of the last entry known to be committed.
pub static COMMITTED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_raft_committed_index",
        "Index of the last Raft entry known here to be committed.",
    )
});

/// Index of the last entry applied.
pub static APPLIED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_raft_applied_index",
        "Index of the last Raft entry applied here.",
    )
});

/// 1 when the log is not synced by configuration.
pub static UNSYNCED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_raft_unsynced",
        "1 if this member acknowledges writes that are not synced to disk.",
    )
});

/// Commands by what became of them: committed, no_leader, unknown, overloaded, stopped.
pub static PROPOSALS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "muster_raft_proposals_total",
        "Commands proposed at this member, by outcome.",
    );
    IntCounterVec::new(options, &["outcome"]).expect("a valid name")
});

/// Commands sent on to the leader.
pub static FORWARDED: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "muster_raft_forward_total",
        "Commands that this member sent on to the leader.",
    )
    .expect("a valid name")
});

/// Writes that were acknowledged before this member showed them.
pub static NOT_SHOWN_HERE: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "muster_raft_not_shown_here_total",
        "Writes that were acknowledged before this member had applied them, because it was behind for too long.",
    )
    .expect("a valid name")
});

/// Adds this crate's metrics and the log's to `registry`.
///
/// # Errors
/// A metric of the same name is there already.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    for gauge in [&TERM, &IS_LEADER, &HAS_LEADER, &COMMITTED, &APPLIED, &UNSYNCED] {
        registry.register(Box::new((**gauge).clone()))?;
    }
    registry.register(Box::new(PROPOSALS.clone()))?;
    registry.register(Box::new(FORWARDED.clone()))?;
    registry.register(Box::new(NOT_SHOWN_HERE.clone()))?;
    muster_storage::metrics::register(registry)
}
