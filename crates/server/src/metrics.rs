//! What the process itself shows.

use prometheus::{Gauge, IntGauge, IntGaugeVec, register_gauge, register_int_gauge, register_int_gauge_vec};
use std::sync::LazyLock;

/// Always 1; the version is the label.
pub static BUILD_INFO: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "muster_build_info",
        "Always 1; the label says which version runs",
        &["version"]
    )
    .expect("registered once")
});

pub static START_SECONDS: LazyLock<Gauge> = LazyLock::new(|| {
    register_gauge!(
        "muster_start_seconds",
        "Seconds from the start of the process to answering clients; 0 until then"
    )
    .expect("registered once")
});

pub static OPEN_FILES_MAX: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("muster_open_files_max", "Files and sockets the process may have open")
        .expect("registered once")
});

/// By door: what is configured, or less where the system allows fewer open files.
pub static CONNECTIONS_MAX: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "muster_connections_max",
        "Connections that a door may hold, by door (http, grpc)",
        &["door"]
    )
    .expect("registered once")
});

/// Puts the metrics of the crates that take a registry beside those that register themselves.
///
/// # Errors
/// A name that is there already.
pub fn register() -> prometheus::Result<()> {
    muster_consensus::metrics::register(prometheus::default_registry())
}
