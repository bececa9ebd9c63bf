//! Shapes of v2 and v3.

use crate::http::openapi::schema::{count, just, list, map, null, number, object, one_of, or_null, see, text, truth};
use serde_json::Value;

/// v2 and v3.
pub(super) fn later() -> Vec<(&'static str, Value)> {
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

pub(super) fn clients() -> Vec<(&'static str, Value)> {
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
