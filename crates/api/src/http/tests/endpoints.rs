//! What holds of every call of v2 and v3, by the table that routes them.

use super::bad_input::state;
use super::rig::{Answer as Got, Rig, read_answer};
use crate::http::endpoint::{Answer, Endpoint, Verb};
use crate::http::routes;
use muster_model::Kind;
use muster_wire::{Parameter, ParameterKind, ParameterPlace};
use tokio::io::AsyncWriteExt;

/// The calls that answer in a `Result`, each by its own path and by its aliases.
fn later() -> impl Iterator<Item = (&'static Endpoint, String)> {
    routes::all()
        .flat_map(|endpoint| {
            endpoint
                .paths()
                .map(move |path| (endpoint, path.replace("{key}", "G@@s")))
        })
        .filter(|(_, path)| !path.starts_with("/v1/"))
}

fn method(endpoint: &Endpoint) -> &'static str {
    match endpoint.verb {
        Verb::Any | Verb::Get => "GET",
        Verb::Post => "POST",
        Verb::Put => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
    }
}

fn disabled(endpoint: &Endpoint) -> bool {
    matches!(endpoint.answer, Answer::Disabled(_))
}

fn code(answer: &Got) -> u64 {
    answer.json()["code"]
        .as_u64()
        .unwrap_or_else(|| panic!("{}", answer.body))
}

