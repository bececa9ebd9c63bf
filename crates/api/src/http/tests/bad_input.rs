//! Wrong, missing, huge, broken and hostile values: a clear error, nothing changed, the node alive.

use super::rig::{BODY_BYTES_MAX, Rig};
use muster_model::Kind;

/// What the stores hold, as one text.
pub(super) async fn state(rig: &Rig) -> String {
    let names = rig.call("GET", "/v1/ns/service/names").await.body;
    let instances = rig
        .call("GET", "/v3/admin/muster/instances?serviceName=kept")
        .await
        .body;
    let switches = rig.call("GET", "/v1/ns/operator/switches").await.body;
    format!("{names}{instances}{switches}")
}

/// A store with one service, and all of `cases` refused as they say.
async fn refused(cases: &[(&str, &str, u16, &str)]) {
    let rig = Rig::open().await;
    rig.register("kept", "10.0.0.1:80", Kind::Ephemeral).await;
    let before = state(&rig).await;
    for (method, path, status, body) in cases {
        let answer = rig.call(method, path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (*status, *body),
            "{method} {path}"
        );
    }
    assert_eq!(state(&rig).await, before);
}

const NAME: &str = "Param 'serviceName' is illegal, illegal characters should not appear in the param.\r\n";
const NAME_FORM: &str = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'";
const PORT: &str = "Param 'port' is illegal, the value should be between 0 and 65535.\r\n";
const IP: &str = "Param 'ip' is illegal, illegal characters should not appear in the param.\r\n";
const NAMESPACE: &str = "Param 'namespaceId/tenant' is illegal, illegal characters should not appear in the param.\r\n";
const CLUSTER: &str = "Param 'cluster' is illegal, illegal characters should not appear in the param.\r\n";
const WEIGHT: &str = "instance format invalid: The weights range from 0.0 to 10000.0";

#[tokio::test]
async fn bad_registrations_change_nothing() {
    let metadata = format!(
        "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&metadata=k={}",
        "v".repeat(1_025)
    );
    for method in ["POST", "PUT", "DELETE"] {
        refused(&[
            (method, "/v1/ns/instance", 400, "Param 'serviceName' is required."),
            (
                method,
                "/v1/ns/instance?serviceName=",
                400,
                "Param 'serviceName' is required.",
            ),
            (method, "/v1/ns/instance?serviceName=s", 400, "Param 'ip' is required."),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1",
                400,
                "Param 'port' is required.",
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s%40%40&ip=1.1.1.1&port=80",
                400,
                NAME_FORM,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=%40%40s&ip=1.1.1.1&port=80",
                400,
                "Param 'serviceName' is illegal, groupName can't be empty",
            ),
            (
                method,
                "/v1/ns/instance?serviceName=a%40%40b%40%40c&ip=1.1.1.1&port=80",
                400,
                NAME,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=%ff%fe&ip=1.1.1.1&port=80",
                400,
                NAME,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=a%0d%0aX-Evil:1&ip=1.1.1.1&port=80",
                400,
                NAME,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=x",
                400,
                "For input string: \"x\"",
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=99999999999",
                400,
                "For input string: \"99999999999\"",
            ),
            (method, "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=70000", 400, PORT),
            (method, "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=-1", 400, PORT),
            (method, "/v1/ns/instance?serviceName=s&ip=a%20b&port=80", 400, IP),
            (method, "/v1/ns/instance?serviceName=s&ip=a%23b&port=80", 400, IP),
            (method, "/v1/ns/instance?serviceName=s&ip=%ff&port=80", 400, IP),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&namespaceId=../etc",
                400,
                NAMESPACE,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&clusterName=a%20b",
                400,
                CLUSTER,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&clusterName=a_b",
                400,
                "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)",
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&weight=NaN",
                400,
                WEIGHT,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&weight=-1",
                400,
                WEIGHT,
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&weight=heavy",
                400,
                "For input string: \"heavy\"",
            ),
            (
                method,
                "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&metadata=abc",
                400,
                "metadata format incorrect:abc",
            ),
        ])
        .await;
    }
    refused(&[
        (
            "POST",
            &metadata,
            400,
            "Param 'Metadata' is illegal, the param length should not exceed 1024.\r\n",
        ),
        (
            "POST",
            "/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=80&metadata=preserved.heart.beat.timeout=1",
            400,
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.",
        ),
    ])
    .await;
}

