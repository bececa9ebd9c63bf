//! The shapes that answers are made of, by name.

use super::schema::{
    any_of, count, just, list, map, null, number, object, one_of, or_null, said, see, text, truth, whole,
};
use serde_json::{Value, json};

/// The schemas of all components.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    [errors(), parts(), v1(), later(), clients(), node(), own()].concat()
}

fn errors() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Refusal",
            said(
                object([("code", whole()), ("message", text()), ("data", or_null(text()))]),
                "Why not, in v2 and v3: the detail code, its own words, and what was wrong this time.",
            ),
        ),
        (
            "FrameworkError",
            said(
                object([
                    ("timestamp", text()),
                    ("status", whole()),
                    ("error", text()),
                    ("message", text()),
                    ("path", text()),
                ]),
                "What is refused before a call is reached.",
            ),
        ),
        (
            "OperatorError",
            object([
                (
                    "error",
                    one_of(&[
                        "bad_request",
                        "not_found",
                        "method_not_allowed",
                        "refused",
                        "too_large",
                        "internal",
                        "not_ready",
                        "no_leader",
                        "overloaded",
                        "outcome_unknown",
                    ]),
                ),
                ("message", text()),
            ]),
        ),
    ]
}

fn host() -> Value {
    object([
        ("instanceId", text()),
        ("ip", text()),
        ("port", count()),
        ("weight", number()),
        ("healthy", truth()),
        ("enabled", truth()),
        ("ephemeral", truth()),
        ("clusterName", text()),
        ("serviceName", text()),
        ("metadata", see("Metadata")),
        ("instanceHeartBeatInterval", whole()),
        ("instanceHeartBeatTimeOut", whole()),
        ("ipDeleteTimeout", whole()),
        ("instanceIdGenerator?", text()),
        ("valid", truth()),
        ("marked", truth()),
    ])
}

fn parts() -> Vec<(&'static str, Value)> {
    vec![
        ("Metadata", map(text())),
        (
            "Checker",
            object([
                ("type", one_of(&["TCP", "HTTP", "NONE"])),
                ("path?", text()),
                ("headers?", text()),
                ("expectedResponseCode?", whole()),
            ]),
        ),
        (
            "Selector",
            object([("type", just("none")), ("contextType", just("NONE"))]),
        ),
        ("Host", said(host(), "An instance, as clients are given it.")),
        (
            "ServiceList",
            object([
                ("name", said(text(), "GROUP@@NAME")),
                ("groupName", text()),
                ("clusters", said(text(), "as asked for")),
                ("cacheMillis", said(count(), "when to ask again")),
                ("hosts", list(see("Host"))),
                ("lastRefTime", said(count(), "never smaller than in an earlier answer")),
                ("checksum", text()),
                ("allIPs", truth()),
                (
                    "reachProtectionThreshold",
                    said(truth(), "so few are healthy that all are shown as healthy"),
                ),
                ("valid", truth()),
                ("dom", text()),
                ("useSpecifiedURL", truth()),
                ("env", text()),
                ("metadata", see("Metadata")),
            ]),
        ),
        ("States", object([("ips", said(list(text()), "ip:port_healthy"))])),
        (
            "Updated",
            object([("updated", said(list(text()), "ip:port:unknown:cluster:kind"))]),
        ),
        (
            "BeatAnswer",
            object([
                ("clientBeatInterval", said(count(), "in milliseconds")),
                (
                    "code",
                    said(
                        json!({ "type": "integer", "enum": [10_200, 20_404] }),
                        "20404: nobody knows it, register again",
                    ),
                ),
                ("lightBeatEnabled", truth()),
            ]),
        ),
        (
            "ServiceRow",
            object([
                ("name", text()),
                ("groupName", text()),
                ("clusterCount", count()),
                ("ipCount", count()),
                ("healthyInstanceCount", count()),
                ("triggerFlag", one_of(&["true", "false"])),
            ]),
        ),
    ]
}

