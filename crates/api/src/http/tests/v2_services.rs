//! `/v2/ns/service` and `/v2/ns/catalog`.

use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

const OK: &str = r#"{"code":0,"message":"success","data":"ok"}"#;

#[tokio::test]
async fn a_service_is_created_shown_changed_and_deleted() {
    let rig = Rig::open().await;
    let of = "/v2/ns/service?serviceName=svc&groupName=G";
    rig.call("POST", &format!("{of}&protectThreshold=0.3&metadata=a=b"))
        .await
        .is(200, OK);
    rig.call("GET", of).await.is(
        200,
        concat!(
            r#"{"code":0,"message":"success","data":{"namespace":"public","serviceName":"svc","groupName":"G","#,
            r#""clusterMap":{},"metadata":{"a":"b"},"protectThreshold":0.3,"#,
            r#""selector":{"type":"none","contextType":"NONE"},"ephemeral":true}}"#
        ),
    );
    rig.call("POST", of).await.is(
        400,
        r#"{"code":21007,"message":"service already exist","data":"specified service G@@svc already exists!"}"#,
    );
    rig.call("PUT", &format!("{of}&protectThreshold=0.5")).await.is(200, OK);
    assert_eq!(rig.call("GET", of).await.json()["data"]["protectThreshold"], 0.5);
    rig.call(
        "POST",
        "/v2/ns/instance?serviceName=svc&groupName=G&ip=10.0.0.1&port=80",
    )
    .await
    .is(200, OK);
    assert_eq!(
        rig.call("GET", of).await.json()["data"]["clusterMap"],
        json!({"DEFAULT": {
            "clusterName": "DEFAULT", "healthChecker": {"type": "TCP"}, "metadata": {}, "hosts": null
        }})
    );
    let full = rig.call("DELETE", of).await;
    full.is(
        400,
        concat!(
            r#"{"code":21009,"message":"service delete failure","data":"#,
            r#""Service G@@svc is not empty, can't be delete. Please unregister instance first"}"#
        ),
    );
    rig.call(
        "DELETE",
        "/v2/ns/instance?serviceName=svc&groupName=G&ip=10.0.0.1&port=80",
    )
    .await
    .is(200, OK);
    rig.call("DELETE", of).await.is(200, OK);
    for method in ["GET", "PUT", "DELETE"] {
        rig.call(method, of).await.is(
            400,
            r#"{"code":21008,"message":"service not exist","data":"service G@@svc not found!"}"#,
        );
    }
}

#[tokio::test]
async fn selectors_and_thresholds_that_cannot_be_are_refused() {
    let rig = Rig::open().await;
    let of = "/v2/ns/service?serviceName=svc";
    rig.form("POST", of, r#"selector={"type":"label","expression":"x"}"#)
        .await
        .is(
            400,
            r#"{"code":21006,"message":"selector error","data":"not match any type of selector!"}"#,
        );
    for wrong in ["protectThreshold=2", "protectThreshold=x", "ephemeral=x"] {
        let refused = rig.call("POST", &format!("{of}&{wrong}")).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (400, &json!(20_002)),
            "{wrong}"
        );
    }
    rig.form("POST", of, r#"selector={"type":"none"}&ephemeral=true"#)
        .await
        .is(200, OK);
}

#[tokio::test]
async fn t18_a_service_created_as_persistent_takes_ephemeral_instances() {
    let rig = Rig::open().await;
    rig.call("POST", "/v2/ns/service?serviceName=svc&ephemeral=false")
        .await
        .is(200, OK);
    rig.call("POST", "/v2/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await
        .is(200, OK);
}

#[tokio::test]
async fn names_are_bare_in_pages_of_20_and_of_500_at_most() {
    let rig = Rig::open().await;
    for number in 0..25 {
        rig.register(&format!("svc{number:02}"), "10.0.0.1:80", Kind::Ephemeral)
            .await;
    }
    let page = rig.call("GET", "/v2/ns/service/list").await.json();
    assert_eq!(page["data"]["count"], 25);
    assert_eq!(page["data"]["services"].as_array().unwrap().len(), 20);
    rig.call("GET", "/v2/ns/service/list?pageNo=13&pageSize=2").await.is(
        200,
        r#"{"code":0,"message":"success","data":{"count":25,"services":["svc24"]}}"#,
    );
    let empty = rig.call("GET", "/v2/ns/service/list?groupName=other").await;
    empty.is(
        200,
        r#"{"code":0,"message":"success","data":{"count":0,"services":[]}}"#,
    );
}

#[tokio::test]
async fn a_catalog_page_is_of_what_is_left_and_absent_past_the_end() {
    let rig = Rig::open().await;
    for port in [80, 81, 82] {
        rig.register("svc", &format!("10.0.0.1:{port}"), Kind::Ephemeral).await;
    }
    rig.call(
        "PUT",
        "/v2/ns/instance?serviceName=svc&ip=10.0.0.1&port=81&enabled=false",
    )
    .await
    .is(200, OK);
    let ports = |answer: super::rig::Answer| -> (u64, Vec<u64>) {
        let data = answer.json()["data"].clone();
        let instances = data["instances"].as_array().cloned().unwrap_or_default();
        let ports = instances.iter().map(|one| one["port"].as_u64().unwrap()).collect();
        (data["count"].as_u64().unwrap(), ports)
    };
    let of = "/v2/ns/catalog/instances?serviceName=DEFAULT_GROUP%40%40svc&pageSize=2";
    assert_eq!(
        ports(rig.call("GET", &format!("{of}&pageNo=1")).await),
        (3, vec![80, 81])
    );
    assert_eq!(ports(rig.call("POST", &format!("{of}&pageNo=2")).await), (3, vec![82]));
    assert_eq!(
        ports(rig.call("GET", &format!("{of}&pageNo=1&enabledOnly=true")).await),
        (2, vec![80, 82])
    );
    assert_eq!(
        ports(rig.call("GET", &format!("{of}&pageNo=1&enabledOnly=false")).await),
        (1, vec![81])
    );
    assert_eq!(
        ports(rig.call("GET", &format!("{of}&pageNo=1&healthyOnly=false")).await),
        (0, vec![])
    );
    rig.call("GET", &format!("{of}&pageNo=3"))
        .await
        .is(200, r#"{"code":0,"message":"success","data":{"count":3}}"#);
    // In v1's manner.
    rig.call("GET", "/v2/ns/catalog/instances?serviceName=nobody&pageNo=1&pageSize=1")
        .await
        .is(404, "service DEFAULT_GROUP@@nobody is not found!");
    let missing = rig
        .call("GET", "/v2/ns/catalog/instances?serviceName=svc&pageNo=1")
        .await;
    missing.is(400, "Required parameter 'pageSize' type Integer is not present");
}
