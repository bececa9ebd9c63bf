//! The document against itself, against the tables, and against a served door.

use super::inputs::example;
use super::{describe, limits, operation};
use crate::http::endpoint::{Answer, Endpoint, Verb};
use crate::http::route::Route;
use crate::http::routes;
use crate::http::tests::rig::{Answer as Got, Rig};
use muster_model::Kind;
use muster_wire::{Parameter, ParameterPlace};
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    describe("/nacos", "0.1.0")
}

/// Every call with its place in the document.
fn served() -> Vec<(&'static Endpoint, &'static str)> {
    routes::all()
        .chain(routes::admin())
        .chain(routes::probes())
        .flat_map(|endpoint| endpoint.paths().map(move |path| (endpoint, path)))
        .collect()
}

/// Method, path and description of each operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(key, _)| *key != "servers");
            methods.map(|(method, operation)| (method.clone(), path.clone(), operation.clone()))
        })
        .collect()
}

/// What a reference in the document leads to.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        None => value,
        Some(to) => {
            let pointer = to.strip_prefix('#').expect("references stay within the document");
            resolve(
                document,
                document
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{to} leads nowhere")),
            )
        }
    }
}

fn walk(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| walk(member, look)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, look)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves_and_every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &mut |value| {
        if let Some(to) = value["$ref"].as_str() {
            resolve(&document, value);
            used.insert(to.to_owned());
        }
    });
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(
                used.contains(&format!("#/components/{kind}/{name}")),
                "{name} is used by nothing"
            );
        }
    }
}

#[test]
fn every_operation_has_an_id_of_its_own_and_a_tag_that_is_explained() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{method} {path}: {id} is taken");
        let tag = operation["tags"][0].as_str().unwrap();
        assert!(operation::TAGS.iter().any(|(known, _)| *known == tag), "{tag}");
        assert!(
            !operation["responses"].as_object().unwrap().is_empty(),
            "{method} {path}"
        );
    }
}

#[test]
fn what_is_served_is_what_is_described() {
    let described: BTreeSet<(String, String)> = operations(&document())
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let served: BTreeSet<(String, String)> = served()
        .into_iter()
        .map(|(endpoint, path)| (operation::method(endpoint.verb).to_owned(), path.to_owned()))
        .collect();
    assert_eq!(described, served);
}

#[test]
fn every_route_has_an_operation() {
    let routed: Vec<Route> = served().into_iter().map(|(endpoint, _)| endpoint.route).collect();
    for route in Route::every() {
        assert!(
            route == Route::Unknown || routed.contains(&route),
            "{route:?} is in no table"
        );
    }
}

/// A path below the prefix, or one of the root.
fn at(endpoint: &Endpoint, path: &str) -> String {
    let path = path.replace("{key}", "public%23%23DEFAULT_GROUP@@orders");
    if operation::tag(endpoint.path) == "node" {
        path
    } else {
        format!("/nacos{path}")
    }
}

async fn ask(rig: &Rig, method: &str, target: &str, body: &str) -> Got {
    let length = body.len();
    let request = format!(
        "{} {target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}",
        method.to_uppercase()
    );
    rig.raw(request.as_bytes()).await
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let letter = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(letter).collect()
}

/// The examples of those parameters, as a query or form.
fn filled(endpoint: &Endpoint, with: impl Fn(&Parameter) -> bool) -> String {
    let pairs: Vec<String> = endpoint
        .parameters()
        .filter(|parameter| parameter.place == ParameterPlace::Form && with(parameter))
        .filter_map(|parameter| {
            let example = example(endpoint, parameter)?;
            let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            Some(format!("{}={}", parameter.name, escaped(&text)))
        })
        .collect();
    pairs.join("&")
}

/// A rig with instances of both kinds, and settings, under the name of the examples.
async fn furnished() -> Rig {
    let rig = Rig::open().await;
    rig.register("orders", "10.0.0.1:8080", Kind::Ephemeral).await;
    rig.register("ledger", "10.0.0.1:8080", Kind::Persistent).await;
    let cluster = "/v1/ns/cluster?serviceName=orders&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true\
        &healthChecker=%7B%22type%22:%22HTTP%22,%22path%22:%22/%22%7D";
    rig.call("PUT", cluster).await.is(200, "ok");
    rig
}

