//! Wrong values in v2 and v3: the code that says what is wrong, and nothing changed.

use super::bad_input::state;
use super::rig::Rig;
use muster_model::Kind;
use serde_json::json;

const BASE: &str = "serviceName=kept&ip=10.0.0.1&port=80";

#[tokio::test]
async fn wrong_forms_of_an_instance_are_refused_with_their_code_and_change_nothing() {
    let rig = Rig::open().await;
    rig.register("kept", "10.0.0.1:80", Kind::Ephemeral).await;
    let before = state(&rig).await;
    let long = "v".repeat(1_025);
    let names = "x".repeat(513);
    let cases = [
        (
            format!("{BASE}&weight=x"),
            20_002,
            "parameter validate error",
            "For input string: \"x\"".to_owned(),
        ),
        (
            format!("{BASE}&weight=10001"),
            21_001,
            "weight error",
            "instance format invalid: The weights range from 0.0 to 10000.0".to_owned(),
        ),
        (
            format!("{BASE}&weight=NaN"),
            21_001,
            "weight error",
            "instance format invalid: The weights range from 0.0 to 10000.0".to_owned(),
        ),
        (
            format!("{BASE}&metadata=abc"),
            21_002,
            "instance metadata error",
            "metadata format incorrect:abc".to_owned(),
        ),
        (
            format!("{BASE}&metadata=k={long}"),
            20_002,
            "parameter validate error",
            "Param 'Metadata' is illegal, the param length should not exceed 1024.".to_owned(),
        ),
        (
            format!("{BASE}&clusterName=a_b"),
            21_004,
            "instance error",
            "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)".to_owned(),
        ),
        (
            format!("{BASE}&clusterName=a%20b"),
            20_002,
            "parameter validate error",
            "Param 'cluster' is illegal, illegal characters should not appear in the param.".to_owned(),
        ),
        (
            format!("{BASE}&metadata=preserved.heart.beat.timeout=1"),
            21_004,
            "instance error",
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.".to_owned(),
        ),
        (
            format!("{BASE}&enabled=maybe"),
            20_002,
            "parameter validate error",
            "Invalid boolean value [maybe]".to_owned(),
        ),
        (
            "serviceName=kept&ip=10.0.0.1&port=abc".to_owned(),
            20_002,
            "parameter validate error",
            "For input string: \"abc\"".to_owned(),
        ),
        (
            "serviceName=kept&ip=10.0.0.1&port=65536".to_owned(),
            20_002,
            "parameter validate error",
            "Param 'port' is illegal, the value should be between 0 and 65535.".to_owned(),
        ),
        (
            "serviceName=kept&ip=a%20b&port=80".to_owned(),
            20_002,
            "parameter validate error",
            "Param 'ip' is illegal, illegal characters should not appear in the param.".to_owned(),
        ),
        (
            format!("serviceName={names}&ip=10.0.0.1&port=80"),
            20_002,
            "parameter validate error",
            "Param 'serviceName' is illegal, the param length should not exceed 512.".to_owned(),
        ),
        (
            "serviceName=G%40%40kept&ip=10.0.0.1&port=80".to_owned(),
            20_002,
            "parameter validate error",
            "Param 'serviceName' is illegal, illegal characters should not appear in the param.".to_owned(),
        ),
        (
            format!("{BASE}&namespaceId=a.b"),
            20_002,
            "parameter validate error",
            "Param 'namespaceId/tenant' is illegal, illegal characters should not appear in the param.".to_owned(),
        ),
        (
            format!("{BASE}&groupName={}", "g".repeat(129)),
            20_002,
            "parameter validate error",
            "Param 'group' is illegal, the param length should not exceed 128.".to_owned(),
        ),
        (
            "serviceName=kept&port=80".to_owned(),
            10_000,
            "parameter missing",
            "Required parameter 'ip' type String is not present".to_owned(),
        ),
        (
            "serviceName=kept&ip=10.0.0.1".to_owned(),
            10_000,
            "parameter missing",
            "Required parameter 'port' type Integer is not present".to_owned(),
        ),
        (
            "serviceName=%20&ip=10.0.0.1&port=80".to_owned(),
            10_000,
            "parameter missing",
            "Required parameter 'serviceName' type String is not present".to_owned(),
        ),
    ];
    for path in ["/v2/ns/instance", "/v3/admin/ns/instance", "/v3/client/ns/instance"] {
        for (form, code, message, data) in &cases {
            let answer = rig.form("POST", path, form).await;
            assert_eq!(answer.status, 400, "{path} {form}");
            let expected = json!({ "code": code, "message": message, "data": data });
            assert_eq!(answer.json(), expected, "{path} {form}");
        }
    }
    assert_eq!(state(&rig).await, before);
}

