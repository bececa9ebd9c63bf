//! `/v2/ns/instance`.

use super::rig::{JAVA, Rig};
use muster_model::Kind;
use serde_json::json;

const OK: &str = r#"{"code":0,"message":"success","data":"ok"}"#;

#[tokio::test]
async fn an_instance_registers_is_shown_updated_and_leaves() {
    let rig = Rig::open().await;
    let of = "serviceName=svc&groupName=G&ip=10.0.0.1&port=80";
    rig.form(
        "POST",
        "/v2/ns/instance",
        &format!("{of}&weight=2&metadata=%7B%22a%22:%22b%22%7D"),
    )
    .await
    .is(200, OK);
    rig.call("GET", &format!("/v2/ns/instance?{of}")).await.is(
        200,
        concat!(
            r#"{"code":0,"message":"success","data":{"serviceName":"G@@svc","ip":"10.0.0.1","port":80,"#,
            r#""clusterName":"DEFAULT","weight":2.0,"healthy":true,"#,
            r#""instanceId":"10.0.0.1#80#DEFAULT#G@@svc","metadata":{"a":"b"}}}"#
        ),
    );
    rig.call("PUT", &format!("/v2/ns/instance?{of}&weight=5&enabled=false"))
        .await
        .is(200, OK);
    let listed = rig
        .call("GET", "/v2/ns/instance/list?serviceName=svc&groupName=G")
        .await;
    assert_eq!(listed.json()["data"]["hosts"], json!([]), "disabled");
    let deleted = rig.call("DELETE", &format!("/v2/ns/instance?{of}")).await;
    deleted.is(200, OK);
    rig.call("DELETE", &format!("/v2/ns/instance?{of}")).await.is(200, OK);
    rig.call("GET", &format!("/v2/ns/instance?{of}")).await.is(
        404,
        r#"{"code":20004,"message":"resource not found","data":"no service G@@svc found!"}"#,
    );
}

#[tokio::test]
async fn a_list_is_the_object_of_2_4_with_grouped_names_for_every_agent() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let answer = rig
        .call_as("curl/8", "GET", "/v2/ns/instance/list?serviceName=svc")
        .await
        .json();
    assert_eq!((&answer["code"], &answer["message"]), (&json!(0), &json!("success")));
    let list = &answer["data"];
    for (member, value) in [
        ("name", json!("DEFAULT_GROUP@@svc")),
        ("groupName", json!("DEFAULT_GROUP")),
        ("clusters", json!("")),
        ("checksum", json!("")),
        ("allIPs", json!(false)),
        ("reachProtectionThreshold", json!(false)),
        ("valid", json!(true)),
    ] {
        assert_eq!(list[member], value, "{member}");
    }
    let host = &list["hosts"][0];
    for (member, value) in [
        ("instanceId", json!("10.0.0.1#80#DEFAULT#DEFAULT_GROUP@@svc")),
        ("ip", json!("10.0.0.1")),
        ("port", json!(80)),
        ("weight", json!(1.0)),
        ("healthy", json!(true)),
        ("enabled", json!(true)),
        ("ephemeral", json!(true)),
        ("clusterName", json!("DEFAULT")),
        ("serviceName", json!("DEFAULT_GROUP@@svc")),
        ("metadata", json!({})),
        ("instanceHeartBeatInterval", json!(5_000)),
        ("instanceHeartBeatTimeOut", json!(15_000)),
        ("ipDeleteTimeout", json!(30_000)),
        ("instanceIdGenerator", json!("simple")),
    ] {
        assert_eq!(host[member], value, "{member}");
    }
    let none = rig
        .call("GET", "/v2/ns/instance/list?serviceName=nobody&clusterName=a,b")
        .await
        .json();
    assert_eq!(
        (&none["data"]["hosts"], &none["data"]["clusters"]),
        (&json!([]), &json!("a,b"))
    );
}

#[tokio::test]
async fn a_list_subscribes_an_agent_that_listens_by_ip_and_port() {
    let rig = Rig::open().await;
    let path = "/v2/ns/instance/list?serviceName=svc&ip=10.0.0.9&port=5000&app=shop";
    let pushed = rig.call_as(JAVA, "GET", path).await.json();
    assert_eq!(pushed["data"]["cacheMillis"], 10_000);
    let polled = rig.call_as("curl/8", "GET", path).await.json();
    assert_eq!(polled["data"]["cacheMillis"], 3_000);
    let found = rig
        .call("GET", "/v2/ns/client/service/subscriber/list?serviceName=svc")
        .await;
    assert_eq!(
        found.json()["data"],
        json!([{"clientId": "10.0.0.9:5000#true", "ip": "10.0.0.9", "port": 5000}])
    );
}