/// The answer has a status, a content type and a shape that the operation names.
#[track_caller]
fn conforms(document: &Value, operation: &Value, answer: &Got) {
    let id = &operation["operationId"];
    let status = answer.status.to_string();
    let named = operation["responses"].get(&status);
    let response = resolve(document, named.unwrap_or_else(|| panic!("{id}: {answer:?}")));
    let Some(content) = response["content"].as_object() else {
        assert!(answer.body.is_empty(), "{id}: {answer:?}");
        return;
    };
    let kind = answer.header("content-type").unwrap_or_default();
    let bare = kind.split(';').next().unwrap_or_default();
    let media = content.get(bare).unwrap_or_else(|| panic!("{id} answers {kind}"));
    let value = if bare == "application/json" {
        answer.json()
    } else {
        Value::String(answer.body.clone())
    };
    if let Err(problem) = fits(document, &media["schema"], &value) {
        panic!("{id}: {problem} in {}", answer.body);
    }
}

/// Whether a value is of a schema, and has no member that the schema does not list. Knows what the document uses.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolve(document, schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        let problems: Vec<String> = choices
            .iter()
            .filter_map(|choice| fits(document, choice, value).err())
            .collect();
        let none = problems.len() == choices.len();
        return if none { Err(problems.join("; or ")) } else { Ok(()) };
    }
    let right_type = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some(other) => return Err(format!("a schema of type {other}")),
    };
    if !right_type {
        return Err(format!("{value} is not of type {}", schema["type"]));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        return Err(format!("{value} is below {least}"));
    }
    for item in value.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item)?;
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap_or_default()).is_none() {
            return Err(format!("{required} is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(listed), _) => fits(document, listed, member).map_err(|problem| format!("{name}: {problem}"))?,
            (None, Value::Null) if schema["properties"].is_object() => return Err(format!("{name} is not listed")),
            (None, Value::Null | Value::Bool(true)) => {}
            (None, more) => fits(document, more, member).map_err(|problem| format!("{name}: {problem}"))?,
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_get_answers_as_it_is_described() {
    let (rig, document) = (furnished().await, document());
    let mut well = 0;
    for (endpoint, path) in served() {
        // The digest that it shows is the real store's, which the rig has not.
        if !matches!(endpoint.verb, Verb::Get | Verb::Any) || endpoint.route == Route::AdminCluster {
            continue;
        }
        let operation = &document["paths"][path]["get"];
        for query in [
            filled(endpoint, |_| true),
            filled(endpoint, |parameter| parameter.required),
            String::new(),
        ] {
            let answer = ask(&rig, "get", &format!("{}?{query}", at(endpoint, path)), "").await;
            conforms(&document, operation, &answer);
            well += usize::from(answer.status == 200);
        }
        if !matches!(endpoint.answer, Answer::Disabled(_)) {
            let query = filled(endpoint, |parameter| parameter.required);
            let answer = ask(&rig, "get", &format!("{}?{query}", at(endpoint, path)), "").await;
            assert_eq!(answer.status, 200, "{path}?{query}: {}", answer.body);
        }
    }
    assert!(well > 150, "{well}");
}

#[tokio::test]
async fn every_write_answers_as_it_is_described() {
    let document = document();
    for (endpoint, path) in served() {
        if matches!(endpoint.verb, Verb::Get | Verb::Any) {
            continue;
        }
        // Each finds the instances of the examples.
        let rig = furnished().await;
        let method = operation::method(endpoint.verb);
        let operation = &document["paths"][path][method];
        let examples = filled(endpoint, |_| true);
        let in_query = ask(&rig, method, &format!("{}?{examples}", at(endpoint, path)), "").await;
        conforms(&document, operation, &in_query);
        if method != "delete" {
            let rig = furnished().await;
            let in_body = ask(&rig, method, &at(endpoint, path), &examples).await;
            assert_eq!(in_body.status, in_query.status, "{path}: {}", in_body.body);
            conforms(&document, operation, &in_body);
        }
    }
}

#[tokio::test]
async fn a_required_parameter_is_missed_and_others_are_not() {
    let (rig, document) = (furnished().await, document());
    let mut seen = 0;
    for (endpoint, path) in served() {
        let method = operation::method(endpoint.verb);
        let operation = &document["paths"][path][method];
        for absent in endpoint.parameters().filter(|p| p.place == ParameterPlace::Form) {
            let rest = filled(endpoint, |parameter| parameter.name != absent.name);
            let answer = ask(&rig, method, &format!("{}?{rest}", at(endpoint, path)), "").await;
            conforms(&document, operation, &answer);
            let missed = answer.status == 400 && answer.body.contains(absent.name);
            assert_eq!(
                missed, absent.required,
                "{method} {path} without {}: {}",
                absent.name, answer.body
            );
            seen += usize::from(absent.required);
        }
    }
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn a_default_says_the_same_as_nothing() {
    let rig = furnished().await;
    for (endpoint, path) in served() {
        // What is counted or timed differs from one answer to the next.
        let moving = matches!(endpoint.route, Route::PushState | Route::Metrics);
        if !matches!(endpoint.verb, Verb::Get | Verb::Any) || moving {
            continue;
        }
        let required = filled(endpoint, |parameter| parameter.required);
        let target = format!("{}?{required}", at(endpoint, path));
        let without = ask(&rig, "get", &target, "").await;
        for parameter in endpoint.parameters() {
            let Some(default) = parameter.default else { continue };
            let with = ask(&rig, "get", &format!("{target}&{}={default}", parameter.name), "").await;
            assert_eq!(
                (with.status, &with.body),
                (without.status, &without.body),
                "{path} {}",
                parameter.name
            );
        }
    }
}

#[tokio::test]
async fn what_is_beyond_a_limit_is_refused() {
    let rig = furnished().await;
    let (mut seen, mut taken) = (0, Vec::new());
    for (endpoint, path) in served() {
        for parameter in endpoint.parameters().filter(|p| p.place == ParameterPlace::Form) {
            let limits = limits::limits(endpoint, parameter);
            let beyond = match (&limits["maximum"], &limits["maxLength"], parameter.name) {
                (Value::Number(most), _, "port" | "checkPort" | "udpPort" | "weight" | "protectThreshold") => {
                    (most.as_u64().unwrap() + 1).to_string()
                }
                (_, Value::Number(most), _) => "x".repeat(most.as_u64().unwrap() as usize + 1),
                _ => continue,
            };
            // Matched against what there is; nothing of it is kept.
            let only_matched = path.contains("/client/service/")
                || path.contains("namespace")
                || (parameter.name == "clusterName"
                    && matches!(
                        endpoint.route,
                        Route::InstanceDetail | Route::CatalogInstances | Route::V2Beat
                    ));
            if only_matched || matches!(endpoint.answer, Answer::Disabled(_)) {
                continue;
            }
            // A beat that brings an instance needs no address beside it, and a deregistration no cluster.
            let rest = filled(endpoint, |other| other.name != parameter.name && other.name != "beat");
            let method = operation::method(endpoint.verb);
            let target = format!("{}?{rest}&{}={beyond}", at(endpoint, path), parameter.name);
            let answer = ask(&rig, method, &target, "").await;
            if answer.status != 400 {
                taken.push(format!(
                    "{method} {path} {}: {} {}",
                    parameter.name, answer.status, answer.body
                ));
            }
            seen += 1;
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn every_switch_that_is_listed_is_known() {
    let rig = Rig::open().await;
    for entry in limits::SWITCHES {
        let wrong = rig
            .call("PUT", &format!("/v1/ns/operator/switches?entry={entry}&value=%20-%20"))
            .await;
        assert_eq!(wrong.status, 400, "{entry}");
        assert!(
            !wrong.body.contains("is not known") && !wrong.body.contains("no effect"),
            "{}",
            wrong.body
        );
    }
}

#[tokio::test]
async fn the_document_is_served_from_the_start_and_told_apart_by_its_tag() {
    let rig = Rig::closed().await;
    let first = rig.call("GET", "/openapi.json").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.json(), document());
    let tag = first.header("etag").unwrap().to_owned();
    let request = format!("GET /nacos/openapi.json HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\n");
    rig.raw(request.as_bytes()).await.is(304, "");
    let wrong = rig.call("POST", "/openapi.json").await;
    assert_eq!(wrong.status, 405);
    assert_eq!(rig.get_root("/openapi.json").await.status, 404);
}

#[tokio::test]
async fn servers_are_the_prefix_and_probes_stand_at_the_root() {
    for (prefix, url) in [("/nacos", "/nacos"), ("/a/b/", "/a/b"), ("", "/"), ("/", "/")] {
        let document = describe(prefix, "1.2.3");
        assert_eq!(document["servers"][0]["url"], url);
        assert_eq!(document["info"]["version"], "1.2.3");
        assert_eq!(document["paths"]["/health/live"]["servers"][0]["url"], "/");
    }
    let rig = Rig::with(|config| config.prefix = "/".to_owned()).await;
    assert_eq!(rig.get_root("/openapi.json").await.status, 200);
}