#[tokio::test]
async fn a_json_body_is_no_form() {
    let rig = Rig::open().await;
    let body = r#"{"serviceName":"svc","ip":"10.0.0.1","port":80}"#;
    let request = format!(
        "POST /nacos/v2/ns/instance HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = rig.raw(request.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(10_000)));
}

#[tokio::test]
async fn a_service_of_the_other_kind_refuses_in_the_words_of_v1() {
    let rig = Rig::open().await;
    rig.register("kept", "10.0.0.1:80", Kind::Ephemeral).await;
    let answer = rig
        .call(
            "POST",
            "/v2/ns/instance?serviceName=kept&ip=10.0.0.2&port=80&ephemeral=false",
        )
        .await;
    answer.is(
        400,
        concat!(
            r#"{"code":30000,"message":"server error","data":"errCode: 400, errMsg: Current service "#,
            r#"DEFAULT_GROUP@@kept is ephemeral service, can't register persistent instance. "}"#
        ),
    );
}

#[tokio::test]
async fn an_update_of_nobody_is_400_with_the_code_of_instances() {
    let rig = Rig::open().await;
    for path in ["/v2/ns/instance", "/v3/admin/ns/instance"] {
        let unknown = rig
            .call("PUT", &format!("{path}?serviceName=nobody&ip=10.0.0.1&port=80"))
            .await;
        unknown.is(
            400,
            concat!(
                r#"{"code":21004,"message":"instance error","data":"#,
                r#""service not found, namespace: public, service: DEFAULT_GROUP@@nobody"}"#
            ),
        );
    }
    rig.register("kept", "10.0.0.1:80", Kind::Ephemeral).await;
    let other = rig
        .call("PUT", "/v2/ns/instance?serviceName=kept&ip=10.0.0.2&port=80")
        .await;
    other.is(
        400,
        r#"{"code":21004,"message":"instance error","data":"instance not exist: 10.0.0.2:80"}"#,
    );
    assert_eq!(rig.listed("kept").await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn a_persistent_write_without_leader_is_500_and_says_so() {
    let rig = Rig::open().await;
    rig.bed.set_leader(false);
    let answer = rig
        .call(
            "POST",
            "/v2/ns/instance?serviceName=svc&ip=10.0.0.1&port=80&ephemeral=false",
        )
        .await;
    assert_eq!((answer.status, &answer.json()["code"]), (500, &json!(30_000)));
    assert!(answer.body.contains("did not find the Leader node"), "{}", answer.body);
}

#[tokio::test]
async fn absurd_pages_are_answered() {
    let rig = Rig::open().await;
    rig.register("svc", "10.0.0.1:80", Kind::Ephemeral).await;
    for page in [
        "pageNo=2147483647&pageSize=2147483647",
        "pageNo=-5&pageSize=-5",
        "pageNo=0&pageSize=0",
    ] {
        let v2 = rig.call("GET", &format!("/v2/ns/service/list?{page}")).await;
        assert_eq!((v2.status, &v2.json()["data"]["count"]), (200, &json!(1)), "{page}");
        let catalog = rig
            .call("GET", &format!("/v2/ns/catalog/instances?serviceName=svc&{page}"))
            .await;
        assert_eq!(
            (catalog.status, &catalog.json()["data"]["count"]),
            (200, &json!(1)),
            "{page}"
        );
    }
    let far = rig
        .call("GET", "/v3/admin/ns/service/list?pageNo=2147483647&pageSize=2147483647")
        .await;
    assert_eq!(far.json()["data"]["pageItems"], json!([]));
    for page in ["pageNo=0", "pageNo=-1", "pageSize=0"] {
        let refused = rig.call("GET", &format!("/v3/admin/ns/service/list?{page}")).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (400, &json!(20_002)),
            "{page}"
        );
    }
}
