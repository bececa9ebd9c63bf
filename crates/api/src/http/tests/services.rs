//! `/v1/ns/service` and `/v1/ns/catalog`.

use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

#[tokio::test]
async fn t18_a_created_service_takes_ephemeral_instances() {
    let rig = Rig::open().await;
    rig.call("POST", "/v1/ns/service?serviceName=svc&protectThreshold=0.3")
        .await
        .is(200, "ok");
    rig.call("POST", "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await
        .is(200, "ok");
}

#[tokio::test]
async fn t46_a_service_shows_its_threshold_as_it_was_written() {
    let rig = Rig::open().await;
    rig.call(
        "POST",
        "/v1/ns/service?serviceName=svc&protectThreshold=0.3&metadata=a=b",
    )
    .await
    .is(200, "ok");
    rig.call("GET", "/v1/ns/service?serviceName=svc").await.is(
        200,
        r#"{"name":"svc","groupName":"DEFAULT_GROUP","namespaceId":"public","protectThreshold":0.3,"metadata":{"a":"b"},"selector":{"type":"none","contextType":"NONE"},"clusters":[]}"#,
    );
    rig.call("PUT", "/v1/ns/service?serviceName=svc&protectThreshold=0.5")
        .await
        .is(200, "ok");
    let shown = rig.call("GET", "/v1/ns/service?serviceName=svc").await.json();
    assert_eq!(
        (&shown["protectThreshold"], &shown["metadata"]),
        (&json!(0.5), &json!({}))
    );
}

#[tokio::test]
async fn services_are_refused_in_nacoss_words() {
    let rig = Rig::open().await;
    let none = "service DEFAULT_GROUP@@svc not found!";
    rig.call("PUT", "/v1/ns/service?serviceName=svc&protectThreshold=0")
        .await
        .is(400, none);
    rig.call("DELETE", "/v1/ns/service?serviceName=svc").await.is(400, none);
    rig.call("GET", "/v1/ns/service?serviceName=svc")
        .await
        .is(404, "service DEFAULT_GROUP@@svc is not found!");
    rig.call("POST", "/v1/ns/service?serviceName=svc").await.is(200, "ok");
    rig.call("POST", "/v1/ns/service?serviceName=svc")
        .await
        .is(400, "specified service DEFAULT_GROUP@@svc already exists!");
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.call("DELETE", "/v1/ns/service?serviceName=svc").await.is(
        400,
        "Service DEFAULT_GROUP@@svc is not empty, can't be delete. Please unregister instance first",
    );
    rig.call("DELETE", "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await
        .is(200, "ok");
    rig.call("DELETE", "/v1/ns/service?serviceName=svc").await.is(200, "ok");
}

#[tokio::test]
async fn selectors_other_than_none_are_refused() {
    let rig = Rig::open().await;
    let none = "/v1/ns/service?serviceName=a&selector=%7B%22type%22:%22none%22%7D";
    rig.call("POST", none).await.is(200, "ok");
    let label = "/v1/ns/service?serviceName=b&selector=%7B%22type%22:%22label%22,%22expression%22:%22x%22%7D";
    rig.call("POST", label).await.is(400, "not match any type of selector!");
    assert_eq!(rig.call("GET", "/v1/ns/service?serviceName=b").await.status, 404);
}

#[tokio::test]
async fn t29_names_are_bare_and_pages_do_not_overlap() {
    let rig = Rig::open().await;
    for name in ["providers:a.B:1.0:", "b", "a", "c"] {
        rig.register(name, "10.0.0.1:80", Kind::Ephemeral).await;
    }
    let page = async |number: &str, size: &str| {
        rig.call("GET", &format!("/v1/ns/service/list?pageNo={number}&pageSize={size}"))
            .await
            .json()
    };
    assert_eq!(page("1", "2").await, json!({"count": 4, "doms": ["a", "b"]}));
    assert_eq!(
        page("2", "2").await,
        json!({"count": 4, "doms": ["c", "providers:a.B:1.0:"]})
    );
    assert_eq!(page("9", "2").await, json!({"count": 4, "doms": []}));
    assert_eq!(page("x", "2").await["doms"], json!(["a", "b"]));
    assert_eq!(page("1", "-1").await["doms"], json!([]));
    assert_eq!(page("2147483647", "2147483647").await["doms"], json!([]));
    rig.call("GET", "/v1/ns/service/list?pageSize=1")
        .await
        .is(400, "Param 'pageNo' is required.");
}

#[tokio::test]
async fn group_star_lists_all_groups_with_their_names() {
    let rig = Rig::open().await;
    rig.call("POST", "/v1/ns/instance?serviceName=G1%40%40x&ip=10.0.0.1&port=80")
        .await;
    rig.register("y", "10.0.0.1:80", Kind::Ephemeral).await;
    let list = rig
        .call("GET", "/v1/ns/service/list?pageNo=1&pageSize=10&groupName=*")
        .await
        .json();
    assert_eq!(list, json!({"count": 2, "doms": ["G1@@x", "DEFAULT_GROUP@@y"]}));
}

#[tokio::test]
async fn t27_names_stand_under_the_key_of_1_4_and_of_2_4() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    assert_eq!(
        rig.call("GET", "/v1/ns/service/names").await.json(),
        json!({"services": {"public": ["svc"]}, "META-INF/services": {"public": ["DEFAULT_GROUP@@svc"]}, "count": 1})
    );
    let none = rig
        .call("GET", "/v1/ns/service/names?namespaceId=public&expr=zzz")
        .await
        .json();
    assert_eq!(none["count"], 0);
}

#[tokio::test]
async fn t28_the_catalogs_trigger_flag_is_a_text_and_a_large_page_is_the_whole_list() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.call("POST", "/v1/ns/service?serviceName=empty").await.is(200, "ok");
    let row = json!({"name": "svc", "groupName": "DEFAULT_GROUP", "clusterCount": 1, "ipCount": 1,
        "healthyInstanceCount": 1, "triggerFlag": "false"});
    let list = rig
        .call("GET", "/v1/ns/catalog/services?pageNo=7&pageSize=10&hasIpCount=true")
        .await
        .json();
    assert_eq!(list, json!({"count": 1, "serviceList": [row]}));
    let all = rig
        .call("GET", "/v1/ns/catalog/services?pageNo=2&pageSize=1")
        .await
        .json();
    assert_eq!(
        (&all["count"], &all["serviceList"][0]["name"]),
        (&json!(2), &json!("svc"))
    );
    let with = rig
        .call(
            "GET",
            "/v1/ns/catalog/services?withInstances=true&serviceNameParam=sv&pageNo=1&pageSize=10",
        )
        .await
        .json();
    assert_eq!(with[0]["clusterMap"]["DEFAULT"]["hosts"][0]["ip"], "10.0.0.1");
}

#[tokio::test]
async fn the_catalog_shows_disabled_instances_with_their_true_health() {
    let rig = Rig::open().await;
    rig.call(
        "POST",
        "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&enabled=false",
    )
    .await;
    let path = "/v1/ns/catalog/instances?serviceName=svc&clusterName=DEFAULT&pageNo=1&pageSize=10";
    let list = rig.call("GET", path).await.json();
    assert_eq!(
        (&list["count"], &list["list"][0]["enabled"]),
        (&json!(1), &json!(false))
    );
    let service = rig.call("GET", "/v1/ns/catalog/service?serviceName=svc").await.json();
    assert_eq!(service["clusters"][0]["serviceName"], "DEFAULT_GROUP@@svc");
    assert_eq!(service["clusters"][0]["useIPPort4Check"], true);
    rig.call(
        "GET",
        "/v1/ns/catalog/instances?serviceName=svc&clusterName=c2&pageNo=1&pageSize=10",
    )
    .await
    .is(404, "cluster c2 is not found!");
    rig.call("GET", "/v1/ns/catalog/service?serviceName=none")
        .await
        .is(404, "service DEFAULT_GROUP@@none is not found!");
}
