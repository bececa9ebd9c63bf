//! What a parameter's value may be, beyond its type.

use crate::http::endpoint::Endpoint;
use crate::http::route::Route;
use muster_wire::{Parameter, ParameterKind};
use serde_json::{Value, json};

/// Switches that are heeded; others are refused by name.
pub(super) const SWITCHES: [&str; 9] = [
    "check",
    "clientBeatInterval",
    "defaultCacheMillis",
    "defaultInstanceEphemeral",
    "healthCheckTimes",
    "lightBeatEnabled",
    "overriddenServerStatus",
    "pushCacheMillis",
    "pushEnabled",
];

/// A group and `@@` before the longest bare name.
const GROUPED_CHARS_MAX: u32 = 128 + 2 + 512;

/// The members of a schema that narrow its type.
pub(super) fn limits(endpoint: &Endpoint, parameter: &Parameter) -> Value {
    match parameter.name {
        "serviceName" => service_name(endpoint, parameter),
        "key" => json!({ "minLength": 1, "pattern": "@@" }),
        "groupName" if endpoint.route == Route::ServiceList => {
            json!({ "maxLength": 128, "pattern": "^([0-9A-Za-z_:.-]+|[*])$" })
        }
        "groupName" => json!({ "maxLength": 128, "pattern": "^[0-9A-Za-z_:.-]+$" }),
        "namespaceId" => json!({ "maxLength": 64, "pattern": "^[0-9A-Za-z_-]+$" }),
        "clusterName" | "clusters" if lists_clusters(endpoint.route) => json!({ "pattern": "^[0-9A-Za-z,_-]+$" }),
        "clusterName" | "cluster" => json!({ "maxLength": 64, "pattern": "^[0-9A-Za-z-]+$" }),
        "ip" if parameter.required => json!({ "minLength": 1, "maxLength": 128, "pattern": "^[^#\\s]+$" }),
        "port" | "udpPort" | "checkPort" => json!({ "minimum": 0, "maximum": 65_535 }),
        "weight" => json!({ "minimum": 0, "maximum": 10_000 }),
        "protectThreshold" => json!({ "minimum": 0, "maximum": 1 }),
        "pageNo" => json!({ "minimum": 1, "maximum": i32::MAX }),
        "pageSize" if endpoint.route == Route::AdminServices => json!({ "minimum": 1, "maximum": 1_000 }),
        "pageSize" if endpoint.route == Route::V2ServiceList => json!({ "minimum": 1, "maximum": 500 }),
        "pageSize" => json!({ "minimum": 1, "maximum": i32::MAX }),
        "id" | "to" => json!({ "format": "int64", "minimum": 0 }),
        "consistencyType" => json!({ "enum": ["ephemeral", "persist"] }),
        "consistency" => json!({ "enum": ["local", "strong"] }),
        "state" => json!({ "enum": ["STARTING", "UP", "SUSPICIOUS", "DOWN", "ISOLATION"] }),
        "entry" => json!({ "enum": SWITCHES }),
        "client_address" | "peer_address" => json!({ "pattern": "^[^#\\s]+:[0-9]+$" }),
        _ if parameter.kind == ParameterKind::Text && parameter.required => json!({ "minLength": 1 }),
        _ => json!({}),
    }
}

fn service_name(endpoint: &Endpoint, parameter: &Parameter) -> Value {
    if parameter.summary.contains("as GROUP@@NAME") {
        json!({ "maxLength": GROUPED_CHARS_MAX, "pattern": "^[0-9A-Za-z_:.-]+@@[^@\\s]\\S*$" })
    } else if parameter.summary.contains("GROUP@@NAME") {
        json!({ "maxLength": GROUPED_CHARS_MAX, "pattern": "^[^@\\s]\\S*$" })
    } else {
        debug_assert!(
            !endpoint.path.starts_with("/v1/"),
            "names of v1 say that they may be grouped"
        );
        json!({ "maxLength": 512, "pattern": "^[^@\\s]\\S*$" })
    }
}

fn lists_clusters(route: Route) -> bool {
    matches!(
        route,
        Route::InstanceList | Route::V2InstanceList | Route::V3InstanceList | Route::V3LightList
    )
}
