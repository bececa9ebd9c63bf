//! What the door counts.

use crate::Error;
use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, register_int_counter_vec, register_int_gauge,
    register_int_gauge_vec,
};
use std::sync::LazyLock;

/// Label sets are resolved once: the beat path counts with one addition.
pub(crate) struct Outcomes {
    pub(crate) ok: IntCounter,
    refused: IntCounter,
    failed: IntCounter,
}

impl Outcomes {
    /// Counts how a request ended.
    pub(crate) fn count<T>(&self, answer: &Result<T, Error>) {
        match answer {
            Ok(_) => self.ok.inc(),
            Err(Error::Full(_) | Error::Consensus(_) | Error::Internal(_)) => self.failed.inc(),
            Err(_) => self.refused.inc(),
        }
    }
}

pub(crate) struct Requests {
    pub(crate) register: Outcomes,
    pub(crate) deregister: Outcomes,
    pub(crate) replace: Outcomes,
    pub(crate) edit: Outcomes,
    pub(crate) set_health: Outcomes,
    pub(crate) beat: Outcomes,
    pub(crate) query: Outcomes,
    pub(crate) subscribe: Outcomes,
    pub(crate) unsubscribe: Outcomes,
    pub(crate) publish: Outcomes,
    pub(crate) withdraw: Outcomes,
    pub(crate) list_services: Outcomes,
    pub(crate) create_service: Outcomes,
    pub(crate) update_service: Outcomes,
    pub(crate) delete_service: Outcomes,
    pub(crate) set_cluster: Outcomes,
    pub(crate) set_switch: Outcomes,
    pub(crate) read_barrier: Outcomes,
}

pub(crate) static REQUESTS: LazyLock<Requests> = LazyLock::new(|| {
    let all = register_int_counter_vec!(
        "muster_naming_requests_total",
        "Requests to the door of the domain by operation and outcome: ok, refused (the caller's fault), failed (ours)",
        &["operation", "outcome"]
    )
    .expect("the name is registered once");
    let of = |operation: &str| Outcomes {
        ok: all.with_label_values(&[operation, "ok"]),
        refused: all.with_label_values(&[operation, "refused"]),
        failed: all.with_label_values(&[operation, "failed"]),
    };
    Requests {
        register: of("register"),
        deregister: of("deregister"),
        replace: of("replace"),
        edit: of("edit"),
        set_health: of("set_health"),
        beat: of("beat"),
        query: of("query"),
        subscribe: of("subscribe"),
        unsubscribe: of("unsubscribe"),
        publish: of("publish"),
        withdraw: of("withdraw"),
        list_services: of("list_services"),
        create_service: of("create_service"),
        update_service: of("update_service"),
        delete_service: of("delete_service"),
        set_cluster: of("set_cluster"),
        set_switch: of("set_switch"),
        read_barrier: of("read_barrier"),
    }
});

pub(crate) struct Folds {
    pub(crate) published: IntCounter,
    pub(crate) equal: IntCounter,
}

pub(crate) static FOLDS: LazyLock<Folds> = LazyLock::new(|| {
    let all = register_int_counter_vec!(
        "muster_naming_folds_total",
        "Folds of a service's stores into its list by result: published a new snapshot, or equal to the last one",
        &["result"]
    )
    .expect("the name is registered once");
    Folds {
        published: all.with_label_values(&["published"]),
        equal: all.with_label_values(&["equal"]),
    }
});

pub(crate) static SERVICES: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("muster_naming_services", "Services that exist, as this node holds them")
        .expect("the name is registered once")
});

pub(crate) static MASKED_SERVICES: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "muster_naming_masked_services",
        "Services whose protection threshold shows clients unhealthy instances as healthy; over gRPC those without settings of their own do not"
    )
    .expect("the name is registered once")
});

pub(crate) static SLOTS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "muster_naming_slots",
        "Names kept in the read model, those of unknown but subscribed services included"
    )
    .expect("the name is registered once")
});

pub(crate) static INSTANCES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "muster_naming_instances",
        "Instances by kind, as this node holds them",
        &["kind"]
    )
    .expect("the name is registered once")
});

pub(crate) static PROBE_TARGETS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "muster_naming_probe_targets",
        "Persistent instances with a checker, those that other members probe included"
    )
    .expect("the name is registered once")
});

pub(crate) static PROBES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_naming_probes_total",
        "Health probes of persistent instances by what was found: passed, slow, error, refused",
        &["result"]
    )
    .expect("the name is registered once")
});

pub(crate) static FLIPS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "muster_naming_probe_flips_total",
        "Changes of health proposed by the prober by outcome: ok, failed (the next probe tries again)",
        &["outcome"]
    )
    .expect("the name is registered once")
});

/// Makes all of them visible, at zero, from the start.
pub(crate) fn init() {
    LazyLock::force(&REQUESTS);
    LazyLock::force(&FOLDS);
    LazyLock::force(&SERVICES);
    LazyLock::force(&SLOTS);
    LazyLock::force(&MASKED_SERVICES);
    LazyLock::force(&PROBE_TARGETS);
    for kind in ["ephemeral", "persistent"] {
        INSTANCES.with_label_values(&[kind]);
    }
    for result in ["passed", "slow", "error", "refused"] {
        PROBES.with_label_values(&[result]);
    }
    for outcome in ["ok", "failed"] {
        FLIPS.with_label_values(&[outcome]);
    }
}
