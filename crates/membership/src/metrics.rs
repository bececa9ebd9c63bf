//! What membership tells the operator.

use prometheus::{IntCounter, IntGauge, register_int_counter, register_int_gauge};
use std::sync::LazyLock;

fn gauge(name: &str, help: &str) -> IntGauge {
    register_int_gauge!(name, help).expect("each metric is registered once, here")
}

pub(crate) static MEMBERS: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("muster_members", "Members configured, this one included"));

pub(crate) static MEMBERS_ALIVE: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_members_alive",
        "Members that this node hears and that hear it, itself included",
    )
});

pub(crate) static QUORUM: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_membership_quorum",
        "1 while this node sees a majority of the members alive, else 0",
    )
});

pub(crate) static EPOCH: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_membership_epoch",
        "Counts changes of who is alive, as seen by this node since its start",
    )
});

pub(crate) static SKEW_MAX_MS: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "muster_clock_skew_max_milliseconds",
        "Largest distance between this node's wall clock and that of a living member",
    )
});

pub(crate) static PINGS_FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!("muster_pings_failed_total", "Pings to members that brought no answer")
        .expect("each metric is registered once, here")
});
