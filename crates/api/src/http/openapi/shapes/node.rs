//! What a node says of itself and of the cluster, in Nacos's words and in ours.

use crate::http::openapi::schema::{
    count, just, list, null, number, object, one_of, or_null, said, see, text, truth, whole,
};
use serde_json::{Value, json};

/// What a node says of itself and of the cluster, in Nacos's words.
pub(super) fn node() -> Vec<(&'static str, Value)> {
    let mut switches = object([
        ("name", text()),
        ("defaultPushCacheMillis", count()),
        ("clientBeatInterval", count()),
        ("defaultCacheMillis", count()),
        ("healthCheckEnabled", truth()),
        ("pushEnabled", truth()),
        ("checkTimes", count()),
        ("lightBeatEnabled", truth()),
        ("overriddenServerStatus", or_null(text())),
        ("defaultInstanceEphemeral", truth()),
    ]);
    switches["additionalProperties"] = json!(true);
    let mode = one_of(&["standalone", "cluster"]);
    vec![
        (
            "Switches",
            said(
                switches,
                "Members that are not listed are not heeded and have Nacos's defaults.",
            ),
        ),
        (
            "Checkers",
            object([
                ("TCP", see("Checker")),
                ("HTTP", see("Checker")),
                ("NONE", see("Checker")),
            ]),
        ),
        (
            "Member",
            object([
                ("ip", text()),
                ("port", count()),
                ("state", one_of(&["STARTING", "UP", "DOWN"])),
                ("extendInfo", object([("version", text()), ("id", count())])),
                ("address", text()),
                ("failAccessCnt", count()),
            ]),
        ),
        (
            "Namespace",
            object([
                ("namespace", text()),
                ("namespaceShowName", text()),
                ("namespaceDesc", null()),
                ("quota", count()),
                ("configCount", count()),
                ("type", json!({ "type": "integer", "enum": [0, 2] })),
                ("serviceCount", count()),
            ]),
        ),
        (
            "State",
            object([
                ("standalone_mode", mode.clone()),
                ("startup_mode", mode),
                ("function_mode", just("naming")),
                ("version", text()),
                ("server_port", text()),
                ("auth_enabled", just("false")),
                ("login_page_enabled", just("false")),
            ]),
        ),
        (
            "Token",
            object([
                ("accessToken", text()),
                ("tokenTtl", said(count(), "in seconds")),
                ("globalAdmin", truth()),
                ("username", text()),
            ]),
        ),
    ]
}

/// Our own calls.
pub(super) fn own() -> Vec<(&'static str, Value)> {
    let cluster_member = object([
        ("id", count()),
        ("client_address", text()),
        ("peer_address", text()),
        (
            "role",
            one_of(&["leader", "follower", "candidate", "learner", "stopped", "unknown"]),
        ),
        ("voter", truth()),
        ("alive", truth()),
        ("ready", truth()),
        ("last_seen_ms", or_null(count())),
        ("skew_ms", whole()),
        ("matched_index", or_null(count())),
    ]);
    let cluster = object([
        ("local", count()),
        ("version", text()),
        ("standalone", truth()),
        ("ready", truth()),
        ("reasons", list(text())),
        (
            "role",
            one_of(&["leader", "follower", "candidate", "learner", "stopped"]),
        ),
        ("term", count()),
        ("leader", or_null(count())),
        ("initialized", truth()),
        ("last_log_index", count()),
        ("committed_index", count()),
        ("applied_index", count()),
        ("snapshot_index", count()),
        ("quorum_silent_ms", or_null(count())),
        ("fatal", or_null(text())),
        ("quorum", truth()),
        ("epoch", count()),
        ("digest", json!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })),
        ("services", count()),
        ("ephemeral_instances", count()),
        ("persistent_instances", count()),
        ("responsible_instances", count()),
        ("subscriptions", count()),
        ("members", list(cluster_member)),
    ]);
    let instance = object([
        ("ip", text()),
        ("port", count()),
        ("cluster", text()),
        ("kind", one_of(&["ephemeral", "persistent"])),
        ("weight", number()),
        ("enabled", truth()),
        ("healthy", truth()),
        ("metadata", see("Metadata")),
    ]);
    let service_row = object([
        ("namespace", text()),
        ("group", text()),
        ("name", text()),
        ("instances", count()),
        ("healthy", count()),
        ("enabled", count()),
        ("ephemeral", count()),
        ("persistent", count()),
        ("protected", truth()),
    ]);
    let service_cluster = object([
        ("name", text()),
        ("checker", see("Checker")),
        ("check_port", count()),
        ("use_instance_port", truth()),
        ("metadata", see("Metadata")),
    ]);
    let service = object([
        ("namespace", text()),
        ("group", text()),
        ("name", text()),
        ("revision", count()),
        ("stamp_ms", count()),
        ("protect_threshold", number()),
        (
            "protection",
            object([("http", truth()), ("grpc", truth()), ("reason", or_null(text()))]),
        ),
        ("metadata", see("Metadata")),
        ("clusters", list(service_cluster)),
        ("instances", list(see("OperatorInstance"))),
        ("subscribers", count()),
    ]);
    vec![
        ("Cluster", cluster),
        ("OperatorInstance", instance),
        (
            "OperatorServices",
            object([
                ("namespace", text()),
                ("total", count()),
                ("page", count()),
                ("page_size", count()),
                ("services", list(service_row)),
            ]),
        ),
        ("OperatorService", service),
        (
            "Readiness",
            object([("ready", truth()), ("has_leader", truth()), ("reasons", list(text()))]),
        ),
    ]
}
