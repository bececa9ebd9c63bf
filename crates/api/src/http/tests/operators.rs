//! `/v1/ns/operator`, `/v1/ns/health`, `/v1/ns/cluster`, readiness.

use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

#[tokio::test]
async fn before_it_is_opened_a_node_answers_503_but_to_probes() {
    let rig = Rig::closed().await;
    let starting = "server is STARTINGnow, please try again later!";
    rig.call("GET", "/v1/ns/instance/list?serviceName=svc")
        .await
        .is(503, starting);
    rig.call("PUT", "/v1/ns/instance/beat?serviceName=svc")
        .await
        .is(503, starting);
    rig.call("GET", "/v1/ns/operator/metrics").await.is(503, starting);
    assert_eq!(
        rig.call("GET", "/v3/admin/muster/cluster").await.json()["error"],
        "not_ready"
    );
    assert_eq!(rig.get_root("/health/live").await.status, 200);
    assert_eq!(rig.get_root("/health/ready").await.status, 503);
    rig.call("GET", "/v1/console/health/liveness").await.is(200, "OK");
    rig.call("GET", "/v1/console/health/readiness")
        .await
        .is(500, "Naming is not in readiness");
    rig.opener.open(rig.bed.naming.clone());
    assert_eq!(
        rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.status,
        200
    );
    assert_eq!(rig.get_root("/health/ready").await.status, 200);
}

#[tokio::test]
async fn a_node_that_is_loading_answers_503_with_its_reasons() {
    let rig = Rig::open().await;
    rig.bed.set_loading(Some("waiting for a peer"));
    let ready = rig.get_root("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("waiting for a peer"), "{}", ready.body);
    let answer = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .body
            .starts_with("server is DOWNnow, detailed error message: Optional["),
        "{}",
        answer.body
    );
    rig.bed.set_loading(None);
    assert_eq!(
        rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.status,
        200
    );
}

