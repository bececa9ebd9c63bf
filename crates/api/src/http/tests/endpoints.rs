//! What holds of every call of v2 and v3, by the table that routes them.

use super::bad_input::state;
use super::rig::{Answer as Got, Rig};
use crate::http::endpoint::{Answer, Endpoint, Verb};
use crate::http::routes;
use muster_model::Kind;
use muster_wire::ParameterPlace;

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
        let needs = |p: &&muster_wire::Parameter| p.required && p.place == ParameterPlace::Form;
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
