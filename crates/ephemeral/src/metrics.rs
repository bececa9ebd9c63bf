//! What the AP store tells the operator.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, register_int_counter, register_int_counter_vec, register_int_gauge,
};
use std::sync::LazyLock;

const ONCE: &str = "each metric is registered once, here";

macro_rules! gauge {
    ($static:ident, $name:literal, $help:literal) => {
        pub(crate) static $static: LazyLock<IntGauge> =
            LazyLock::new(|| register_int_gauge!($name, $help).expect(ONCE));
    };
}

macro_rules! counter {
    ($static:ident, $name:literal, $help:literal) => {
        pub(crate) static $static: LazyLock<IntCounter> =
            LazyLock::new(|| register_int_counter!($name, $help).expect(ONCE));
    };
}

gauge!(INSTANCES, "muster_ephemeral_instances", "Ephemeral instances held");
gauge!(
    TOMBSTONES,
    "muster_ephemeral_tombstones",
    "Removed ephemeral instances still remembered"
);
gauge!(
    RESPONSIBLE,
    "muster_ephemeral_instances_responsible",
    "Ephemeral instances whose lease this node ends"
);
gauge!(
    PUBLISHERS,
    "muster_ephemeral_publishing_connections",
    "Connections of this node that publish instances"
);
gauge!(
    HELD,
    "muster_ephemeral_instances_published",
    "Instances published by connections of this node"
);
gauge!(
    DIVERGENCE_MAX_MS,
    "muster_ephemeral_divergence_max_milliseconds",
    "Time since the store was last found equal to that of a living member, the worst of them"
);
gauge!(
    COPIES_PENDING_MAX,
    "muster_ephemeral_copies_pending_max",
    "Changes noted and not yet copied, of the member furthest behind"
);
counter!(
    COPIES_SENT,
    "muster_ephemeral_copies_sent_total",
    "Records copied to members"
);
counter!(
    COPIES_FAILED,
    "muster_ephemeral_copy_failed_total",
    "Batches of copies that a member did not acknowledge"
);
counter!(
    COPIES_OVERFLOWED,
    "muster_ephemeral_copies_overflowed_total",
    "Times the notes for a member were dropped and left to the digests"
);
counter!(
    MERGED,
    "muster_ephemeral_merged_total",
    "Records taken over from members"
);
counter!(
    REFUTED,
    "muster_ephemeral_refuted_total",
    "Removals and marks by others that a later beat or registration here refuted"
);
counter!(
    REFUSED,
    "muster_ephemeral_refused_total",
    "Records of members refused because this node is full"
);
counter!(
    GARBAGE,
    "muster_ephemeral_garbage_total",
    "Messages of members that were refused as malformed"
);
counter!(
    COMPARED,
    "muster_ephemeral_digest_compared_total",
    "Comparisons of digests with members"
);
counter!(
    MISMATCHED,
    "muster_ephemeral_digest_mismatch_total",
    "Comparisons of digests that found something to repair"
);
counter!(
    SEEN_SENT,
    "muster_ephemeral_seen_sent_total",
    "Renewals told to members"
);
counter!(
    STALLS,
    "muster_ephemeral_stalls_total",
    "Times this process stood still and granted all leases a full period"
);
counter!(
    WARM_WRITTEN,
    "muster_ephemeral_warm_written_total",
    "Warm copies written"
);
counter!(
    WARM_FAILED,
    "muster_ephemeral_warm_failed_total",
    "Warm copies that could not be written, or not be believed when read"
);

static LEASES_EXPIRED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_lease_expired_total",
        "Leases that silence has ended here: instances marked unhealthy, instances removed",
        &["result"]
    )
    .expect(ONCE)
});

pub(crate) fn lease_expired(due: crate::lease::Due) {
    let result = match due {
        crate::lease::Due::Mark => "marked",
        crate::lease::Due::Remove => "removed",
    };
    LEASES_EXPIRED.with_label_values(&[result]).inc();
}