#[tokio::test]
async fn bad_patches_batches_and_queries_of_one_instance_change_nothing() {
    refused(&[
        ("PATCH", "/v1/ns/instance", 400, "Param 'serviceName' is required."),
        (
            "PATCH",
            "/v1/ns/instance?serviceName=kept&ip=10.0.0.1",
            400,
            "Param 'port' is required.",
        ),
        (
            "PATCH",
            "/v1/ns/instance?serviceName=kept&ip=10.0.0.1&port=80&weight=-1",
            400,
            WEIGHT,
        ),
        (
            "PATCH",
            "/v1/ns/instance?serviceName=kept&ip=10.0.0.1&port=80&metadata=x",
            400,
            "metadata format incorrect:x",
        ),
        (
            "PATCH",
            "/v1/ns/instance?serviceName=kept&ip=10.0.0.1&port=80&cluster=a%00b",
            400,
            CLUSTER,
        ),
        (
            "GET",
            "/v1/ns/instance?serviceName=kept&ip=10.0.0.1&port=x",
            400,
            "For input string: \"x\"",
        ),
        (
            "PUT",
            "/v1/ns/instance/metadata/batch?serviceName=kept",
            400,
            "Param 'metadata' is required.",
        ),
        (
            "PUT",
            "/v1/ns/instance/metadata/batch?serviceName=kept&metadata=x&consistencyType=ephemeral",
            400,
            "metadata format incorrect:x",
        ),
        ("GET", "/v1/ns/instance/statuses", 400, "Parameter 'key' is missing"),
        ("GET", "/v1/ns/instance/statuses?key=svc", 400, NAME_FORM),
        (
            "GET",
            "/v1/ns/instance/statuses?key=a%20b%23%23G%40%40s",
            400,
            NAMESPACE,
        ),
    ])
    .await;
}

#[tokio::test]
async fn bad_lists_and_beats_change_nothing() {
    let long = format!("/v1/ns/instance/list?serviceName=s&clusters={}", "c".repeat(65));
    refused(&[
        ("GET", "/v1/ns/instance/list", 400, "Param 'serviceName' is required."),
        (
            "GET",
            "/v1/ns/instance/list?serviceName=s&clusters=a,%20b",
            400,
            CLUSTER,
        ),
        (
            "GET",
            "/v1/ns/instance/list?serviceName=s&udpPort=x",
            400,
            "For input string: \"x\"",
        ),
        (
            "GET",
            "/v1/ns/instance/list?serviceName=s&udpPort=70000",
            400,
            "port out of range:70000",
        ),
        (
            "GET",
            &long,
            400,
            "Param 'cluster' is illegal, the param length should not exceed 64.\r\n",
        ),
        ("PUT", "/v1/ns/instance/beat", 400, "Param 'serviceName' is required."),
        (
            "PUT",
            "/v1/ns/instance/beat?serviceName=s",
            400,
            "Param 'ip' is required.",
        ),
        (
            "PUT",
            "/v1/ns/instance/beat?serviceName=s&ip=1.1.1.1&port=x",
            400,
            "For input string: \"x\"",
        ),
        (
            "PUT",
            "/v1/ns/instance/beat?serviceName=s&beat=%7B%7D",
            400,
            "Param 'ip' is required.",
        ),
        (
            "PUT",
            "/v1/ns/instance/beat?serviceName=s&beat=%7B",
            500,
            "caused: beat is not readable: EOF while parsing an object at line 1 column 1;",
        ),
        (
            "PUT",
            "/v1/ns/instance/beat?serviceName=s&beat={%22ip%22:%221.1.1.1%22,%22port%22:80,%22weight%22:-1}",
            400,
            WEIGHT,
        ),
    ])
    .await;
}

