//! `/v3/admin/ns`, where it differs from v2.

use super::rig::{JAVA, Rig};
use muster_model::Kind;
use serde_json::{Value, json};

const OK: &str = r#"{"code":0,"message":"success","data":"ok"}"#;

async fn data(rig: &Rig, path: &str) -> Value {
    let answer = rig.call("GET", path).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (200, &json!(0)),
        "{path}: {}",
        answer.body
    );
    answer.json()["data"].clone()
}

#[tokio::test]
async fn t20_a_partial_update_leaves_what_is_not_sent() {
    let rig = Rig::open().await;
    let of = "serviceName=svc&groupName=G&ip=10.0.0.1&port=80";
    rig.form(
        "POST",
        "/v3/admin/ns/instance",
        &format!("{of}&weight=5&enabled=false&metadata=a=b"),
    )
    .await
    .is(200, OK);
    rig.form("PUT", "/v3/admin/ns/instance/partial", &format!("{of}&metadata=c=d"))
        .await
        .is(200, OK);
    let shown = data(&rig, &format!("/v3/admin/ns/instance?{of}")).await;
    assert_eq!(
        (
            &shown["weight"],
            &shown["enabled"],
            &shown["metadata"],
            &shown["serviceName"]
        ),
        (&json!(5.0), &json!(false), &json!({"c": "d"}), &json!("G@@svc"))
    );
    let nobody = rig
        .form("PUT", "/v3/admin/ns/instance/partial", "serviceName=x&ip=h&port=1")
        .await;
    assert_eq!((nobody.status, &nobody.json()["code"]), (404, &json!(20_004)));
    rig.form("PUT", "/v3/admin/ns/instance", of).await.is(200, OK);
    rig.form("DELETE", "/v3/admin/ns/instance", of).await.is(200, OK);
    let gone = rig.call("GET", &format!("/v3/admin/ns/instance?{of}")).await;
    assert_eq!((gone.status, &gone.json()["code"]), (404, &json!(20_004)));
}

