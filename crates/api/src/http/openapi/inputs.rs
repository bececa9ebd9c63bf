//! What each call takes: in the query, in the path, or in a form body.

use super::limits::limits;
use crate::http::endpoint::{Endpoint, Verb};
use muster_wire::{Parameter, ParameterKind, ParameterPlace};
use serde_json::{Map, Value, json};

/// Said of a parameter that a form body may hold as well.
const OR_IN_THE_BODY: &str = "Here or in the form; the query wins. ";

/// The parameters of an operation: all of them, those too that a form may hold.
pub(super) fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let takes_form = takes_form(endpoint);
    endpoint
        .parameters()
        .map(|parameter| {
            let in_path = parameter.place == ParameterPlace::Path;
            let mut described = json!({
                "name": parameter.name,
                "in": if in_path { "path" } else { "query" },
                "required": parameter.required && !takes_form,
                "schema": schema(endpoint, parameter),
            });
            let note = if takes_form { OR_IN_THE_BODY } else { "" };
            described["description"] = json!(format!("{note}{}", sentence(parameter.summary)));
            // With a body of examples those of the query would be what counts.
            if !takes_form && let Some(example) = example(endpoint, parameter) {
                described["example"] = example;
            }
            described
        })
        .collect()
}

/// The form that a call with a body takes.
pub(super) fn body(endpoint: &Endpoint) -> Option<Value> {
    if !takes_form(endpoint) || endpoint.parameters().next().is_none() {
        return None;
    }
    let required: Vec<&str> = endpoint
        .parameters()
        .filter(|parameter| parameter.required)
        .map(|parameter| parameter.name)
        .collect();
    let mut properties = Map::new();
    for parameter in endpoint.parameters() {
        let mut schema = schema(endpoint, parameter);
        schema["description"] = json!(sentence(parameter.summary));
        if let Some(example) = example(endpoint, parameter) {
            schema["examples"] = json!([example]);
        }
        properties.insert(parameter.name.to_owned(), schema);
    }
    let form = json!({ "type": "object", "required": required, "properties": properties });
    Some(json!({
        "description": "Each parameter may stand in the query instead.",
        "required": !required.is_empty(),
        "content": { "application/x-www-form-urlencoded": { "schema": form } },
    }))
}

fn takes_form(endpoint: &Endpoint) -> bool {
    matches!(endpoint.verb, Verb::Post | Verb::Put | Verb::Patch)
}

fn sentence(summary: &str) -> String {
    let mut letters = summary.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

/// Type, default and limits.
fn schema(endpoint: &Endpoint, parameter: &Parameter) -> Value {
    let mut schema = match parameter.kind {
        ParameterKind::Text => json!({ "type": "string" }),
        ParameterKind::Integer => json!({ "type": "integer" }),
        ParameterKind::Number => json!({ "type": "number" }),
        ParameterKind::Flag => json!({ "type": "boolean" }),
        ParameterKind::Json => json!({ "type": "string", "contentMediaType": "application/json" }),
    };
    if let (Some(members), Value::Object(limits)) = (schema.as_object_mut(), limits(endpoint, parameter)) {
        members.extend(limits);
    }
    if let Some(default) = parameter.default {
        schema["default"] = typed(parameter.kind, default);
    }
    schema
}

/// A text as the type that it is read as.
fn typed(kind: ParameterKind, text: &str) -> Value {
    match kind {
        ParameterKind::Text | ParameterKind::Json => json!(text),
        ParameterKind::Integer | ParameterKind::Number | ParameterKind::Flag => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
    }
}

/// A value that is taken: those of all calls fit together, so that what one registers another shows.
pub(super) fn example(endpoint: &Endpoint, parameter: &Parameter) -> Option<Value> {
    let own = endpoint.path.starts_with("/v3/admin/muster/");
    let text = match parameter.name {
        "serviceName" if parameter.summary.contains("as GROUP@@NAME") => "DEFAULT_GROUP@@orders",
        "serviceName" | "serviceNameParam" => "orders",
        "key" => "public##DEFAULT_GROUP@@orders",
        "groupName" if own => "DEFAULT_GROUP",
        "namespaceId" if parameter.default.is_none() => "public",
        "ip" | "clientIP" | "instance" => "10.0.0.1",
        "clusterName" if parameter.default.is_none() => "DEFAULT",
        "beat" => r#"{"ip":"10.0.0.1","port":8080,"cluster":"DEFAULT","weight":1,"metadata":{"zone":"a"}}"#,
        "metadata" => r#"{"zone":"a"}"#,
        "instances" => r#"[{"ip":"10.0.0.1","port":8080,"ephemeral":true}]"#,
        "selector" => r#"{"type":"none"}"#,
        "healthChecker" => r#"{"type":"TCP"}"#,
        "clientId" => "10.0.0.1:8080#true",
        "consistencyType" => "ephemeral",
        "entry" => "healthCheckTimes",
        "value" => "3",
        "state" => "UP",
        "client_address" => "10.0.0.4:8848",
        "peer_address" => "10.0.0.4:9849",
        "port" | "checkPort" => return Some(json!(8080)),
        "id" | "to" => return Some(json!(4)),
        "pageNo" => return Some(json!(1)),
        "pageSize" => return Some(json!(20)),
        "weight" => return Some(json!(1.0)),
        "protectThreshold" => return Some(json!(0.5)),
        "healthy" | "enabled" | "useInstancePort4Check" => return Some(json!(true)),
        _ => return None,
    };
    Some(json!(text))
}
