//! What consoles and operators ask of core and console.

use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

#[tokio::test]
async fn members_are_shown_in_nacoss_form() {
    let rig = Rig::open().await;
    let local = rig.call("GET", "/v1/core/cluster/self").await.json();
    assert_eq!((&local["code"], &local["message"]), (&json!(200), &json!(null)));
    assert_eq!(local["data"]["address"], "127.0.0.1:8848");
    assert_eq!(
        (&local["data"]["port"], &local["data"]["state"]),
        (&json!(8848), &json!("UP"))
    );
    let nodes = rig
        .call("GET", "/v1/core/cluster/nodes?keyword=127.0.0.1:88")
        .await
        .json();
    assert_eq!(nodes["data"].as_array().unwrap().len(), 2);
    assert_eq!(nodes["data"][1]["state"], "DOWN");
    rig.call("GET", "/v1/core/cluster/simple/nodes").await.is(
        200,
        r#"{"code":200,"data":["127.0.0.1:8848","127.0.0.1:8858"],"message":null}"#,
    );
    assert_eq!(rig.call("GET", "/v1/core/cluster/health").await.json()["data"], "UP");
    let servers = rig.call("GET", "/v1/ns/operator/servers?healthy=true").await.json();
    assert_eq!(servers["servers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_console_is_told_mode_and_version_under_both_keys() {
    let rig = Rig::open().await;
    let state = rig.call("GET", "/v1/console/server/state").await.json();
    assert_eq!(
        (&state["standalone_mode"], &state["startup_mode"]),
        (&json!("cluster"), &json!("cluster"))
    );
    assert_eq!(state["version"], "0.1.0");
}

#[tokio::test]
async fn namespaces_are_public_and_those_in_use() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.call(
        "POST",
        "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&namespaceId=dev-id",
    )
    .await
    .is(200, "ok");
    let list = rig.call("GET", "/v1/console/namespaces").await.json();
    assert_eq!(list["data"][0]["namespace"], "");
    assert_eq!(list["data"][0]["namespaceShowName"], "public");
    assert_eq!(
        (&list["data"][1]["namespace"], &list["data"][1]["type"]),
        (&json!("dev-id"), &json!(2))
    );
    let exists = "/v1/console/namespaces?checkNamespaceIdExist=true&customNamespaceId=";
    rig.call("GET", &format!("{exists}dev-id")).await.is(200, "true");
    rig.call("GET", &format!("{exists}nope")).await.is(200, "false");
}

#[tokio::test]
async fn any_web_page_may_ask_nacoss_paths_and_none_ours() {
    let rig = Rig::open().await;
    let origin = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\nOrigin: http://console\r\n\r\n");
    let answer = rig
        .raw(origin("/nacos/v1/ns/instance/list?serviceName=s").as_bytes())
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://console"));
    let answer = rig.raw(origin("/nacos/v3/admin/muster/services").as_bytes()).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let preflight = "OPTIONS /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nOrigin: http://console\r\n\
        Access-Control-Request-Method: PUT\r\n\r\n";
    let answer = rig.raw(preflight.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("access-control-allow-methods").unwrap().contains("PUT"));
}
