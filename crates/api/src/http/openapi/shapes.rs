//! The shapes that answers are made of, by name.

mod later;
mod node;
mod v1;

use super::schema::{any_of, count, just, list, map, number, object, one_of, or_null, said, see, text, truth, whole};
use serde_json::{Value, json};

/// The schemas of all components.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    [
        errors(),
        parts(),
        v1::v1(),
        later::later(),
        later::clients(),
        node::node(),
        node::own(),
    ]
    .concat()
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