#[tokio::test]
async fn a_node_that_stops_is_not_ready_and_serves_until_its_doors_close() {
    let rig = Rig::open().await;
    rig.opener.drain();
    let ready = rig.get_root("/health/ready").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
    assert_eq!(ready.json()["reasons"][0], "the node is stopping");
    rig.call("GET", "/v1/console/health/readiness")
        .await
        .is(500, "Naming is not in readiness");
    assert_eq!(rig.get_root("/health/live").await.status, 200);
    rig.call("POST", "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await
        .is(200, "ok");
    assert_eq!(rig.listed("svc").await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn a_node_that_was_removed_from_the_group_is_not_ready() {
    let rig = Rig::open().await;
    rig.bed
        .set_status(|status| status.members[0].member.id = muster_model::MemberId(2));
    let ready = rig.get_root("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json()["reasons"][0],
        "this node is not a member of the cluster any more"
    );
    let list = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await;
    assert_eq!(list.status, 503, "{}", list.body);
}

#[tokio::test]
async fn patching_the_health_of_a_probed_instance_is_refused_in_words() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Persistent).await;
    let patched = rig
        .call(
            "PATCH",
            "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&ephemeral=false&healthy=false",
        )
        .await;
    patched.is(
        400,
        "health check is still working, service: DEFAULT_GROUP@@svc, cluster: DEFAULT",
    );
}

#[tokio::test]
async fn without_a_leader_a_node_stays_ready_and_says_so() {
    let rig = Rig::open().await;
    rig.bed.set_leader(false);
    let ready = rig.get_root("/health/ready").await;
    assert_eq!(ready.status, 200);
    assert_eq!(
        (&ready.json()["ready"], &ready.json()["has_leader"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn an_overridden_status_is_obeyed_and_can_be_taken_back() {
    let rig = Rig::open().await;
    let set = async |value: &str| {
        let path = format!("/v1/ns/operator/switches?entry=overriddenServerStatus&value={value}");
        rig.call("PUT", &path).await.is(200, "ok");
    };
    let read = "/v1/ns/instance/list?serviceName=svc";
    assert_eq!(rig.call("GET", read).await.status, 200);
    for status in ["DOWN", "PAUSED"] {
        set(status).await;
        let text = format!("server is {status}now, please try again later!");
        rig.call("GET", read).await.is(503, &text);
    }
    set("null").await;
    assert_eq!(rig.call("GET", read).await.status, 200);
}

#[tokio::test]
async fn t54_metrics_carry_counters_unless_the_status_alone_is_asked_for() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let all = rig.call("GET", "/v1/ns/operator/metrics").await.json();
    assert_eq!(
        (&all["status"], &all["serviceCount"], &all["instanceCount"]),
        (&json!("UP"), &json!(1), &json!(1))
    );
    rig.call("GET", "/v1/ns/ops/metrics?onlyStatus=true")
        .await
        .is(200, r#"{"status":"UP"}"#);
}

#[tokio::test]
async fn switches_are_shown_set_and_refused_by_name() {
    let rig = Rig::open().await;
    let shown = rig.call("GET", "/v1/ns/operator/switches").await.json();
    assert_eq!(shown["name"], "00-00---000-NACOS_SWITCH_DOMAIN-000---00-00");
    assert_eq!(
        (&shown["clientBeatInterval"], &shown["overriddenServerStatus"]),
        (&json!(5_000), &json!(null))
    );
    rig.call("PUT", "/v1/ns/operator/switches?entry=lightBeatEnabled&value=false")
        .await
        .is(200, "ok");
    assert_eq!(
        rig.call("GET", "/v1/ns/ops/switches").await.json()["lightBeatEnabled"],
        false
    );
    for (query, part) in [
        ("value=1", "Parameter 'entry' is missing"),
        ("entry=x", "Parameter 'value' is missing"),
        ("entry=nonsense&value=1", "nonsense"),
        ("entry=distro&value=true", "distro"),
        ("entry=defaultCacheMillis&value=1", "defaultCacheMillis"),
        ("entry=pushEnabled&value=true&debug=true", "debug"),
        (
            "entry=pushEnabled&value=true&debug=maybe",
            "Invalid boolean value [maybe]",
        ),
    ] {
        let answer = rig.call("PUT", &format!("/v1/ns/operator/switches?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains(part), "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn health_is_set_by_hand_where_no_checker_runs() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Persistent).await;
    let health = "/v1/ns/health/instance?serviceName=svc&ip=10.0.0.1&port=80";
    rig.call("PUT", health).await.is(400, "Param 'healthy' is required.");
    rig.call("PUT", &format!("{health}&healthy=false")).await.is(
        400,
        "health check is still working, service: DEFAULT_GROUP@@svc, cluster: DEFAULT",
    );
    let cluster = "/v1/ns/cluster?serviceName=svc&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true\
        &healthChecker=%7B%22type%22:%22NONE%22%7D";
    rig.call("PUT", cluster).await.is(200, "ok");
    rig.call("PUT", &format!("{health}&valid=false")).await.is(200, "ok");
    let detail = rig
        .call("GET", "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await;
    assert_eq!(detail.json()["healthy"], false);
    let unknown = "/v1/ns/cluster?serviceName=none&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true\
        &healthChecker=%7B%22type%22:%22TCP%22%7D";
    rig.call("PUT", unknown)
        .await
        .is(400, "service not found:DEFAULT_GROUP@@none");
    assert!(rig.call("GET", "/v1/ns/health/checkers").await.json()["NONE"].is_object());
}

#[tokio::test]
async fn t32_unknown_paths_and_wrong_methods_under_naming_are_501() {
    let rig = Rig::open().await;
    for (method, path) in [
        ("GET", "/v1/ns/nonsense"),
        ("POST", "/v1/ns/instance/beat"),
        ("PUT", "/v1/ns/instance/list"),
        ("BREW", "/v1/ns/instance"),
    ] {
        let answer = rig.call(method, path).await;
        let error = answer.json();
        assert_eq!(answer.status, 501, "{method} {path}");
        assert_eq!(error["error"], "Not Implemented");
        assert_eq!(error["message"], format!("no such api:{method}:/nacos{path}"));
        assert_eq!(error["path"], format!("/nacos{path}"));
    }
    assert_eq!(rig.call("GET", "/v1/console/nonsense").await.status, 404);
    assert_eq!(rig.call("DELETE", "/v1/console/namespaces").await.status, 405);
    assert_eq!(rig.get_root("/v1/ns/instance/list").await.status, 404);
}

#[tokio::test]
async fn t57_a_peers_agent_opens_no_door() {
    let rig = Rig::closed().await;
    let answer = rig
        .call_as("Nacos-Server:v2.4.3", "GET", "/v1/ns/instance/list?serviceName=svc")
        .await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn metrics_are_prometheus_text_with_help() {
    let rig = Rig::open().await;
    rig.call("PUT", "/v1/ns/instance/beat?serviceName=svc&ip=10.0.0.1&port=80")
        .await;
    let metrics = rig.get_root("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(metrics.body.contains("# HELP muster_http_requests_total"));
    assert!(
        metrics
            .body
            .contains(r#"muster_http_requests_total{outcome="ok",route="instance_beat"}"#)
    );
}

#[tokio::test]
async fn push_state_counts_and_refuses_to_forget() {
    let rig = Rig::open().await;
    let state = rig.call("GET", "/v1/ns/operator/push/state?detail=false").await.json();
    assert_eq!(state, json!({"succeed": 0, "total": 0, "ratio": 0.0, "reset": false}));
    assert_eq!(
        rig.call("GET", "/v1/ns/operator/push/state?reset=true").await.status,
        400
    );
}