fn v1() -> Vec<(&'static str, Value)> {
    let cluster = object([
        ("name", text()),
        ("healthChecker", see("Checker")),
        ("metadata", see("Metadata")),
    ]);
    let catalog_cluster = object([
        ("serviceName", text()),
        ("name", text()),
        ("healthChecker", see("Checker")),
        ("defaultPort", count()),
        ("defaultCheckPort", count()),
        ("useIPPort4Check", truth()),
        ("metadata", see("Metadata")),
    ]);
    let listed = object([
        ("ip", text()),
        ("port", count()),
        ("valid", truth()),
        ("healthy", truth()),
        ("weight", number()),
        ("enabled", truth()),
        ("metadata", see("Metadata")),
    ]);
    vec![
        (
            "V1Instance",
            object([
                ("service", text()),
                ("ip", text()),
                ("port", count()),
                ("clusterName", text()),
                ("weight", number()),
                ("healthy", truth()),
                ("instanceId", text()),
                ("metadata", see("Metadata")),
            ]),
        ),
        (
            "V1Service",
            object([
                ("name", text()),
                ("groupName", text()),
                ("namespaceId", text()),
                ("protectThreshold", number()),
                ("metadata", see("Metadata")),
                ("selector", see("Selector")),
                ("clusters", list(cluster)),
            ]),
        ),
        (
            "V1Subscriber",
            object([
                ("addrStr", text()),
                ("agent", text()),
                ("app", text()),
                ("ip", text()),
                ("port", count()),
                ("namespaceId", text()),
                ("serviceName", text()),
                ("cluster", text()),
            ]),
        ),
        (
            "V1CatalogService",
            object([
                (
                    "service",
                    object([
                        ("name", text()),
                        ("groupName", text()),
                        ("protectThreshold", number()),
                        ("selector", see("Selector")),
                        ("metadata", see("Metadata")),
                    ]),
                ),
                ("clusters", list(catalog_cluster)),
            ]),
        ),
        (
            "V1ServiceWithHosts",
            object([
                ("serviceName", text()),
                ("groupName", text()),
                ("clusterMap", map(object([("hosts", list(listed))]))),
                ("metadata", see("Metadata")),
            ]),
        ),
        (
            "V1CatalogHost",
            object([
                ("instanceId", text()),
                ("ip", text()),
                ("port", count()),
                ("weight", number()),
                ("healthy", truth()),
                ("valid", truth()),
                ("enabled", truth()),
                ("ephemeral", truth()),
                ("clusterName", text()),
                ("serviceName", text()),
                ("metadata", see("Metadata")),
                ("instanceHeartBeatInterval", whole()),
                ("instanceHeartBeatTimeOut", whole()),
                ("ipDeleteTimeout", whole()),
            ]),
        ),
        (
            "V1Metrics",
            object([
                ("status", text()),
                ("serviceCount?", count()),
                ("instanceCount?", count()),
                ("subscribeCount?", count()),
                ("responsibleInstanceCount?", count()),
                ("ephemeralIpPortClientCount?", count()),
                ("persistentIpPortClientCount?", count()),
                ("connectionBasedClientCount?", count()),
                ("raftNotifyTaskCount?", count()),
            ]),
        ),
    ]
}

