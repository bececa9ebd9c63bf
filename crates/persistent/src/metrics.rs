//! What this crate counts.

use prometheus::{Histogram, IntCounter, IntGauge, register_histogram, register_int_counter, register_int_gauge};
use std::sync::LazyLock;

/// A static metric; `expect` because the names are ours and distinct.
macro_rules! metric {
    ($name:ident: $kind:ty = $register:ident!($($argument:expr),+)) => {
        pub(crate) static $name: LazyLock<$kind> =
            LazyLock::new(|| $register!($($argument),+).expect("metric names are distinct"));
    };
}

metric!(SERVICES: IntGauge = register_int_gauge!(
    "muster_persistent_services",
    "Services in the replicated state."
));
metric!(INSTANCES: IntGauge = register_int_gauge!(
    "muster_persistent_instances",
    "Persistent instances in the replicated state."
));
metric!(CHECKPOINT_SECONDS: Histogram = register_histogram!(
    "muster_persistent_checkpoint_seconds",
    "Time to write and sync one checkpoint of the replicated state.",
    vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
));
metric!(CHECKPOINT_FAILURES: IntCounter = register_int_counter!(
    "muster_persistent_checkpoint_failures_total",
    "Checkpoints that the disk refused; the next one starts over."
));
metric!(DISK_BYTES: IntGauge = register_int_gauge!(
    "muster_persistent_disk_bytes",
    "Bytes that the checkpoints take on disk."
));
metric!(REBUILT: IntCounter = register_int_counter!(
    "muster_persistent_rebuilt_total",
    "Damaged checkpoints put aside, their state rebuilt from snapshot and log."
));
metric!(RETRIES_ANSWERED: IntCounter = register_int_counter!(
    "muster_persistent_retries_answered_total",
    "Commands that had been carried out already and were answered again."
));
metric!(UNKNOWN_COMMANDS: IntCounter = register_int_counter!(
    "muster_persistent_unknown_commands_total",
    "Commands that this version does not know."
));

/// Has all of them shown from the start, at 0.
pub(crate) fn show() {
    for gauge in [&SERVICES, &INSTANCES, &DISK_BYTES] {
        LazyLock::force(gauge);
    }
    for counter in [&CHECKPOINT_FAILURES, &REBUILT, &RETRIES_ANSWERED, &UNKNOWN_COMMANDS] {
        LazyLock::force(counter);
    }
    LazyLock::force(&CHECKPOINT_SECONDS);
}
