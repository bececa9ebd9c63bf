//! The description of all HTTP that is served, as an OpenAPI document.
//!
//! Paths, methods and parameters are those of the tables that requests are routed by ([`routes`](super::routes)); what each
//! call answers stands in [`answers`], which names every route and so does not compile without a new one. The document is
//! made when it is first asked for and kept.

mod answers;
mod failures;
mod inputs;
mod limits;
mod operation;
mod schema;
mod shapes;
#[cfg(test)]
mod tests;

use super::endpoint::Endpoint;
use super::routes;
use super::site::Site;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

const DESCRIPTION: &str = "A naming cluster for clients of Nacos 1.x, 2.x and 3.x. \
    Calls with a form read each parameter from the query as well, and the query wins; the first of a name wins. \
    Other bodies are not read. HEAD asks as GET. An operationId is the label of its call in the metrics. \
    A wrong method or path is 405 or 404, and 501 below /v1/ns. Flags are also taken as on, off, yes, no, 1 and 0.";

/// The document as it is sent.
pub(super) struct Document {
    bytes: Bytes,
    /// Changes with the bytes.
    tag: HeaderValue,
}

impl Document {
    pub(super) fn new(prefix: &str, version: &str) -> Self {
        let bytes = serde_json::to_vec(&describe(prefix, version)).expect("a JSON value is written as such");
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self {
            bytes: Bytes::from(bytes),
            tag: HeaderValue::from_str(&tag).expect("sixteen digits in quotes are a header's value"),
        }
    }
}

/// `GET /openapi.json`.
pub(super) async fn document(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let document = site.document();
    let common = [
        (header::ETAG, document.tag.clone()),
        // Pages that show such documents stand elsewhere, and there is nothing in it to hide.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(&document.tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (common, kind, document.bytes.clone()).into_response()
}

/// The document of a server whose Nacos paths stand below `prefix`.
fn describe(prefix: &str, version: &str) -> Value {
    let prefix = prefix.trim_end_matches('/');
    let mut paths = Map::new();
    for endpoint in routes::all().chain(routes::admin()) {
        add(&mut paths, endpoint);
    }
    for endpoint in routes::probes() {
        add(&mut paths, endpoint);
        paths[endpoint.path]["servers"] = json!([{ "url": "/" }]);
    }
    let tags: Vec<Value> = operation::TAGS
        .iter()
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    let schemas: Map<String, Value> = shapes::all()
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    let responses: Map<String, Value> = failures::all().into_iter().collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "muster",
            "version": version,
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": if prefix.is_empty() { "/" } else { prefix } }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "responses": responses },
    })
}

fn add(paths: &mut Map<String, Value>, endpoint: &Endpoint) {
    for path in endpoint.paths() {
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[operation::method(endpoint.verb)] = operation::operation(endpoint, path);
    }
}