/// v2 and v3.
fn later() -> Vec<(&'static str, Value)> {
    let v2_cluster = object([
        ("clusterName", text()),
        ("healthChecker", see("Checker")),
        ("metadata", see("Metadata")),
        ("hosts", null()),
    ]);
    let v3_cluster = object([
        ("clusterName", text()),
        ("healthChecker", see("Checker")),
        ("healthyCheckPort", count()),
        ("useInstancePortForCheck", truth()),
        ("metadata", see("Metadata")),
        ("hosts", or_null(list(see("Host")))),
    ]);
    let service = |namespace: &str, cluster: Value| {
        object([
            (namespace, text()),
            ("serviceName", text()),
            ("groupName", text()),
            ("clusterMap", map(cluster)),
            ("metadata", see("Metadata")),
            ("protectThreshold", number()),
            ("selector", see("Selector")),
            ("ephemeral", truth()),
        ])
    };
    vec![
        (
            "V2Instance",
            object([
                ("serviceName", text()),
                ("ip", text()),
                ("port", count()),
                ("clusterName", text()),
                ("weight", number()),
                ("healthy", truth()),
                ("instanceId", text()),
                ("metadata", see("Metadata")),
            ]),
        ),
        ("V2Service", service("namespace", v2_cluster)),
        ("V3Service", service("namespaceId", v3_cluster)),
        (
            "Metrics",
            object([
                ("status", text()),
                ("serviceCount?", count()),
                ("instanceCount?", count()),
                ("subscribeCount?", count()),
                ("clientCount?", count()),
                ("connectionBasedClientCount?", count()),
                ("ephemeralIpPortClientCount?", count()),
                ("persistentIpPortClientCount?", count()),
                ("responsibleClientCount?", count()),
            ]),
        ),
    ]
}

fn clients() -> Vec<(&'static str, Value)> {
    let client = |port: Value| {
        object([
            ("clientId", text()),
            ("ephemeral", truth()),
            ("lastUpdatedTime", count()),
            ("clientType", one_of(&["connection", "ipPort"])),
            ("connectType?", just("GRPC")),
            ("appName?", text()),
            ("version?", text()),
            ("clientIp", text()),
            ("clientPort", port),
        ])
    };
    vec![
        ("V2Client", client(text())),
        ("V3Client", client(count())),
        (
            "V2Published",
            object([
                ("namespace", text()),
                ("group", text()),
                ("serviceName", text()),
                (
                    "registeredInstance",
                    object([("ip", text()), ("port", count()), ("cluster", text())]),
                ),
            ]),
        ),
        (
            "V2Subscribed",
            object([
                ("namespace", text()),
                ("group", text()),
                ("serviceName", text()),
                (
                    "subscriberInfo",
                    object([("app", text()), ("agent", text()), ("addr", text())]),
                ),
            ]),
        ),
        (
            "V2ClientAt",
            object([("clientId", text()), ("ip", text()), ("port", count())]),
        ),
        (
            "V3Publisher",
            object([
                ("clientId", text()),
                ("ip", text()),
                ("port", count()),
                ("clusterName", text()),
            ]),
        ),
        (
            "V3Subscriber",
            object([
                ("clientId", text()),
                ("appName", text()),
                ("agent", text()),
                ("address", text()),
            ]),
        ),
        (
            "V3ClientService",
            object([
                ("namespaceId", text()),
                ("groupName", text()),
                ("serviceName", text()),
                ("publisherInfo", or_null(see("V3Publisher"))),
                ("subscriberInfo", or_null(see("V3Subscriber"))),
            ]),
        ),
        (
            "V3ServiceSubscriber",
            object([
                ("namespaceId", text()),
                ("groupName", text()),
                ("serviceName", text()),
                ("ip", text()),
                ("port", count()),
                ("agent", text()),
                ("appName", text()),
            ]),
        ),
    ]
}

/// What a node says of itself and of the cluster, in Nacos's words.
fn node() -> Vec<(&'static str, Value)> {
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
fn own() -> Vec<(&'static str, Value)> {
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

/// A page of v3's.
pub(super) fn page(items: Value) -> Value {
    object([
        ("totalCount", count()),
        ("pageNumber", count()),
        ("pagesAvailable", count()),
        ("pageItems", list(items)),
    ])
}

/// The services of a console: rows, or with their instances a bare array.
pub(super) fn v1_catalog() -> Value {
    any_of([
        object([("serviceList", list(see("ServiceRow"))), ("count", count())]),
        list(see("V1ServiceWithHosts")),
    ])
}

/// The namespaces, one of them, or whether there is one.
pub(super) fn v1_namespaces(rows: Value) -> Value {
    any_of([rows, see("Namespace"), truth()])
}