#[tokio::test]
async fn bad_service_calls_change_nothing() {
    let threshold = "Param 'protectThreshold' is illegal, the value should be between 0 and 1.";
    refused(&[
        ("POST", "/v1/ns/service", 400, "Parameter 'serviceName' is missing"),
        ("POST", "/v1/ns/service?serviceName=a%20b", 400, NAME),
        ("POST", "/v1/ns/service?serviceName=s&protectThreshold=x", 400, "For input string: \"x\""),
        ("POST", "/v1/ns/service?serviceName=s&protectThreshold=NaN", 400, threshold),
        ("POST", "/v1/ns/service?serviceName=s&protectThreshold=2", 400, threshold),
        ("POST", "/v1/ns/service?serviceName=s&metadata=x", 400, "metadata format incorrect:x"),
        ("POST", "/v1/ns/service?serviceName=s&selector=x", 400, "not match any type of selector!"),
        ("PUT", "/v1/ns/service?serviceName=kept", 400, "Param 'protectThreshold' is required."),
        ("DELETE", "/v1/ns/service", 400, "Parameter 'serviceName' is missing"),
        ("GET", "/v1/ns/service", 400, "Parameter 'serviceName' is missing"),
        ("GET", "/v1/ns/service/list?pageNo=1", 400, "Param 'pageSize' is required."),
        ("GET", "/v1/ns/service/list?pageNo=1&pageSize=1&namespaceId=a.b", 400, NAMESPACE),
        ("GET", "/v1/ns/service/subscribers", 400, "Param 'serviceName' is required."),
        ("GET", "/v1/ns/catalog/services?withInstances=maybe", 400, "Invalid boolean value [maybe]"),
        ("GET", "/v1/ns/catalog/services?pageNo=x", 400, "For input string: \"x\""),
        ("GET", "/v1/ns/catalog/instances?serviceName=kept", 400, "Parameter 'clusterName' is missing"),
        ("PUT", "/v1/ns/cluster?serviceName=kept", 400, "Param 'clusterName' is required."),
        (
            "PUT",
            "/v1/ns/cluster?serviceName=kept&clusterName=c&checkPort=x&useInstancePort4Check=true&healthChecker=x",
            400,
            "For input string: \"x\"",
        ),
        (
            "PUT",
            "/v1/ns/cluster?serviceName=kept&clusterName=c&checkPort=1&useInstancePort4Check=true&healthChecker=%7B%22type%22:%22MYSQL%22%7D",
            400,
            "Param 'healthChecker' is illegal, type MYSQL is not supported: TCP, HTTP or NONE",
        ),
        (
            "PUT",
            "/v1/ns/health?serviceName=kept&ip=10.0.0.9&port=80&healthy=true",
            400,
            "instance not exist: 10.0.0.9:80",
        ),
    ])
    .await;
}

#[tokio::test]
async fn t23_long_refused_values_are_not_echoed_whole() {
    let rig = Rig::open().await;
    let body = format!("serviceName=s&ip=1.1.1.1&port=80&metadata={}", "x".repeat(50_000));
    let answer = rig.form("POST", "/v1/ns/instance", &body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("metadata format incorrect:xxx"));
    assert!(answer.body.len() <= 4_096);
}

#[tokio::test]
async fn parameter_check_refusals_are_not_to_be_cached() {
    let rig = Rig::open().await;
    let answer = rig.call("POST", "/v1/ns/instance?serviceName=a%20b").await;
    assert_eq!(answer.header("cache-control"), Some("no-cache,no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.header("expires"), Some("0"));
}

#[tokio::test]
async fn a_json_body_is_ignored() {
    let rig = Rig::open().await;
    let body = r#"{"serviceName":"s","ip":"1.1.1.1","port":80}"#;
    let request = format!(
        "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    rig.raw(request.as_bytes())
        .await
        .is(400, "Param 'serviceName' is required.");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_413_with_and_without_its_length_said() {
    let rig = Rig::open().await;
    let said = format!(
        "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        BODY_BYTES_MAX + 1
    );
    assert_eq!(rig.raw(said.as_bytes()).await.status, 413);
    let chunk = "x".repeat(BODY_BYTES_MAX + 1);
    let chunked = format!(
        "POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    assert_eq!(rig.raw(chunked.as_bytes()).await.status, 413);
    assert_eq!(rig.get_root("/health/live").await.status, 200);
}

#[tokio::test]
async fn what_is_not_http_harms_nobody() {
    let rig = Rig::open().await;
    for hostile in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls hello\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /nacos/v1/ns/instance HTTP/1.1\r\nHost: h\r\nContent-Length: nonsense\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let answer = rig.raw(hostile).await;
        assert!((400..600).contains(&answer.status), "{hostile:?}: {answer:?}");
    }
    let long = format!("GET /nacos/{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(70_000));
    let answer = rig.raw(long.as_bytes()).await;
    assert!([414, 431].contains(&answer.status), "{answer:?}");
    assert_eq!(rig.get_root("/health/live").await.status, 200);
}
