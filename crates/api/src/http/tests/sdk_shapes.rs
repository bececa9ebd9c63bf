//! What each client library really sends, byte for byte, and what it must read in return.

use super::rig::Rig;
use serde_json::json;

const JAVA_HEAD: &str = "Host: 127.0.0.1:8848\r\nUser-Agent: Nacos-Java-Client:v1.4.6\r\nClient-Version: 1.4.6\r\n\
    RequestId: 9f2c\r\nRequest-Module: Naming\r\nConnection: Keep-Alive\r\nAccept-Encoding: gzip,deflate,sdch\r\n\
    Accept-Charset: UTF-8\r\nContent-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n\
    Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\n";
const NODE_HEAD: &str = "host: 127.0.0.1:8848\r\nuser-agent: Nacos-Java-Client:v1.0.0\r\n\
    client-version: Nacos-Java-Client:v1.0.0\r\nrequestid: 1\r\nrequest-module: Naming\r\n\
    accept-encoding: gzip,deflate,sdch\r\nconnection: Keep-Alive\r\nContent-Length: 0\r\n";
const PYTHON_HEAD: &str = "Accept-Encoding: identity\r\nHost: 127.0.0.1:8848\r\nUser-Agent: Nacos-Python-Client:v1.0.0\r\nConnection: close\r\n";
const GO_HEAD: &str = "Host: 127.0.0.1:8848\r\nUser-Agent: Nacos-Go-Client:v1.1.4\r\n\
    Client-Version: Nacos-Go-Client:v1.1.4\r\nConnection: Keep-Alive\r\nRequest-Module: Naming\r\n\
    Content-Type: application/x-www-form-urlencoded;charset=utf-8\r\n";

