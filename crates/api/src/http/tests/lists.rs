//! `GET /v1/ns/instance/list`: query and subscribe.

use super::rig::{JAVA, Rig};
use muster_model::Kind;
use serde_json::json;

const GO: &str = "Nacos-Go-Client:v1.1.4";

#[tokio::test]
async fn t7_name_and_clusters_come_back_as_the_clients_cache_key() {
    let rig = Rig::open().await;
    for agent in [JAVA, GO, "curl/8"] {
        let path = "/v1/ns/instance/list?serviceName=svc&groupName=G1&clusters=b,a,a";
        let list = rig.call_as(agent, "GET", path).await.json();
        assert_eq!(
            (&list["name"], &list["clusters"]),
            (&json!("G1@@svc"), &json!("b,a,a")),
            "{agent}"
        );
    }
}

#[tokio::test]
async fn t36_cache_millis_says_whether_pushes_come_and_is_never_missing() {
    let rig = Rig::open().await;
    let asks = |more: &str| format!("/v1/ns/instance/list?serviceName=svc{more}");
    for (agent, more, cache_ms) in [
        (JAVA, "&udpPort=51234&clientIP=10.0.0.9", 10_000),
        (GO, "&udpPort=55000&clientIP=10.0.0.9", 10_000),
        (JAVA, "&udpPort=0", 3_000),
        (JAVA, "&udpPort=-1", 3_000),
        ("Nacos-Python-Client:v1.0.0", "&udpPort=51234&clientIP=10.0.0.9", 3_000),
        // Go v1.0.0 misspells itself and gets no pushes.
        ("Nacos-go-Client:v1.0.1", "&udpPort=55000", 3_000),
    ] {
        let list = rig.call_as(agent, "GET", &asks(more)).await.json();
        assert_eq!(list["cacheMillis"], cache_ms, "{agent} {more}");
    }
}

#[tokio::test]
async fn t41_a_subscription_to_an_unknown_service_is_kept() {
    let rig = Rig::open().await;
    let path = "/v1/ns/instance/list?serviceName=nobody&udpPort=51234&clientIP=10.0.0.9";
    let list = rig.call_as(JAVA, "GET", path).await.json();
    assert_eq!((&list["hosts"], &list["cacheMillis"]), (&json!([]), &json!(10_000)));
    let subscribers = rig
        .call("GET", "/v1/ns/service/subscribers?serviceName=nobody")
        .await
        .json();
    assert_eq!(
        subscribers,
        json!({"count": 1, "subscribers": [{"addrStr": "10.0.0.9:51234", "agent": JAVA, "app": "unknown",
            "ip": "10.0.0.9", "port": 51234, "namespaceId": "public", "serviceName": "DEFAULT_GROUP@@nobody",
            "cluster": ""}]})
    );
}

#[tokio::test]
async fn t40_a_client_ip_that_is_no_address_is_replaced_by_where_the_request_came_from() {
    let rig = Rig::open().await;
    for (place, client_ip) in ["", "resolve_failed", "localhost", "0.0.0.0", "224.0.0.1"]
        .into_iter()
        .enumerate()
    {
        let path = format!("/v1/ns/instance/list?serviceName=s{place}&udpPort=51234&clientIP={client_ip}");
        rig.call_as(JAVA, "GET", &path).await;
        let subscribers = rig
            .call("GET", &format!("/v1/ns/service/subscribers?serviceName=s{place}"))
            .await
            .json();
        assert_eq!(
            subscribers["subscribers"][0]["addrStr"], "127.0.0.1:51234",
            "{client_ip:?}"
        );
    }
}

#[tokio::test]
async fn t10_healthy_only_takes_any_spelling_and_false_is_no_error() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.register("svc", "10.0.0.2:80", Kind::Ephemeral).await;
    let (service, key) = (
        muster_naming::testing::service("svc"),
        muster_naming::testing::key("10.0.0.2:80"),
    );
    rig.bed.ephemeral.set_health(&service, &key, false);
    for (value, hosts) in [("True", 1), ("TRUE", 1), ("False", 2), ("1", 2), ("yes", 2), ("", 2)] {
        assert_eq!(
            rig.listed(&format!("svc&healthyOnly={value}")).await.len(),
            hosts,
            "{value}"
        );
    }
}

#[tokio::test]
async fn t48_is_check_is_ignored_as_in_2_4() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    assert_eq!(rig.listed("svc&isCheck=true").await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn t37_answers_of_one_service_carry_stamps_that_never_go_back() {
    let rig = Rig::open().await;
    let mut last = 0;
    for port in 80..90 {
        rig.register("svc", &format!("10.0.0.1:{port}"), Kind::Ephemeral).await;
        let list = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.json();
        let stamp = list["lastRefTime"].as_u64().unwrap();
        assert!(stamp > last);
        last = stamp;
    }
}

#[tokio::test]
async fn an_answer_is_rendered_once_per_list_and_filter() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let first = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.body;
    let again = rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.body;
    assert_eq!(first, again);
    let other = rig
        .call_as(JAVA, "GET", "/v1/ns/instance/list?serviceName=svc")
        .await
        .body;
    assert_ne!(first, other, "Java is given grouped names, curl bare ones");
    // A rendering with another filter stands beside the first and does not replace it.
    rig.listed("svc&healthyOnly=true&clusters=a").await;
    assert_eq!(
        first,
        rig.call("GET", "/v1/ns/instance/list?serviceName=svc").await.body
    );
}

#[tokio::test]
async fn the_switches_cache_times_reach_the_next_answer() {
    let rig = Rig::open().await;
    let list = "/v1/ns/instance/list?serviceName=svc";
    assert_eq!(rig.call("GET", list).await.json()["cacheMillis"], 3_000);
    rig.call("PUT", "/v1/ns/operator/switches?entry=defaultCacheMillis&value=4000")
        .await
        .is(200, "ok");
    assert_eq!(rig.call("GET", list).await.json()["cacheMillis"], 4_000);
}
