//! What the doors count.

use crate::grpc::EndReason;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, register_histogram_vec, register_int_counter,
    register_int_counter_vec, register_int_gauge,
};
use std::sync::LazyLock;

static HTTP_REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_http_requests_total",
        "HTTP requests answered, by route and by what came of them (ok, refused, failed)",
        &["route", "outcome"]
    )
    .expect("the name is registered once")
});

static HTTP_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "muster_http_request_seconds",
        "Time from a request's last header to its answer, in seconds, by route",
        &["route"],
        vec![0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0]
    )
    .expect("the name is registered once")
});

pub(crate) static HTTP_CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("muster_http_connections", "Open HTTP connections").expect("the name is registered once")
});

pub(crate) static HTTP_PANICS: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "muster_http_panics_total",
        "Requests whose handling panicked; each was answered 500"
    )
    .expect("the name is registered once")
});

/// Connections that TLS was to be spoken on and was not.
pub(crate) static TLS_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_tls_refused_total",
        "Connections closed before a TLS handshake was done, by why (plaintext, handshake, silent)",
        &["reason"]
    )
    .expect("the name is registered once")
});

pub(crate) static TLS_RENEWALS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_tls_renewals_total",
        "Times the certificate files of a door had changed, by what came of them (renewed, refused)",
        &["outcome"]
    )
    .expect("the name is registered once")
});

pub(crate) static SUBSCRIBERS_MISSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_http_subscribers_missed_total",
        "Members whose subscribers are missing in a listing, or not all there, by why (unreachable, refused, cut)",
        &["reason"]
    )
    .expect("the name is registered once")
});

static GRPC_REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_grpc_requests_total",
        "Unary gRPC requests answered, by type and by what came of them (ok, refused in its own type, failed as an ErrorResponse)",
        &["type", "outcome"]
    )
    .expect("the name is registered once")
});

static GRPC_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "muster_grpc_request_seconds",
        "Time from a unary gRPC request's headers to its answer, in seconds, by type",
        &["type"],
        vec![0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0]
    )
    .expect("the name is registered once")
});

pub(crate) static GRPC_CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("muster_grpc_connections", "Open gRPC connections").expect("the name is registered once")
});

static GRPC_ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_grpc_connections_ended_total",
        "gRPC connections that ended, by why (closed, silent, reset, blocked, refused)",
        &["reason"]
    )
    .expect("the name is registered once")
});

pub(crate) static GRPC_QUEUED: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "muster_grpc_queued_messages",
        "Messages that wait to be sent on gRPC streams"
    )
    .expect("the name is registered once")
});

pub(crate) static GRPC_PANICS: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "muster_grpc_panics_total",
        "gRPC requests whose handling panicked; each was answered with an ErrorResponse"
    )
    .expect("the name is registered once")
});

pub(crate) fn grpc_ended(reason: EndReason) {
    GRPC_ENDED.with_label_values(&[reason.label()]).inc();
}

/// The counters of one type of gRPC request, looked up once.
pub(crate) struct GrpcMetrics(RouteMetrics);

impl GrpcMetrics {
    pub(crate) fn new(name: &'static str) -> Self {
        let counter = |outcome| GRPC_REQUESTS.with_label_values(&[name, outcome]);
        Self(RouteMetrics {
            outcomes: [counter("ok"), counter("refused"), counter("failed")],
            seconds: GRPC_SECONDS.with_label_values(&[name]),
        })
    }

    pub(crate) fn record(&self, outcome: Outcome, seconds: f64) {
        self.0.record(outcome, seconds);
    }
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Ok,
    /// The caller's fault: 4xx, and paths that do not exist.
    Refused,
    /// Ours, or the cluster's: 5xx.
    Failed,
}

/// The counters of one route, looked up once.
pub(crate) struct RouteMetrics {
    outcomes: [IntCounter; 3],
    seconds: Histogram,
}

impl RouteMetrics {
    pub(crate) fn new(route: &'static str) -> Self {
        let counter = |outcome| HTTP_REQUESTS.with_label_values(&[route, outcome]);
        Self {
            outcomes: [counter("ok"), counter("refused"), counter("failed")],
            seconds: HTTP_SECONDS.with_label_values(&[route]),
        }
    }

    pub(crate) fn record(&self, outcome: Outcome, seconds: f64) {
        self.outcomes[outcome as usize].inc();
        self.seconds.observe(seconds);
    }
}
