//! `/v1/ns/instance`: register, deregister, update, patch, one instance.

use super::rig::{JAVA, Rig};
use muster_model::Kind;
use serde_json::json;

const BASE: &str = "/v1/ns/instance?serviceName=svc&ip=10.0.0.1&port=80";

#[tokio::test]
async fn t47_success_is_ok_and_nothing_around_it() {
    let rig = Rig::open().await;
    let answer = rig.call("POST", BASE).await;
    answer.is(200, "ok");
    assert_eq!(answer.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(answer.header("content-security-policy"), Some("script-src 'self'"));
    assert_eq!(answer.header("content-encoding"), None);
}

#[tokio::test]
async fn t1_a_grouped_name_beside_a_group_is_not_grouped_twice() {
    let rig = Rig::open().await;
    let path = "/v1/ns/instance?serviceName=G1%40%40svc&groupName=G1&ip=10.0.0.1&port=80";
    rig.call("POST", path).await.is(200, "ok");
    assert_eq!(rig.listed("svc&groupName=G1").await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn t3_a_delete_finds_its_instance_whatever_the_cluster() {
    let rig = Rig::open().await;
    rig.call("POST", &format!("{BASE}&clusterName=None"))
        .await
        .is(200, "ok");
    rig.call("DELETE", BASE).await.is(200, "ok");
    assert!(rig.listed("svc").await.is_empty());
}

#[tokio::test]
async fn t17_a_delete_without_kind_means_an_ephemeral_one() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Persistent).await;
    rig.call("DELETE", BASE).await.is(200, "ok");
    assert_eq!(rig.listed("svc").await, ["10.0.0.1:80"]);
    rig.call("DELETE", &format!("{BASE}&ephemeral=false"))
        .await
        .is(200, "ok");
    assert!(rig.listed("svc").await.is_empty());
}

#[tokio::test]
async fn deleting_what_is_not_there_is_ok() {
    let rig = Rig::open().await;
    rig.call("DELETE", BASE).await.is(200, "ok");
    rig.call("DELETE", &format!("{BASE}&ephemeral=false"))
        .await
        .is(200, "ok");
    // All parameters are read all the same.
    assert_eq!(rig.call("DELETE", &format!("{BASE}&weight=x")).await.status, 400);
}

#[tokio::test]
async fn t19_a_put_of_an_unknown_instance_registers_but_not_for_java_and_node() {
    let rig = Rig::open().await;
    let missing = "service not found, namespace: public, service: DEFAULT_GROUP@@svc";
    rig.call_as(JAVA, "PUT", BASE).await.is(400, missing);
    // Node claims to be it (T-5).
    rig.call_as("Nacos-Java-Client:v1.0.0", "PUT", BASE)
        .await
        .is(400, missing);
    rig.register("svc", "10.0.0.2:80", Kind::Ephemeral).await;
    rig.call_as(JAVA, "PUT", BASE)
        .await
        .is(400, "instance not exist: 10.0.0.1:80");
    rig.call_as("curl/8", "PUT", BASE).await.is(200, "ok");
    assert_eq!(rig.listed("svc").await, ["10.0.0.1:80", "10.0.0.2:80"]);
    rig.call_as(JAVA, "PUT", &format!("{BASE}&weight=3"))
        .await
        .is(200, "ok");
}

#[tokio::test]
async fn t2_an_update_disables_by_enabled_and_a_registration_by_enable() {
    let rig = Rig::open().await;
    rig.call("POST", &format!("{BASE}&enable=false")).await.is(200, "ok");
    assert!(rig.listed("svc").await.is_empty());
    rig.call("PUT", &format!("{BASE}&enabled=true&enable=false"))
        .await
        .is(200, "ok");
    assert_eq!(rig.listed("svc").await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn t20_a_patch_changes_what_it_names_and_nothing_else() {
    let rig = Rig::open().await;
    rig.call("POST", &format!("{BASE}&weight=5&enabled=false&metadata=a=b"))
        .await
        .is(200, "ok");
    rig.call("PATCH", &format!("{BASE}&metadata=%7B%22c%22:%22d%22%7D&enable=true"))
        .await
        .is(200, "ok");
    let detail = rig.call("GET", BASE).await.json();
    assert_eq!(
        (&detail["weight"], &detail["metadata"]),
        (&json!(5.0), &json!({"c": "d"}))
    );
    assert!(
        rig.listed("svc").await.is_empty(),
        "still disabled: PATCH has no `enable`"
    );
    rig.call("PATCH", "/v1/ns/instance?serviceName=svc&ip=10.0.0.9&port=80&weight=1")
        .await
        .is(400, "instance not found");
}

#[tokio::test]
async fn one_instance_is_shown_with_its_id() {
    let rig = Rig::open().await;
    rig.call("POST", BASE).await.is(200, "ok");
    rig.call("GET", BASE).await.is(
        200,
        r#"{"service":"DEFAULT_GROUP@@svc","ip":"10.0.0.1","port":80,"clusterName":"DEFAULT","weight":1.0,"healthy":true,"instanceId":"10.0.0.1#80#DEFAULT#DEFAULT_GROUP@@svc","metadata":{}}"#,
    );
}

#[tokio::test]
async fn t60_one_instance_is_not_found_by_the_cluster_alias_or_in_another_group() {
    let rig = Rig::open().await;
    rig.call("POST", &format!("{BASE}&clusterName=c1")).await.is(200, "ok");
    rig.call("GET", &format!("{BASE}&cluster=c1"))
        .await
        .is(404, "no ips found for cluster DEFAULT in service DEFAULT_GROUP@@svc");
    rig.call("GET", &format!("{BASE}&groupName=G1"))
        .await
        .is(404, "no service G1@@svc found!");
    rig.call(
        "GET",
        "/v1/ns/instance?serviceName=svc&ip=10.0.0.2&port=80&clusterName=c1",
    )
    .await
    .is(404, "no matched ip found!");
}

#[tokio::test]
async fn a_service_holds_one_kind_and_says_so_in_nacoss_words() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.2:80", Kind::Persistent).await;
    rig.call("POST", BASE).await.is(
        400,
        "errCode: 400, errMsg: Current service DEFAULT_GROUP@@svc is persistent service, can't register ephemeral instance. ",
    );
}

#[tokio::test]
async fn without_a_leader_persistent_writes_fail_and_ephemeral_ones_go_on() {
    let rig = Rig::open().await;
    rig.bed.set_leader(false);
    let answer = rig.call("POST", &format!("{BASE}&ephemeral=false")).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("did not find the Leader node"), "{}", answer.body);
    assert!(rig.listed("svc").await.is_empty());
    rig.call("POST", BASE).await.is(200, "ok");
}

#[tokio::test]
async fn a_full_node_refuses_with_503() {
    let rig = Rig::open().await;
    rig.bed.ephemeral.set_instances_max(0);
    assert_eq!(rig.call("POST", BASE).await.status, 503);
}

#[tokio::test]
async fn t25_a_batch_changes_the_instances_it_names() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.register("svc", "10.0.0.2:80", Kind::Ephemeral).await;
    let batch = "/v1/ns/instance/metadata/batch?serviceName=svc&metadata=%7B%22a%22:%22b%22%7D";
    let named = "&instances=[%7B%22ip%22:%2210.0.0.1%22,%22port%22:%2280%22,%22ephemeral%22:%22true%22%7D]";
    rig.call("PUT", &format!("{batch}{named}"))
        .await
        .is(200, r#"{"updated":["10.0.0.1:80:unknown:DEFAULT:ephemeral"]}"#);
    assert_eq!(rig.call("GET", BASE).await.json()["metadata"], json!({"a": "b"}));
    // Neither kind nor instances named, an unknown kind, unreadable instances: nobody (1.4).
    for nobody in ["", "&consistencyType=both", "&instances=x"] {
        rig.call("PUT", &format!("{batch}{nobody}"))
            .await
            .is(200, r#"{"updated":[]}"#);
    }
    let all = rig
        .call("DELETE", &format!("{batch}&consistencyType=ephemeral"))
        .await
        .json();
    assert_eq!(all["updated"].as_array().unwrap().len(), 2);
    assert_eq!(rig.call("GET", BASE).await.json()["metadata"], json!({}));
}

#[tokio::test]
async fn statuses_are_found_by_the_internal_key() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let path = "/v1/ns/instance/statuses?key=public%23%23DEFAULT_GROUP%40%40svc";
    rig.call("GET", path).await.is(200, r#"{"ips":["10.0.0.1:80_true"]}"#);
    rig.call("GET", "/v1/ns/instance/statuses?key=DEFAULT_GROUP%40%40other")
        .await
        .is(404, "service: DEFAULT_GROUP@@other not found.");
}

#[tokio::test]
async fn t5_node_is_given_what_the_java_client_it_claims_to_be_is_given() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let path = "/v1/ns/instance/list?serviceName=svc";
    let list = rig.call_as("Nacos-Java-Client:v1.0.0", "GET", path).await.json();
    assert_eq!(list["hosts"][0]["serviceName"], "DEFAULT_GROUP@@svc");
    let list = rig.call_as("Nacos-Python-Client:v1.0.0", "GET", path).await.json();
    assert_eq!(list["hosts"][0]["serviceName"], "svc");
}

#[tokio::test]
async fn t12_answers_are_plain_whatever_encodings_a_client_offers() {
    let rig = Rig::open().await;
    let request = "GET /nacos/v1/ns/instance/list?serviceName=svc HTTP/1.1\r\nHost: h\r\n\
        Accept-Encoding: gzip,deflate,sdch\r\n\r\n";
    let answer = rig.raw(request.as_bytes()).await;
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.json().is_object());
}

