//! Our own admin calls, as `docs/admin-api.md` says them.

use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

#[tokio::test]
async fn services_are_listed_with_their_true_health() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.bed.ephemeral.set_health(
        &muster_naming::testing::service("svc"),
        &muster_naming::testing::key("10.0.0.1:80"),
        false,
    );
    assert_eq!(
        rig.call("GET", "/v3/admin/muster/services").await.json(),
        json!({"namespace": "public", "total": 1, "page": 1, "page_size": 100, "services": [
            {"namespace": "public", "group": "DEFAULT_GROUP", "name": "svc", "instances": 1, "healthy": 0,
             "enabled": 1, "ephemeral": 1, "persistent": 0, "protected": true}]})
    );
}

#[tokio::test]
async fn a_service_is_shown_whole() {
    let rig = Rig::open().await;
    rig.call("POST", "/v1/ns/service?serviceName=svc&protectThreshold=0.3")
        .await
        .is(200, "ok");
    rig.call(
        "POST",
        "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&enabled=false&ephemeral=false",
    )
    .await
    .is(200, "ok");
    let answer = rig
        .call("GET", "/v3/admin/muster/service?serviceName=svc&consistency=strong")
        .await;
    let shown = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(shown["protect_threshold"], 0.3);
    assert_eq!(
        shown["protection"],
        json!({"http": false, "grpc": false, "reason": null})
    );
    assert_eq!(
        shown["clusters"],
        json!([{"name": "DEFAULT", "checker": {"type": "TCP"}, "check_port": 80, "use_instance_port": true,
            "metadata": {}}])
    );
    let instance = json!({"ip": "10.0.0.1", "port": 80, "cluster": "DEFAULT", "kind": "persistent", "weight": 1.0,
        "enabled": false, "healthy": true, "metadata": {}});
    assert_eq!(shown["instances"], json!([instance]));
    assert_eq!(shown["subscribers"], 0);
    let list = rig
        .call("GET", "/v3/admin/muster/instances?serviceName=svc")
        .await
        .json();
    assert_eq!(list, json!({"instances": [instance]}));
}

#[tokio::test]
async fn strong_reads_need_a_leader_and_local_ones_do_not() {
    let rig = Rig::open().await;
    rig.bed.set_leader(false);
    let strong = rig
        .call("GET", "/v3/admin/muster/instances?serviceName=svc&consistency=strong")
        .await;
    assert_eq!((strong.status, &strong.json()["error"]), (503, &json!("no_leader")));
    let local = rig
        .call("GET", "/v3/admin/muster/instances?serviceName=svc&consistency=local")
        .await;
    local.is(200, r#"{"instances":[]}"#);
}

#[tokio::test]
async fn admin_calls_are_refused_as_documented() {
    let rig = Rig::open().await;
    for (method, path, status, error) in [
        ("GET", "service?serviceName=none", 404, "not_found"),
        ("GET", "service", 400, "bad_request"),
        ("GET", "service?serviceName=a@@b@@c", 400, "bad_request"),
        ("GET", "instances?serviceName=s&consistency=maybe", 400, "bad_request"),
        ("GET", "services?pageNo=x", 400, "bad_request"),
        ("POST", "services", 405, "method_not_allowed"),
        ("GET", "nonsense", 404, "not_found"),
        ("POST", "cluster/members", 400, "bad_request"),
        (
            "POST",
            "cluster/members?id=x&client_address=a:1&peer_address=a:2",
            400,
            "bad_request",
        ),
        (
            "POST",
            "cluster/members?id=4&client_address=a&peer_address=a:2",
            400,
            "bad_request",
        ),
        (
            "POST",
            "cluster/members?id=4&client_address=a:1&peer_address=a:0",
            400,
            "bad_request",
        ),
        ("DELETE", "cluster/members?id=-1", 400, "bad_request"),
        ("POST", "cluster/transfer-leader?to=x", 400, "bad_request"),
    ] {
        let answer = rig.call(method, &format!("/v3/admin/muster/{path}")).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (status, &json!(error)),
            "{method} {path}"
        );
        assert!(answer.json()["message"].is_string());
    }
}