#[tokio::test]
async fn t53_a_beat_wants_the_grouped_name_and_is_answered_bare() {
    let rig = Rig::open().await;
    let beat = "/v2/ns/instance/beat?serviceName=G%40%40svc&ip=10.0.0.1&port=80";
    rig.call("PUT", beat).await.is(
        200,
        r#"{"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true}"#,
    );
    rig.call(
        "POST",
        "/v2/ns/instance?serviceName=svc&groupName=G&ip=10.0.0.1&port=80",
    )
    .await
    .is(200, OK);
    rig.call("PUT", beat).await.is(
        200,
        r#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#,
    );
    let full = "serviceName=G%40%40svc&beat={\"ip\":\"10.0.0.2\",\"port\":81,\"weight\":1}";
    let taken = rig.form("PUT", "/v2/ns/instance/beat", full).await;
    assert_eq!(taken.json()["code"], 10_200);
    let listed = rig
        .call("GET", "/v2/ns/instance/list?serviceName=svc&groupName=G")
        .await;
    assert_eq!(listed.json()["data"]["hosts"].as_array().unwrap().len(), 2);
    let bare = rig
        .call("PUT", "/v2/ns/instance/beat?serviceName=svc&ip=10.0.0.1&port=80")
        .await;
    assert_eq!((bare.status, &bare.json()["code"]), (400, &json!(20_002)));
}

#[tokio::test]
async fn t53_a_patch_wants_everything_and_is_answered_ok() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    let of = "/v2/ns/instance?serviceName=DEFAULT_GROUP%40%40svc&ip=10.0.0.1&port=80";
    let missing = rig.call("PATCH", &format!("{of}&weight=3&enabled=true")).await;
    missing.is(
        400,
        r#"{"code":10000,"message":"parameter missing","data":"Required parameter 'metadata' type String is not present"}"#,
    );
    rig.call("PATCH", &format!("{of}&weight=3&enabled=true&metadata=k=v"))
        .await
        .is(200, "ok");
    let shown = rig
        .call("GET", "/v2/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await
        .json();
    assert_eq!(
        (&shown["data"]["weight"], &shown["data"]["metadata"]),
        (&json!(3.0), &json!({"k": "v"}))
    );
    let nobody = of.replace("port=80", "port=81");
    rig.call("PATCH", &format!("{nobody}&weight=3&enabled=true&metadata=k=v"))
        .await
        .is(
            404,
            r#"{"code":20004,"message":"resource not found","data":"no matched ip found!"}"#,
        );
}

#[tokio::test]
async fn statuses_are_bare_and_their_key_stands_in_the_path() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    for key in ["public%23%23DEFAULT_GROUP%40%40svc", "DEFAULT_GROUP@@svc"] {
        rig.call("GET", &format!("/v2/ns/instance/statuses/{key}"))
            .await
            .is(200, r#"{"ips":["10.0.0.1:80_true"]}"#);
    }
    rig.call("POST", "/v2/ns/instance/statuses/G@@nobody")
        .await
        .is(200, r#"{"ips":[]}"#);
    let bare = rig.call("GET", "/v2/ns/instance/statuses/svc").await;
    assert_eq!((bare.status, &bare.json()["code"]), (400, &json!(20_002)));
}

#[tokio::test]
async fn a_batch_edits_those_named_or_all_of_a_kind_or_all() {
    let rig = Rig::open().await;
    for address in ["10.0.0.1:80", "10.0.0.2:80"] {
        rig.register("svc", address, Kind::Ephemeral).await;
    }
    let batch = "/v2/ns/instance/metadata/batch?serviceName=svc&metadata=a=b";
    let named = "&instances=[{\"ip\":\"10.0.0.1\",\"port\":\"80\"}]";
    rig.form(
        "PUT",
        "/v2/ns/instance/metadata/batch",
        &format!("serviceName=svc&metadata=a=b{named}"),
    )
    .await
    .is(
        200,
        r#"{"code":0,"message":"success","data":{"updated":["10.0.0.1:80:unknown:DEFAULT:ephemeral"]}}"#,
    );
    let updated = |answer: super::rig::Answer| answer.json()["data"]["updated"].as_array().unwrap().len();
    assert_eq!(updated(rig.call("PUT", batch).await), 2);
    assert_eq!(
        updated(rig.call("DELETE", &format!("{batch}&consistencyType=ephemeral")).await),
        2
    );
    assert_eq!(
        updated(rig.call("PUT", &format!("{batch}&consistencyType=persist")).await),
        0
    );
    for wrong in ["&consistencyType=x", "&instances=x"] {
        let refused = rig.call("PUT", &format!("{batch}{wrong}")).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (400, &json!(20_002)),
            "{wrong}"
        );
    }
    let shown = rig
        .call("GET", "/v2/ns/instance?serviceName=svc&ip=10.0.0.1&port=80")
        .await;
    assert_eq!(shown.json()["data"]["metadata"], json!({}));
}