#[tokio::test]
async fn a_list_has_disabled_instances_and_refuses_unknown_services_and_clusters() {
    let rig = Rig::open().await;
    for more in [
        "port=80",
        "port=81&enabled=false",
        "port=82&healthy=false",
        "port=83&clusterName=other",
    ] {
        rig.form(
            "POST",
            "/v3/admin/ns/instance",
            &format!("serviceName=svc&ip=10.0.0.1&{more}"),
        )
        .await
        .is(200, OK);
    }
    let ports = async |query: &str| -> Vec<u64> {
        let found = data(&rig, &format!("/v3/admin/ns/instance/list?serviceName=svc{query}")).await;
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|host| host["port"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports("").await, [80, 81, 82]);
    assert_eq!(ports("&healthyOnly=true").await, [80, 81]);
    assert_eq!(ports("&clusterName=other").await, [83]);
    rig.call("GET", "/v3/admin/ns/instance/list?serviceName=nobody")
        .await
        .is(
            404,
            r#"{"code":21008,"message":"service not exist","data":"service DEFAULT_GROUP@@nobody is not found!"}"#,
        );
    rig.call("GET", "/v3/admin/ns/instance/list?serviceName=svc&clusterName=x")
        .await
        .is(
            404,
            r#"{"code":20004,"message":"resource not found","data":"cluster x is not found!"}"#,
        );
}

#[tokio::test]
async fn a_service_is_shown_with_its_namespace_id_and_how_it_is_probed() {
    let rig = Rig::open().await;
    rig.form("POST", "/v3/admin/ns/service", "serviceName=svc&protectThreshold=0.5")
        .await
        .is(200, OK);
    let cluster =
        "serviceName=svc&clusterName=c1&checkPort=90&useInstancePort4Check=false&healthChecker={\"type\":\"TCP\"}";
    rig.form("PUT", "/v3/admin/ns/cluster", cluster).await.is(200, OK);
    rig.call("GET", "/v3/admin/ns/service?serviceName=svc").await.is(
        200,
        concat!(
            r#"{"code":0,"message":"success","data":{"namespaceId":"public","serviceName":"svc","#,
            r#""groupName":"DEFAULT_GROUP","clusterMap":{"c1":{"clusterName":"c1","healthChecker":{"type":"TCP"},"#,
            r#""healthyCheckPort":90,"useInstancePortForCheck":false,"metadata":{},"hosts":null}},"metadata":{},"#,
            r#""protectThreshold":0.5,"selector":{"type":"none","contextType":"NONE"},"ephemeral":true}}"#
        ),
    );
    rig.form("PUT", "/v3/admin/ns/service", "serviceName=svc&metadata=a=b")
        .await
        .is(200, OK);
    rig.form("DELETE", "/v3/admin/ns/service", "serviceName=svc")
        .await
        .is(200, OK);
    let gone = rig.call("GET", "/v3/admin/ns/service?serviceName=svc").await;
    assert_eq!((gone.status, &gone.json()["code"]), (400, &json!(21_008)));
}

#[tokio::test]
async fn services_are_listed_in_pages_as_rows_or_with_their_instances() {
    let rig = Rig::open().await;
    for service in ["a1", "a2", "b1"] {
        rig.register(service, "10.0.0.1:80", Kind::Ephemeral).await;
    }
    rig.form("POST", "/v3/admin/ns/service", "serviceName=a3")
        .await
        .is(200, OK);
    rig.call(
        "GET",
        "/v3/admin/ns/service/list?serviceNameParam=a&pageNo=2&pageSize=1",
    )
    .await
    .is(
        200,
        concat!(
            r#"{"code":0,"message":"success","data":{"totalCount":3,"pageNumber":2,"pagesAvailable":3,"#,
            r#""pageItems":[{"name":"a2","groupName":"DEFAULT_GROUP","clusterCount":1,"ipCount":1,"#,
            r#""healthyInstanceCount":1,"triggerFlag":"false"}]}}"#
        ),
    );
    let page = data(&rig, "/v3/admin/ns/service/list?ignoreEmptyService=true").await;
    assert_eq!((&page["totalCount"], &page["pagesAvailable"]), (&json!(3), &json!(1)));
    let page = data(&rig, "/v3/admin/ns/service/list?groupNameParam=none").await;
    assert_eq!((&page["totalCount"], &page["pagesAvailable"]), (&json!(0), &json!(0)));
    let detailed = data(&rig, "/v3/admin/ns/service/list?withInstances=true&serviceNameParam=b1").await;
    let hosts = &detailed["pageItems"][0]["clusterMap"]["DEFAULT"]["hosts"];
    assert_eq!((&hosts[0]["ip"], &hosts[0]["port"]), (&json!("10.0.0.1"), &json!(80)));
}

#[tokio::test]
async fn subscribers_are_listed_in_pages() {
    let rig = Rig::open().await;
    for port in [5_000, 5_001] {
        let path = format!("/v1/ns/instance/list?serviceName=svc&clientIP=10.0.0.9&udpPort={port}&app=shop");
        rig.call_as(JAVA, "GET", &path).await;
    }
    let page = data(
        &rig,
        "/v3/admin/ns/service/subscribers?serviceName=svc&pageSize=1&aggregation=false",
    )
    .await;
    assert_eq!(
        page,
        json!({"totalCount": 2, "pageNumber": 1, "pagesAvailable": 2, "pageItems": [{
            "namespaceId": "public", "groupName": "DEFAULT_GROUP", "serviceName": "svc", "ip": "10.0.0.9", "port": 5000,
            "agent": JAVA, "appName": "shop",
        }]})
    );
    let none = data(&rig, "/v3/admin/ns/service/subscribers?serviceName=nobody").await;
    assert_eq!(none["pageItems"], json!([]));
}

#[tokio::test]
async fn what_is_built_is_listed() {
    let rig = Rig::open().await;
    assert_eq!(data(&rig, "/v3/admin/ns/service/selector/types").await, json!(["none"]));
    let checkers = data(&rig, "/v3/admin/ns/health/checkers").await;
    assert_eq!(checkers["TCP"], json!({"type": "TCP"}));
    assert_eq!(checkers["MYSQL"], Value::Null);
}

#[tokio::test]
async fn batches_are_as_in_v2() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    for method in ["PUT", "DELETE"] {
        rig.call(
            method,
            "/v3/admin/ns/instance/metadata/batch?serviceName=svc&metadata=a=b",
        )
        .await
        .is(
            200,
            r#"{"code":0,"message":"success","data":{"updated":["10.0.0.1:80:unknown:DEFAULT:ephemeral"]}}"#,
        );
    }
}
