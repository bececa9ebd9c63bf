//! One operation: a call by one method at one of its paths.

use super::{answers, failures, inputs};
use crate::http::endpoint::{Answer, Endpoint, Verb};
use serde_json::{Map, Value, json};

/// Whose dialect a call speaks, with a word on it.
pub(super) const TAGS: [(&str, &str); 5] = [
    ("v1", "Nacos 1.x: text or bare JSON; a refusal is a status with a text."),
    ("v2", "Nacos 2.x: answers and refusals in {code, message, data}."),
    ("v3", "Nacos 3.x: answers and refusals in {code, message, data}."),
    ("muster", "Our own calls, for operators and tools."),
    ("node", "Health and metrics, at the root of the server."),
];

/// The tag of a path.
pub(super) fn tag(path: &str) -> &'static str {
    let below = |start: &str| path.starts_with(start);
    match path {
        _ if below("/v1/") => "v1",
        _ if below("/v2/") => "v2",
        _ if below("/v3/admin/muster/") || below("/openapi") => "muster",
        _ if below("/v3/") => "v3",
        _ => "node",
    }
}

/// A call that any method reaches is described by `get` alone.
pub(super) fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Any | Verb::Get => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

/// The label of the call in metrics; where that stands for several operations, method and path.
fn id(endpoint: &Endpoint, path: &str) -> String {
    if path == endpoint.path && !matches!(endpoint.answer, Answer::Disabled(_)) {
        return endpoint.route.label().to_owned();
    }
    let place: String = path
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    format!("{}{place}", method(endpoint.verb))
}

/// The call by its method at `path`, one of its paths.
pub(super) fn operation(endpoint: &Endpoint, path: &str) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("tags", json!([tag(path)]));
    put("operationId", json!(id(endpoint, path)));
    put("summary", json!(endpoint.summary));
    if let Answer::Disabled(why) = endpoint.answer {
        put("description", json!(format!("Not offered: {why}.")));
        put("x-not-offered", json!(true));
    }
    if endpoint.verb == Verb::Any {
        put("description", json!("Any method asks the same."));
        put("x-any-method", json!(true));
    }
    let parameters = inputs::parameters(endpoint);
    if !parameters.is_empty() {
        put("parameters", json!(parameters));
    }
    if let Some(body) = inputs::body(endpoint) {
        put("requestBody", body);
    }
    put("responses", responses(endpoint));
    Value::Object(members)
}

fn responses(endpoint: &Endpoint) -> Value {
    let mut responses = Map::new();
    if let Some((kind, schema)) = answers::success(endpoint) {
        let well = json!({ "description": "Done.", "content": { kind: { "schema": schema } } });
        responses.insert("200".to_owned(), well);
    }
    for (status, response) in failures::of(endpoint) {
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}