#[tokio::test]
async fn a_missing_parameter_is_400_with_code_10000_and_changes_nothing() {
    let rig = Rig::open().await;
    rig.register("kept", "10.0.0.1:80", Kind::Ephemeral).await;
    let before = state(&rig).await;
    let mut seen = 0;
    for (endpoint, path) in later() {
        let needs = |p: &&Parameter| p.required && p.place == ParameterPlace::Form;
        // The one call of v2 that refuses as v1 does.
        if disabled(endpoint) || path.starts_with("/v2/ns/catalog/") || !endpoint.parameters().any(|p| needs(&p)) {
            continue;
        }
        let answer = rig.call(method(endpoint), &path).await;
        assert_eq!((answer.status, code(&answer)), (400, 10_000), "{path}: {}", answer.body);
        assert_eq!(answer.json()["message"], "parameter missing", "{path}");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    assert_eq!(state(&rig).await, before);
}

#[tokio::test]
async fn every_call_has_a_handler_and_what_is_not_offered_says_so_by_name() {
    let rig = Rig::open().await;
    for (endpoint, path) in later() {
        let answer = rig.call(method(endpoint), &path).await;
        assert_ne!(answer.body, "no such call", "{path}");
        if let Answer::Disabled(why) = endpoint.answer {
            assert_eq!((answer.status, code(&answer)), (501, 40_001), "{path}");
            assert_eq!(answer.json()["message"], "API function disabled.", "{path}");
            assert_eq!(answer.json()["data"], why, "{path}");
        } else {
            assert_ne!(answer.status, 501, "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_a_wrong_path_404() {
    let rig = Rig::open().await;
    for (endpoint, path) in later() {
        if endpoint.verb == Verb::Any {
            continue;
        }
        let wrong = rig.call("OPTIONS", &path).await;
        assert_eq!(wrong.status, 405, "{path}: {}", wrong.body);
    }
    for path in [
        "/v2/ns/nothing",
        "/v3/admin/ns/nothing",
        "/v3/auth/user",
        "/v2/ns/instance/statuses/",
    ] {
        assert_eq!(rig.call("GET", path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn t31_the_login_of_v3_is_absent() {
    let rig = Rig::open().await;
    let login = rig
        .form("POST", "/v3/auth/user/login?username=nacos", "password=nacos")
        .await;
    assert_eq!(login.status, 404);
}

#[tokio::test]
async fn until_it_is_opened_a_node_refuses_all_calls_of_instances_in_a_result() {
    let rig = Rig::closed().await;
    for (endpoint, path) in later().filter(|(_, path)| path.contains("/ns/")) {
        if disabled(endpoint) {
            continue;
        }
        let answer = rig.call(method(endpoint), &path).await;
        assert_eq!((answer.status, code(&answer)), (503, 30_000), "{path}");
        assert_eq!(
            answer.json()["data"],
            "server is STARTINGnow, please try again later!",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_node_that_is_loading_refuses_but_for_the_switches() {
    let rig = Rig::open().await;
    rig.bed.set_loading(Some("waiting for a peer"));
    for path in [
        "/v2/ns/instance/list?serviceName=svc",
        "/v3/client/ns/instance/list?serviceName=svc",
        "/v3/admin/ns/service/list",
    ] {
        let answer = rig.call("GET", path).await;
        assert_eq!((answer.status, code(&answer)), (503, 30_000), "{path}");
        assert!(answer.body.contains("waiting for a peer"), "{}", answer.body);
    }
    for path in [
        "/v2/ns/operator/switches",
        "/v3/admin/ns/ops/switches",
        "/v2/core/cluster/node/self",
    ] {
        assert_eq!(rig.call("GET", path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn head_asks_as_get_and_any_prefix_holds() {
    let rig = Rig::with(|config| config.prefix = "/other/place/".to_owned()).await;
    rig.opener.open(rig.bed.naming.clone());
    let at = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
    let head = rig
        .raw(&at("GET", "/other/place/v2/ns/instance/list?serviceName=s"))
        .await;
    assert_eq!(head.status, 200);
    assert_eq!(
        rig.raw(&at("GET", "/nacos/v2/ns/instance/list?serviceName=s"))
            .await
            .status,
        404
    );
    let mut stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let request = b"HEAD /other/place/v3/admin/core/state/liveness HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
    let mut all = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut all)
        .await
        .unwrap();
    assert!(all.starts_with("HTTP/1.1 200") && all.ends_with("\r\n\r\n"), "{all}");
}

#[test]
fn every_call_is_described() {
    for endpoint in routes::all() {
        assert!(
            !endpoint.summary.is_empty() && !endpoint.summary.ends_with('.'),
            "{}",
            endpoint.path
        );
        let mut names: Vec<_> = endpoint.parameters().map(|parameter| parameter.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{} names a parameter twice", endpoint.path);
        let in_path = endpoint.parameters().filter(|p| p.place == ParameterPlace::Path);
        for parameter in in_path {
            assert!(
                endpoint.path.ends_with(&format!("{{{}}}", parameter.name)),
                "{}",
                endpoint.path
            );
        }
    }
}

/// A row of the page that lists all calls.
fn row(endpoint: &Endpoint) -> String {
    let verb = match endpoint.verb {
        Verb::Any => "any",
        _ => method(endpoint),
    };
    let paths: Vec<String> = endpoint.paths().map(|path| format!("`{verb} {path}`")).collect();
    let parameters: Vec<String> = endpoint
        .parameters()
        .map(|parameter| match parameter.default {
            _ if parameter.required => format!("**{}**", parameter.name),
            Some(default) => format!("{}={default}", parameter.name),
            None => parameter.name.to_owned(),
        })
        .collect();
    let last = match endpoint.answer {
        Answer::Disabled(why) => why.to_owned(),
        _ => parameters.join(", "),
    };
    format!("| {} | {} | {last} |", paths.join(", "), endpoint.summary)
}

#[test]
fn the_page_of_all_calls_lists_each_as_it_is() {
    let page = include_str!("../../../../../docs/http-api.md");
    let missing: Vec<String> = routes::all()
        .map(row)
        .filter(|row| !page.contains(row.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/http-api.md lacks:\n{}", missing.join("\n"));
}

/// A value that the parameter is happy with, for an address that is not registered.
fn good(parameter: &Parameter, path: &str) -> &'static str {
    let grouped = path.starts_with("/v2/ns/instance/beat");
    match parameter.name {
        "serviceName" if grouped => "G%40%40svc",
        "serviceName" => "svc",
        "ip" => "10.0.0.1",
        "port" | "checkPort" => "80",
        "clientId" => "10.0.0.9:80%23true",
        "healthChecker" => "%7B%22type%22:%22TCP%22%7D",
        "metadata" => "a=b",
        "entry" => "noSuchSwitch",
        _ => match parameter.kind {
            ParameterKind::Integer | ParameterKind::Number => "1",
            ParameterKind::Flag => "true",
            ParameterKind::Text | ParameterKind::Json => "x",
        },
    }
}

const HOSTILE: [&str; 11] = [
    "%00",
    "%ff%fe",
    "-1",
    "99999999999999999999",
    "NaN",
    "%7B",
    "%5B%5D",
    "null",
    "%40%40",
    "a%23b%23%23c%0d%0a",
    "%F0%9F%A6%80",
];

#[tokio::test]
async fn no_value_of_any_parameter_is_a_fault_of_the_node() {
    let rig = Rig::open().await;
    let long = "x".repeat(5_000);
    for (endpoint, path) in later() {
        let mut stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
        for bad in endpoint.parameters() {
            for value in HOSTILE.into_iter().chain([long.as_str()]) {
                let others = endpoint.parameters().filter(|p| p.required && p.name != bad.name);
                let mut query: Vec<String> = others.map(|p| format!("{}={}", p.name, good(p, &path))).collect();
                query.push(format!("{}={value}", bad.name));
                let request = format!(
                    "{} /nacos{path}?{} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
                    method(endpoint),
                    query.join("&")
                );
                AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
                let answer = read_answer(&mut stream).await.expect("an answer");
                // As in Nacos: a wrong switch, and a beat that is no JSON.
                let known = path.contains("/switches") || bad.name == "beat";
                assert!(
                    answer.status < 500 || (answer.status == 500 && known),
                    "{path} {}={value}: {answer:?}",
                    bad.name
                );
            }
        }
    }
    assert_eq!(rig.get_root("/health/ready").await.status, 200);
}
