//! `/v2/ns/operator`, `/v2/ns/health`, `/v2/core`, `/v2/console`, and v3's beside them.

use super::rig::Rig;
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
async fn switches_are_shown_set_and_refused_by_name() {
    let rig = Rig::open().await;
    for (path, java) in [
        ("/v2/ns/operator/switches", "pushJavaVersion"),
        ("/v2/ns/ops/switches", "pushJavaVersion"),
        ("/v3/admin/ns/ops/switches", "pushVersionOfJava"),
    ] {
        rig.call("PUT", &format!("{path}?entry=clientBeatInterval&value=8000"))
            .await
            .is(200, OK);
        let shown = data(&rig, path).await;
        assert_eq!(
            (&shown["clientBeatInterval"], &shown[java]),
            (&json!(8_000), &json!("0.1.0"))
        );
        for wrong in ["entry=clientBeatInterval&value=x", "entry=noSuch&value=1"] {
            let refused = rig.call("PUT", &format!("{path}?{wrong}")).await;
            let body = refused.json();
            assert_eq!(
                (refused.status, &body["code"], &body["message"]),
                (500, &json!(30_000), &json!("server error"))
            );
        }
        let local = rig
            .call("PUT", &format!("{path}?entry=check&value=false&debug=true"))
            .await;
        assert_eq!((local.status, &local.json()["code"]), (400, &json!(20_002)));
    }
    assert_eq!(
        data(&rig, "/v3/admin/ns/ops/switches").await["pushJavaVersion"],
        Value::Null
    );
}

#[tokio::test]
async fn metrics_are_the_status_alone_unless_more_is_asked_for() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    rig.register("kept", "10.0.0.1:80", Kind::Persistent).await;
    for path in [
        "/v2/ns/operator/metrics",
        "/v2/ns/ops/metrics",
        "/v3/admin/ns/ops/metrics",
    ] {
        rig.call("GET", path)
            .await
            .is(200, r#"{"code":0,"message":"success","data":{"status":"UP"}}"#);
        let all = data(&rig, &format!("{path}?onlyStatus=false")).await;
        assert_eq!(
            all,
            json!({
                "status": "UP", "serviceCount": 2, "instanceCount": 2, "subscribeCount": 0, "clientCount": 2,
                "connectionBasedClientCount": 0, "ephemeralIpPortClientCount": 1, "persistentIpPortClientCount": 1,
                "responsibleClientCount": all["responsibleClientCount"],
            })
        );
    }
}