async fn send(rig: &Rig, line: &str, head: &str, body: &str) -> super::rig::Answer {
    let length = match body.is_empty() {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    rig.raw(format!("{line} HTTP/1.1\r\n{head}{length}\r\n{body}").as_bytes())
        .await
}

#[tokio::test]
async fn java_registers_beats_subscribes_and_leaves() {
    let rig = Rig::open().await;
    let register = "POST /nacos/v1/ns/instance?namespaceId=public&serviceName=G%40%40svc&groupName=G&clusterName=DEFAULT\
        &ip=10.0.0.1&port=80&weight=1.0&enable=true&healthy=true&ephemeral=true&metadata=%7B%7D&app=unknown";
    send(&rig, register, JAVA_HEAD, "").await.is(200, "ok");

    let beat_line = "PUT /nacos/v1/ns/instance/beat?app=unknown&namespaceId=public&serviceName=G%40%40svc\
        &clusterName=DEFAULT&ip=10.0.0.1&port=80";
    let beat_body = "beat=%7B%22port%22%3A80%2C%22ip%22%3A%2210.0.0.1%22%2C%22weight%22%3A1.0%2C%22serviceName%22%3A\
        %22G%40%40svc%22%2C%22cluster%22%3A%22DEFAULT%22%2C%22metadata%22%3A%7B%7D%2C%22scheduled%22%3Afalse%2C\
        %22period%22%3A5000%2C%22stopped%22%3Afalse%7D";
    let renewed = r#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#;
    send(&rig, beat_line, JAVA_HEAD, beat_body).await.is(200, renewed);
    send(&rig, beat_line, JAVA_HEAD, "").await.is(200, renewed);

    let subscribe = "GET /nacos/v1/ns/instance/list?app=unknown&namespaceId=public&serviceName=G%40%40svc&clusters=\
        &udpPort=51234&clientIP=10.0.0.9&healthyOnly=false";
    let answer = send(&rig, subscribe, JAVA_HEAD, "").await;
    let list = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(list["name"], "G@@svc");
    assert_eq!(list["cacheMillis"], 10_000);
    assert_eq!(list["hosts"][0]["serviceName"], "G@@svc");
    assert_eq!(list["hosts"][0]["instanceId"], "10.0.0.1#80#DEFAULT#G@@svc");

    let deregister = "DELETE /nacos/v1/ns/instance?app=unknown&namespaceId=public&serviceName=G%40%40svc\
        &clusterName=DEFAULT&ip=10.0.0.1&port=80&ephemeral=true";
    send(&rig, deregister, JAVA_HEAD, "").await.is(200, "ok");
    let list = send(&rig, subscribe, JAVA_HEAD, "").await.json();
    assert_eq!(list["hosts"], json!([]));

    send(&rig, "GET /nacos/v1/ns/operator/metrics?app=unknown", JAVA_HEAD, "")
        .await
        .json()["status"]
        .as_str()
        .filter(|status| *status == "UP")
        .expect("UP");
}

#[tokio::test]
async fn java_logs_in_with_the_name_in_the_query_and_the_password_in_the_body() {
    let rig = Rig::open().await;
    let head = "Host: h\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let answer = send(
        &rig,
        "POST /nacos/v1/auth/users/login?username=nacos",
        head,
        "password=nacos",
    )
    .await;
    let login = answer.json();
    assert_eq!(answer.status, 200);
    assert!(login["accessToken"].is_string());
    assert!(answer.header("authorization").unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn node_registers_subscribes_and_beats_in_the_query() {
    let rig = Rig::open().await;
    let register = "POST /nacos/v1/ns/instance?namespaceId=public&serviceName=G1%40%40svc&groupName=G1\
        &clusterName=DEFAULT&ip=10.0.0.1&port=80&weight=1&enable=true&healthy=true&ephemeral=true\
        &metadata=%7B%22a%22%3A%22b%22%7D&username=nacos&password=nacos";
    send(&rig, register, NODE_HEAD, "").await.is(200, "ok");
    let subscribe = "GET /nacos/v1/ns/instance/list?namespaceId=public&serviceName=G1%40%40svc&clusters=DEFAULT\
        &udpPort=58368&clientIP=192.0.2.2&healthyOnly=false&username=nacos&password=nacos";
    let list = send(&rig, subscribe, NODE_HEAD, "").await.json();
    // Node's cache key is made of these two.
    assert_eq!(
        (&list["name"], &list["clusters"]),
        (&json!("G1@@svc"), &json!("DEFAULT"))
    );
    assert_eq!(list["hosts"][0]["metadata"], json!({"a": "b"}));
    assert_eq!(list["hosts"][0]["serviceName"], "G1@@svc");
    assert_eq!(list["cacheMillis"], 10_000);
    let beat = "PUT /nacos/v1/ns/instance/beat?beat=%7B%22ip%22%3A%2210.0.0.1%22%2C%22port%22%3A80%2C%22weight%22%3A1\
        %2C%22serviceName%22%3A%22G1%40%40svc%22%2C%22cluster%22%3A%22DEFAULT%22%2C%22metadata%22%3A%7B%7D\
        %2C%22scheduled%22%3Atrue%7D&namespaceId=public&serviceName=G1%40%40svc&username=nacos&password=nacos";
    assert_eq!(send(&rig, beat, NODE_HEAD, "").await.json()["code"], 10_200);
}

#[tokio::test]
async fn t4_node_deregisters_by_a_bare_name_and_is_told_ok() {
    let rig = Rig::open().await;
    let register = "POST /nacos/v1/ns/instance?serviceName=G1%40%40svc&groupName=G1&ip=10.0.0.1&port=80";
    send(&rig, register, NODE_HEAD, "").await.is(200, "ok");
    let deregister = "DELETE /nacos/v1/ns/instance?namespaceId=public&serviceName=svc&clusterName=DEFAULT\
        &ip=10.0.0.1&port=80&ephemeral=true&username=nacos&password=nacos";
    send(&rig, deregister, NODE_HEAD, "").await.is(200, "ok");
    assert_eq!(rig.listed("G1%40%40svc").await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn python_registers_with_the_cluster_none_and_beats_and_leaves_without_one() {
    let rig = Rig::open().await;
    let register = "POST /nacos/v1/ns/instance?ip=10.0.0.1&port=80&serviceName=svc&weight=1.0&enable=True&healthy=True\
        &clusterName=None&ephemeral=True&groupName=G1&metadata=%7B%22a%22%3A+%22b%22%7D&accessToken=T";
    let answer = send(&rig, register, PYTHON_HEAD, "").await;
    answer.is(200, "ok");
    let beat = "PUT /nacos/v1/ns/instance/beat?serviceName=G1%40%40svc&beat=%7B%22serviceName%22%3A+%22G1%40%40svc%22\
        %2C+%22ip%22%3A+%2210.0.0.1%22%2C+%22port%22%3A+%2280%22%2C+%22weight%22%3A+1.0%2C+%22ephemeral%22%3A+true\
        %2C+%22metadata%22%3A+%7B%22a%22%3A+%22b%22%7D%7D&groupName=G1&accessToken=T";
    assert_eq!(send(&rig, beat, PYTHON_HEAD, "").await.json()["code"], 10_200);
    let list = "GET /nacos/v1/ns/instance/list?serviceName=svc&healthyOnly=False&groupName=G1&accessToken=T";
    let listed = send(&rig, list, PYTHON_HEAD, "").await.json();
    // One instance and no twin in another cluster (T-3).
    assert_eq!(listed["hosts"].as_array().unwrap().len(), 1);
    assert_eq!(listed["hosts"][0]["clusterName"], "None");
    assert_eq!(listed["hosts"][0]["serviceName"], "svc");
    assert_eq!(listed["cacheMillis"], 3_000);
    let modify = "PUT /nacos/v1/ns/instance?ip=10.0.0.1&port=80&serviceName=svc&ephemeral=True&groupName=G1&weight=2.0";
    send(&rig, modify, PYTHON_HEAD, "").await.is(200, "ok");
    let leave = "DELETE /nacos/v1/ns/instance?ip=10.0.0.1&port=80&serviceName=svc&ephemeral=True&groupName=G1";
    send(&rig, leave, PYTHON_HEAD, "").await.is(200, "ok");
    let listed = send(&rig, list, PYTHON_HEAD, "").await.json();
    assert_eq!(listed["hosts"], json!([]));
}

#[tokio::test]
async fn t34_the_short_login_path_takes_a_post_without_body_or_length() {
    let rig = Rig::open().await;
    let answer = send(
        &rig,
        "POST /nacos/v1/auth/login?username=nacos&password=p+w%2B1",
        PYTHON_HEAD,
        "",
    )
    .await;
    assert_eq!(answer.status, 200);
    // Clients log in again at 80 to 90 percent of it (T-35).
    assert_eq!(answer.json()["tokenTtl"], 18_000);
}

#[tokio::test]
async fn go_posts_a_form_puts_raw_json_and_asks_with_an_empty_pair() {
    let rig = Rig::open().await;
    let form = "app=unknown&clusterName=DEFAULT&enable=true&ephemeral=true&groupName=DEFAULT_GROUP&healthy=true\
        &ip=10.0.0.1&metadata=null&namespaceId=public&port=80&serviceName=DEFAULT_GROUP%40%40svc&weight=10";
    send(&rig, "POST /nacos/v1/ns/instance", GO_HEAD, form)
        .await
        .is(200, "ok");
    let beat = "beat={\"ip\":\"10.0.0.1\",\"port\":80,\"weight\":10,\"serviceName\":\"DEFAULT_GROUP@@svc\",\
        \"cluster\":\"DEFAULT\",\"metadata\":null,\"scheduled\":false}&namespaceId=public&serviceName=DEFAULT_GROUP@@svc";
    send(&rig, "PUT /nacos/v1/ns/instance/beat", GO_HEAD, beat).await.is(
        200,
        r#"{"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true}"#,
    );
    let list = "GET /nacos/v1/ns/instance/list?&app=unknown&clientIP=10.0.0.9&clusters=&healthyOnly=false\
        &namespaceId=public&serviceName=DEFAULT_GROUP%40%40svc&udpPort=55123";
    let listed = send(&rig, list, GO_HEAD, "").await.json();
    assert_eq!(listed["name"], "DEFAULT_GROUP@@svc");
    assert_eq!(listed["cacheMillis"], 10_000);
    assert_eq!(listed["hosts"][0]["weight"], 10.0);
    let leave = "DELETE /nacos/v1/ns/instance?&clusterName=DEFAULT&ephemeral=true&ip=10.0.0.1&namespaceId=public\
        &port=80&serviceName=DEFAULT_GROUP%40%40svc";
    send(&rig, leave, GO_HEAD, "").await.is(200, "ok");
    assert!(rig.listed("svc").await.is_empty());
}

#[tokio::test]
async fn t31_the_login_of_java_3_is_404_so_that_it_falls_back() {
    let rig = Rig::open().await;
    let answer = send(
        &rig,
        "POST /nacos/v3/auth/user/login?username=nacos",
        JAVA_HEAD,
        "password=x",
    )
    .await;
    assert_eq!(answer.status, 404);
    let answer = send(&rig, "GET /nacos/v3/admin/core/state/liveness", JAVA_HEAD, "").await;
    assert_eq!(answer.json()["code"], 0);
}

#[tokio::test]
async fn t35_the_token_lives_for_a_number_of_seconds_that_is_not_zero() {
    let rig = Rig::open().await;
    for path in ["/nacos/v1/auth/users/login", "/nacos/v1/auth/login"] {
        let answer = send(&rig, &format!("POST {path}"), GO_HEAD, "username=u&password=p").await;
        assert_eq!(answer.json()["tokenTtl"].as_u64(), Some(18_000), "{path}");
    }
}
