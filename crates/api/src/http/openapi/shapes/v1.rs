//! v1's own shapes.

use crate::http::openapi::schema::{count, list, map, number, object, see, text, truth, whole};
use serde_json::Value;

pub(super) fn v1() -> Vec<(&'static str, Value)> {
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
