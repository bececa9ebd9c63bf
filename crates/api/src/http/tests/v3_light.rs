//! `/v3/client/ns/instance`.

use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

const OK: &str = r#"{"code":0,"message":"success","data":"ok"}"#;

#[tokio::test]
async fn a_heart_beat_refreshes_and_of_an_unknown_instance_is_21003_in_a_200() {
    let rig = Rig::open().await;
    let of = "serviceName=svc&ip=10.0.0.1&port=80";
    rig.form("POST", "/v3/client/ns/instance", &format!("{of}&heartBeat=true"))
        .await
        .is(200, r#"{"code":21003,"message":"instance not found","data":null}"#);
    assert_eq!(rig.listed("svc").await, [""; 0]);
    rig.form("POST", "/v3/client/ns/instance", of).await.is(200, OK);
    rig.form(
        "POST",
        "/v3/client/ns/instance",
        &format!("{of}&heartBeat=true&weight=9"),
    )
    .await
    .is(200, OK);
    let shown = rig.call("GET", &format!("/v3/admin/ns/instance?{of}")).await;
    assert_eq!(shown.json()["data"]["weight"], 1.0, "a beat changes nothing");
    rig.call("DELETE", &format!("/v3/client/ns/instance?{of}"))
        .await
        .is(200, OK);
    rig.call("DELETE", &format!("/v3/client/ns/instance?{of}"))
        .await
        .is(200, OK);
    assert_eq!(rig.listed("svc").await, [""; 0]);
}

#[tokio::test]
async fn an_instance_that_expired_is_told_to_register_again() {
    let rig = Rig::open().await;
    let of = "serviceName=svc&ip=10.0.0.1&port=80";
    rig.form("POST", "/v3/client/ns/instance", of).await.is(200, OK);
    let key = muster_naming::testing::instance("10.0.0.1:80", Kind::Ephemeral).key;
    rig.bed.ephemeral.expire(&muster_naming::testing::service("svc"), &key);
    let beat = rig
        .form("POST", "/v3/client/ns/instance", &format!("{of}&heartBeat=true"))
        .await;
    assert_eq!((beat.status, &beat.json()["code"]), (200, &json!(21_003)));
}

#[tokio::test]
async fn t52_a_list_is_an_array_of_the_enabled_instances_of_one_cluster() {
    let rig = Rig::open().await;
    for more in [
        "port=80",
        "port=81&enabled=false",
        "port=82&clusterName=other",
        "port=83&healthy=false",
    ] {
        rig.form(
            "POST",
            "/v3/client/ns/instance",
            &format!("serviceName=svc&ip=10.0.0.1&{more}"),
        )
        .await
        .is(200, OK);
    }
    let ports = async |query: &str| -> Vec<u64> {
        let answer = rig
            .call("GET", &format!("/v3/client/ns/instance/list?serviceName=svc{query}"))
            .await
            .json();
        let hosts = answer["data"].as_array().unwrap().iter();
        hosts.map(|host| host["port"].as_u64().unwrap()).collect()
    };
    assert_eq!(ports("").await, [80, 83]);
    assert_eq!(ports("&healthyOnly=true").await, [80, 83]);
    assert_eq!(ports("&clusterName=other").await, [82]);
    assert_eq!(ports("&clusterName=DEFAULT,other").await, [80, 82, 83]);
    rig.call("GET", "/v3/client/ns/instance/list?serviceName=nobody")
        .await
        .is(200, r#"{"code":0,"message":"success","data":[]}"#);
    assert_eq!(
        rig.call("GET", "/v3/client/ns/instance/list?serviceName=svc&clusterName=other")
            .await
            .json()["data"][0],
        json!({
            "instanceId": "10.0.0.1#82#other#DEFAULT_GROUP@@svc", "ip": "10.0.0.1", "port": 82, "weight": 1.0,
            "healthy": true, "enabled": true, "ephemeral": true, "clusterName": "other",
            "serviceName": "DEFAULT_GROUP@@svc", "metadata": {}, "instanceHeartBeatInterval": 5000,
            "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000, "instanceIdGenerator": "simple",
            "valid": true, "marked": false,
        })
    );
}

#[tokio::test]
async fn a_service_without_one_healthy_instance_is_protected() {
    let rig = Rig::open().await;
    rig.form(
        "POST",
        "/v3/client/ns/instance",
        "serviceName=svc&ip=10.0.0.1&port=80&healthy=false",
    )
    .await
    .is(200, OK);
    let healthy = async |path: &str| {
        let answer = rig.call("GET", &format!("{path}?serviceName=svc")).await.json();
        answer["data"][0]["healthy"].clone()
    };
    assert_eq!(healthy("/v3/client/ns/instance/list").await, true);
    assert_eq!(
        healthy("/v3/admin/ns/instance/list").await,
        false,
        "operators see what is"
    );
}