#[tokio::test]
async fn t21_an_update_replaces_metadata_and_a_new_registration_replaces_the_update() {
    let rig = Rig::open().await;
    let with = |weight: u8, metadata: &str| format!("{BASE}&weight={weight}&metadata={metadata}");
    rig.call("POST", &with(1, "a=1,b=2")).await.is(200, "ok");
    rig.call("PUT", &with(5, "a=3")).await.is(200, "ok");
    let shown = rig.call("GET", BASE).await.json();
    assert_eq!(
        (&shown["weight"], &shown["metadata"]),
        (&json!(5.0), &json!({"a": "3"}))
    );
    rig.call("POST", &with(2, "a=1,b=2")).await.is(200, "ok");
    let shown = rig.call("GET", BASE).await.json();
    assert_eq!(
        (&shown["weight"], &shown["metadata"]),
        (&json!(2.0), &json!({"a": "1", "b": "2"}))
    );
}

#[tokio::test]
async fn t49_a_cluster_with_an_underscore_is_refused_at_registration_and_finds_nothing_in_a_query() {
    let rig = Rig::open().await;
    rig.call("POST", &format!("{BASE}&clusterName=a_b")).await.is(
        400,
        "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)",
    );
    assert!(rig.listed("svc&clusters=a_b").await.is_empty());
}

#[tokio::test]
async fn t50_a_malformed_name_is_refused_and_the_request_does_not_run() {
    let rig = Rig::open().await;
    assert_eq!(
        rig.call("POST", "/v1/ns/instance?serviceName=%40%40svc&ip=10.0.0.1&port=80")
            .await
            .status,
        400
    );
    assert_eq!(rig.call("GET", "/v1/ns/service/names").await.json()["count"], 0);
}

#[tokio::test]
async fn t51_calls_that_nacos_3_closes_stay_open() {
    let rig = Rig::open().await;
    for path in [
        "/v1/ns/operator/switches",
        "/v1/ns/service/names",
        "/v1/ns/catalog/services",
        "/v1/core/cluster/nodes",
        "/v1/console/namespaces",
    ] {
        assert_eq!(rig.call("GET", path).await.status, 200, "{path}");
    }
}