#[tokio::test]
async fn health_is_set_by_hand_where_no_checker_runs() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Persistent).await;
    let of = "serviceName=svc&ip=10.0.0.1&port=80";
    for path in [
        "/v2/ns/health",
        "/v2/ns/health/instance",
        "/v3/admin/ns/health/instance",
    ] {
        rig.call("PUT", &format!("{path}?{of}&healthy=false")).await.is(
            400,
            concat!(
                r#"{"code":30000,"message":"server error","data":"#,
                r#""health check is still working, service: DEFAULT_GROUP@@svc, cluster: DEFAULT"}"#
            ),
        );
    }
    let cluster = "/v3/admin/ns/cluster?serviceName=svc&clusterName=DEFAULT&checkPort=80&useInstancePort4Check=true";
    rig.form("PUT", cluster, r#"healthChecker={"type":"NONE"}"#)
        .await
        .is(200, OK);
    for (path, healthy) in [("/v2/ns/health", false), ("/v3/admin/ns/health/instance", true)] {
        rig.call("PUT", &format!("{path}?{of}&healthy={healthy}"))
            .await
            .is(200, OK);
        let shown = data(&rig, &format!("/v2/ns/instance?{of}")).await;
        assert_eq!(shown["healthy"], healthy);
    }
    let nobody = rig
        .call("PUT", "/v2/ns/health?serviceName=svc&ip=10.0.0.2&port=80&healthy=true")
        .await;
    assert_eq!((nobody.status, &nobody.json()["code"]), (404, &json!(20_004)));
    let mysql = rig.form("PUT", cluster, r#"healthChecker={"type":"MYSQL"}"#).await;
    assert_eq!((mysql.status, &mysql.json()["code"]), (400, &json!(20_002)));
    let unknown = cluster.replace("serviceName=svc", "serviceName=nobody");
    let refused = rig.form("PUT", &unknown, r#"healthChecker={"type":"TCP"}"#).await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(21_008)));
}

#[tokio::test]
async fn members_are_shown_by_address_and_state() {
    let rig = Rig::open().await;
    for core in ["/v2/core/cluster", "/v3/admin/core/cluster"] {
        let this = data(&rig, &format!("{core}/node/self")).await;
        assert_eq!(
            this,
            json!({
                "ip": "127.0.0.1", "port": 8848, "state": "UP", "address": "127.0.0.1:8848", "failAccessCnt": 0,
                "extendInfo": {"version": "0.1.0", "id": 1},
            })
        );
        assert_eq!(data(&rig, &format!("{core}/node/self/health")).await, "UP");
        let addresses = async |query: &str| -> Vec<String> {
            let found = data(&rig, &format!("{core}/node/list{query}")).await;
            let rows = found.as_array().unwrap().iter();
            rows.map(|row| row["address"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(addresses("").await, ["127.0.0.1:8848", "127.0.0.1:8858"]);
        assert_eq!(addresses("?state=down").await, ["127.0.0.1:8858"]);
        assert_eq!(addresses("?state=SUSPICIOUS").await, [""; 0]);
        assert_eq!(addresses("?address=127.0.0.1:884").await, ["127.0.0.1:8848"]);
        rig.call("GET", &format!("{core}/node/list?state=x")).await.is(
            400,
            r#"{"code":23000,"message":"illegal state","data":"Illegal state: x"}"#,
        );
    }
}

#[tokio::test]
async fn readiness_is_a_code_in_a_200_but_at_the_console_of_v3() {
    let rig = Rig::closed().await;
    let not_ready = r#"{"code":30000,"message":"server error","data":"Naming is not in readiness"}"#;
    let all = [
        ("/v2/console/health", 200),
        ("/v3/console/health", 500),
        ("/v3/admin/core/state", 200),
    ];
    for (path, status) in all {
        rig.call("GET", &format!("{path}/liveness")).await.is(200, OK);
        rig.call("GET", &format!("{path}/readiness"))
            .await
            .is(status, not_ready);
    }
    rig.opener.open(rig.bed.naming.clone());
    for (path, _) in all {
        rig.call("GET", &format!("{path}/readiness")).await.is(200, OK);
    }
    let state = data(&rig, "/v3/admin/core/state").await;
    assert_eq!(
        (&state["startup_mode"], &state["version"]),
        (&json!("cluster"), &json!("0.1.0"))
    );
}

#[tokio::test]
async fn namespaces_are_those_that_hold_services_and_public() {
    let rig = Rig::open().await;
    rig.call(
        "POST",
        "/v2/ns/instance?serviceName=svc&namespaceId=dev&ip=10.0.0.1&port=80",
    )
    .await
    .is(200, OK);
    for (path, public) in [("/v2/console/namespace", ""), ("/v3/admin/core/namespace", "public")] {
        let dev = json!({
            "namespace": "dev", "namespaceShowName": "dev", "namespaceDesc": null, "quota": 200, "configCount": 0,
            "type": 2, "serviceCount": 1,
        });
        let all = data(&rig, &format!("{path}/list")).await;
        assert_eq!(
            (&all[0]["namespace"], &all[0]["type"], &all[1]),
            (&json!(public), &json!(0), &dev)
        );
        assert_eq!(data(&rig, &format!("{path}?namespaceId=dev")).await, dev);
        rig.call("GET", &format!("{path}?namespaceId=x")).await.is(
            404,
            r#"{"code":22001,"message":"namespace not exist","data":"namespaceId [ x ] not exist"}"#,
        );
    }
    assert_eq!(data(&rig, "/v3/admin/core/namespace/check?namespaceId=dev").await, 1);
    assert_eq!(data(&rig, "/v3/admin/core/namespace/check?namespaceId=x").await, 0);
}
