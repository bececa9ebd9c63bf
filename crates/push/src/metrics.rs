//! What can be seen of pushing from outside.

use crate::{Handed, Target};
use prometheus::{
    HistogramVec, IntCounter, IntCounterVec, IntGauge, register_histogram_vec, register_int_counter,
    register_int_counter_vec, register_int_gauge,
};
use std::sync::LazyLock;

const REGISTERED_ONCE: &str = "a metric is registered once, here";

/// From half a millisecond, well under the promised 5 ms, to the longest retry.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

pub(crate) static DELAY: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "muster_push_delay_seconds",
        "Time from this node hearing of a change to the first datagram or message that carries it, per subscriber, via udp or stream",
        &["via"],
        SECONDS.to_vec()
    )
    .expect(REGISTERED_ONCE)
});

pub(crate) static SENT_AGE: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "muster_push_sent_age_seconds",
        "Age of the latest change in each list sent, further tries and subscribers that had stopped answering included, first lists of new subscriptions not, via udp or stream",
        &["via"],
        SECONDS.to_vec()
    )
    .expect(REGISTERED_ONCE)
});

pub(crate) static DELIVERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_push_deliveries_total",
        "Tries via udp or stream, by what became of handing them to the network: sent, too_large, unreachable, busy",
        &["via", "outcome"]
    )
    .expect(REGISTERED_ONCE)
});

pub(crate) static ACKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_push_acks_total",
        "Acks via udp or stream, by whether they matched: matched, other_address (NAT), unmatched",
        &["via", "outcome"]
    )
    .expect(REGISTERED_ONCE)
});

pub(crate) static GIVEN_UP: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "muster_push_given_up_total",
        "Deliveries given up without an ack; an address learns the list by polling, a connection with the next change"
    )
    .expect(REGISTERED_ONCE)
});

pub(crate) static REFUSED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "muster_push_subscriptions_refused_total",
        "Subscriptions refused because this node, or their address or connection, holds as many as it may"
    )
    .expect(REGISTERED_ONCE)
});

pub(crate) static SUBSCRIPTIONS: LazyLock<IntGauge> =
    LazyLock::new(|| register_int_gauge!("muster_push_subscriptions", "Subscriptions kept").expect(REGISTERED_ONCE));

pub(crate) static IN_FLIGHT: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "muster_push_in_flight",
        "Subscriptions whose last try waits for its ack, or for room"
    )
    .expect(REGISTERED_ONCE)
});

/// Makes every metric show, at zero, from the start.
pub(crate) fn register() {
    for via in [UDP, STREAM] {
        for outcome in [Handed::Sent, Handed::TooLarge, Handed::Unreachable, Handed::Busy] {
            DELIVERIES.with_label_values(&[via, outcome_label(outcome)]).inc_by(0);
        }
        for outcome in ["matched", "unmatched"] {
            ACKS.with_label_values(&[via, outcome]).inc_by(0);
        }
        DELAY.with_label_values(&[via]);
        SENT_AGE.with_label_values(&[via]);
    }
    ACKS.with_label_values(&[UDP, "other_address"]).inc_by(0);
    LazyLock::force(&GIVEN_UP);
    LazyLock::force(&REFUSED);
    LazyLock::force(&SUBSCRIPTIONS);
    LazyLock::force(&IN_FLIGHT);
}

/// The values of `via`.
pub(crate) const UDP: &str = "udp";
pub(crate) const STREAM: &str = "stream";

pub(crate) fn via(target: &Target) -> &'static str {
    match target {
        Target::Udp(_) => UDP,
        Target::Connection { .. } => STREAM,
    }
}

pub(crate) fn outcome_label(outcome: Handed) -> &'static str {
    match outcome {
        Handed::Sent => "sent",
        Handed::TooLarge => "too_large",
        Handed::Unreachable => "unreachable",
        Handed::Busy => "busy",
    }
}
