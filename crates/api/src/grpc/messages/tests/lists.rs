use super::*;
use muster_model::Kind;
use muster_naming::testing::{instance, service, service_in};
use muster_push::Target;
use serde_json::json;

async fn registered(rig: &Rig, name: &str, address: &str) {
    let context = rig.bed.context();
    let one = instance(address, Kind::Ephemeral);
    rig.bed.naming.register(&context, &service(name), one).await.unwrap();
}

fn subscription(subscribe: bool, clusters: &str) -> String {
    json!({"headers":{},"namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP","subscribe":subscribe,
        "clusters":clusters,"module":"naming"})
    .to_string()
}

#[tokio::test]
async fn a_query_is_answered_in_full() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    registered(&rig, "s", "1.1.1.1:80").await;
    let body = r#"{"headers":{},"namespace":"public","serviceName":"s","groupName":"DEFAULT_GROUP","cluster":"DEFAULT","healthyOnly":false,"udpPort":0,"module":"naming"}"#;
    let mut answer = rig
        .json(&one, "ServiceQueryRequest", "QueryServiceResponse", body)
        .await;
    let time = answer["serviceInfo"]["lastRefTime"].take();
    assert!(time.as_u64().unwrap() >= rig.received_ms - 1, "{time}");
    assert_eq!(
        answer,
        json!({"resultCode":200,"errorCode":0,"serviceInfo":{
            "name":"s","groupName":"DEFAULT_GROUP","clusters":"DEFAULT","cacheMillis":10000,"hosts":[
                {"instanceId":"1.1.1.1#80#DEFAULT#DEFAULT_GROUP@@s","ip":"1.1.1.1","port":80,"weight":1.0,"healthy":true,
                 "enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@s","metadata":{},
                 "instanceHeartBeatInterval":5000,"instanceHeartBeatTimeOut":15000,"ipDeleteTimeout":30000,
                 "instanceIdGenerator":"simple"}],
            "lastRefTime":null,"checksum":"","allIPs":false,"allIps":false,
            "reachProtectionThreshold":false,"valid":true},"success":true})
    );
}

#[tokio::test]
async fn an_unknown_service_is_an_empty_list_and_leaves_nothing_behind() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let body = r#"{"serviceName":"nobody","cluster":null,"healthOnly":true}"#;
    let answer = rig
        .json(&one, "ServiceQueryRequest", "QueryServiceResponse", body)
        .await;
    assert_eq!(answer["success"], true);
    assert_eq!(answer["serviceInfo"]["hosts"], json!([]));
    assert_eq!(answer["serviceInfo"]["clusters"], "");
    assert_eq!(rig.bed.naming.counts().services, 0);
}

#[tokio::test]
async fn each_answer_looks_newer_and_the_next_list_newer_still() {
    let mut rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    registered(&rig, "s", "1.1.1.1:80").await;
    let stamp = rig.bed.naming.snapshot(&service("s")).stamp_ms;
    let mut last = 0;
    for later in [1_000, 1_001, 5_000] {
        rig.received_ms = stamp + later;
        let answer = rig
            .json(
                &one,
                "ServiceQueryRequest",
                "QueryServiceResponse",
                r#"{"serviceName":"s"}"#,
            )
            .await;
        let time = answer["serviceInfo"]["lastRefTime"].as_u64().unwrap();
        assert!(time > last && time < rig.received_ms, "{time}");
        last = time;
    }
    // The clock behind the answers goes on; a change right after has a later stamp.
    rig.received_ms = rig.bed.clock.wall_ms();
    let answer = rig
        .json(
            &one,
            "ServiceQueryRequest",
            "QueryServiceResponse",
            r#"{"serviceName":"s"}"#,
        )
        .await;
    registered(&rig, "s", "1.1.1.2:80").await;
    let next = rig.bed.naming.snapshot(&service("s"));
    assert!(answer["serviceInfo"]["lastRefTime"].as_u64().unwrap() < next.stamp_ms);
}

#[tokio::test]
async fn subscribing_answers_the_list_and_a_later_one_replaces() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    for (clusters, hosts) in [("", 0), ("other", 0), ("DEFAULT", 1)] {
        if clusters == "DEFAULT" {
            registered(&rig, "s", "1.1.1.1:80").await;
        }
        let answer = rig
            .json(
                &one,
                "SubscribeServiceRequest",
                "SubscribeServiceResponse",
                &subscription(true, clusters),
            )
            .await;
        assert_eq!(
            (&answer["resultCode"], &answer["message"]),
            (&json!(200), &json!("success"))
        );
        assert_eq!(answer["serviceInfo"]["clusters"], clusters);
        assert_eq!(answer["serviceInfo"]["hosts"].as_array().unwrap().len(), hosts);
        let subscriptions = rig.bed.recorder.subscriptions();
        assert!(subscriptions.iter().any(|key| *key.clusters == *clusters
            && key.service == service("s")
            && key.target
                == Target::Connection {
                    id: ConnectionId(1),
                    peer: peer()
                }));
    }
    let answer = rig
        .json(
            &one,
            "SubscribeServiceRequest",
            "SubscribeServiceResponse",
            &subscription(false, "whatever"),
        )
        .await;
    assert_eq!(answer["message"], "success");
    assert_eq!(answer["serviceInfo"]["clusters"], "whatever");
    assert!(rig.bed.recorder.subscriptions().is_empty());
}

#[tokio::test]
async fn wrong_filters_are_refused_and_subscribe_to_nothing() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let message = "Param check invalid:Param 'cluster' is illegal, illegal characters should not appear in the param.";
    let refused = json!({"resultCode":500,"errorCode":400,"message":message,"success":false});
    let answer = rig
        .json(
            &one,
            "SubscribeServiceRequest",
            "SubscribeServiceResponse",
            &subscription(true, "a b"),
        )
        .await;
    assert_eq!(answer, refused);
    let query = r#"{"serviceName":"s","cluster":"a b"}"#;
    let answer = rig
        .json(&one, "ServiceQueryRequest", "QueryServiceResponse", query)
        .await;
    assert_eq!(answer, refused);
    assert!(rig.bed.recorder.subscriptions().is_empty());
}

#[tokio::test]
async fn names_are_listed_bare_by_pages_of_one_group() {
    let rig = Rig::start();
    let (one, _asked) = rig.connect(1);
    let context = rig.bed.context();
    for (group, name) in [("g", "b"), ("g", "a"), ("g", "c"), ("h", "d")] {
        let one = instance("1.1.1.1:80", Kind::Ephemeral);
        let service = service_in("public", group, name);
        rig.bed.naming.register(&context, &service, one).await.unwrap();
    }
    let list = |page: i32| {
        json!({"headers":{},"namespace":"public","serviceName":"","groupName":"g","pageNo":page,"pageSize":2,"module":"naming"})
            .to_string()
    };
    for (page, names) in [(1, r#"["a","b"]"#), (2, r#"["c"]"#), (3, "[]")] {
        let answer = rig.ask(&one, "ServiceListRequest", &list(page)).await;
        assert_eq!(
            answer,
            (
                "ServiceListResponse",
                format!(r#"{{"resultCode":200,"errorCode":0,"count":3,"serviceNames":{names},"success":true}}"#)
            )
        );
    }
    let wrong = r#"{"groupName":"a/b","pageNo":1,"pageSize":2}"#;
    let answer = rig.json(&one, "ServiceListRequest", "ServiceListResponse", wrong).await;
    assert_eq!(
        (&answer["errorCode"], &answer["count"], &answer["serviceNames"]),
        (&json!(400), &json!(0), &json!([]))
    );
}
