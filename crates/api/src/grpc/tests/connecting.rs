//! How each SDK connects, and what is answered before it has.

use super::client::payload;
use super::rig::Rig;
use tonic::Code;

const GO_SETUP: &str = r#"{"headers":{},"clientVersion":"Nacos-Go-Client:v2.3.5","tenant":"","labels":{"source":"sdk","AppName":"g","module":"naming"},"clientAbilities":{},"module":"internal"}"#;
const RUST_SETUP: &str = r#"{"clientVersion":"Nacos-Rust-Client:0.8.3","abilities":{"remoteAbility":{"supportRemoteConnection":true}},"tenant":"public","labels":{"source":"sdk","AppName":"a","module":"naming"},"headers":{},"requestId":null}"#;
const PYTHON_2_SETUP: &str =
    r#"{"clientVersion":"Nacos-Python-Client:v2.0.0","tenant":"public","labels":{"source":"sdk","module":"naming"}}"#;

#[tokio::test]
async fn java_is_told_its_name_set_up_and_acked_before_it_asks() {
    let rig = Rig::open().await;
    let (mut client, _stream, info) = rig.java().await;
    assert!(
        info.name
            .ends_with(&format!("_{}_{}", client.local.ip(), client.local.port()))
    );
    assert_eq!(
        (info.peer, &*info.app, &*info.client_ip),
        (client.local, "app", "10.0.0.5")
    );
    assert_eq!(info.version, "Nacos-Java-Client:v2.4.3");
    assert_eq!(client.call("HealthCheckRequest", "{}").await.codes(), (200, 0));
}

#[tokio::test]
async fn the_check_promises_the_ack_that_java_waits_for() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let check = client.call("ServerCheckRequest", "{}").await;
    assert_eq!(check.name, "ServerCheckResponse");
    assert_eq!(check.json["supportAbilityNegotiation"], true);
    let mut stream = client.set_up(super::client::JAVA_SETUP).await;
    let (_, ack) = stream.next().await.unwrap();
    assert_eq!(ack["abilityTable"]["supportPersistentInstanceByGrpc"], true);
    assert_eq!(ack["abilityTable"]["fuzzyWatch"], true);
    assert_eq!(ack["headers"], serde_json::json!({}));
}

#[tokio::test]
async fn go_and_python_2_are_registered_without_an_ack() {
    let rig = Rig::open().await;
    for setup in [GO_SETUP, PYTHON_2_SETUP] {
        let mut client = rig.connect().await;
        let name = client.call("ServerCheckRequest", "{}").await.text("connectionId");
        let mut stream = client.set_up(setup).await;
        rig.until("registered", |rig| rig.connections.find(&name).is_some())
            .await;
        // Whatever comes first is not an ack.
        let info = rig.connections.find(&name).unwrap();
        rig.publish(info.id, "s", &["10.0.0.1:80"]);
        rig.subscribe(&info, "s");
        assert_eq!(stream.next().await.unwrap().0, "NotifySubscriberRequest");
    }
}

#[tokio::test]
async fn rust_sets_up_before_it_checks() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let _stream = client.set_up(RUST_SETUP).await;
    rig.until("registered", |rig| !rig.connections.list().is_empty()).await;
    assert_eq!(
        client.call("HealthCheckRequest", "{}").await.name,
        "HealthCheckResponse"
    );
    let name = client.call("ServerCheckRequest", "{}").await.text("connectionId");
    assert!(rig.connections.find(&name).is_some());
}

#[tokio::test]
async fn unary_calls_belong_to_the_transport_they_come_on() {
    let rig = Rig::open().await;
    let (_first, _stream, _) = rig.java().await;
    let mut second = rig.connect().await;
    second
        .call("ServiceQueryRequest", "{}")
        .await
        .is_error(500, 301, "Connection is unregistered.");
}

#[tokio::test]
async fn an_unregistered_health_check_is_answered_so_that_every_client_comes_back() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let answer = client.call("HealthCheckRequest", "{}").await;
    answer.is_error(500, 500, "Connection is unregistered.");
}

#[tokio::test]
async fn a_node_that_starts_says_so_to_everything_and_takes_no_setup() {
    let rig = Rig::closed().await;
    let mut client = rig.connect().await;
    for name in [
        "ServerCheckRequest",
        "HealthCheckRequest",
        "InstanceRequest",
        "NoSuchRequest",
    ] {
        let answer = client.call(name, "{}").await;
        answer.is_error(500, 300, "Server is starting,please try later.");
    }
    let mut stream = client.set_up(GO_SETUP).await;
    assert_eq!(stream.try_next().await.unwrap_err().code(), Code::Unavailable);
    rig.until("the transport is closed", |rig| rig.connections.is_empty())
        .await;
    rig.begin();
    rig.serves().await;
    rig.bed.set_loading(Some("waiting for a peer"));
    let mut client = rig.connect().await;
    rig.until("not ready any more", |rig| !rig.bed.naming.readiness().ready)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    let answer = client.call("ServerCheckRequest", "{}").await;
    answer.is_error(500, 300, "Server is starting,please try later.");
}

#[tokio::test]
async fn errors_come_in_nacoss_order() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let answer = client.call("DistroDataRequest", "{}").await;
    answer.is_error(500, 502, " invoke DistroDataRequest from sdk is forbidden");
    // No handler comes before no registration.
    let answer = client.call("NoSuchRequest", "{}").await;
    answer.is_error(500, 302, "RequestHandler Not Found");
    let answer = client.call("InstanceRequest", "{").await;
    answer.is_error(500, 301, "Connection is unregistered.");
    let (mut client, _stream, _) = rig.java().await;
    let answer = client.call("NoSuchRequest", "{}").await;
    answer.is_error(500, 302, "RequestHandler Not Found");
}

#[tokio::test]
async fn a_payload_without_a_name_and_a_path_without_a_method_are_refused_by_name() {
    let rig = Rig::open().await;
    let (mut client, _stream, _) = rig.java().await;
    let answer = client.try_call(Default::default()).await.unwrap();
    answer.is_error(500, 400, "the payload has no metadata.type");
    let refused = client.try_path("/RequestStream/requestStream", payload("ServerCheckRequest", "{}"));
    assert_eq!(refused.await.unwrap_err().code(), Code::Unimplemented);
    rig.serves().await;
}

#[tokio::test]
async fn two_clients_of_one_process_share_a_transport() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let name = client.call("ServerCheckRequest", "{}").await.text("connectionId");
    let config = client
        .set_up(r#"{"labels":{"module":"config"},"clientVersion":"Nacos-Python-Client:v2.0.0"}"#)
        .await;
    rig.until("registered", |rig| rig.connections.find(&name).is_some())
        .await;
    let mut naming = client.set_up(PYTHON_2_SETUP).await;
    rig.until("naming, too", |rig| {
        rig.connections.find(&name).unwrap().labels["module"] == "naming"
    })
    .await;
    let info = rig.connections.find(&name).unwrap();
    rig.publish(info.id, "s", &["10.0.0.1:80"]);
    rig.subscribe(&info, "s");
    let push = naming.next().await.unwrap();
    assert_eq!(push.0, "NotifySubscriberRequest");
    // The naming client goes: its share goes with it, and the other one stays.
    drop(naming);
    rig.until("its instances are gone", |rig| rig.listed("s") == 0).await;
    assert_eq!(
        client.call("HealthCheckRequest", "{}").await.name,
        "HealthCheckResponse"
    );
    assert!(!config.sender.is_closed());
    assert_eq!(rig.connections.len(), 1);
}

/// Go and Python pause 100 ms after their setup and then ask: a node that is late by that much reads both at once.
#[tokio::test]
async fn a_call_that_was_sent_after_its_setup_is_answered_as_of_a_registered_connection() {
    let rig = Rig::open().await;
    let late = super::client::late_by(rig.address, std::time::Duration::from_millis(300), &rig.tasks).await;
    let client = super::client::Client::connect(late, super::client::Socket::Plain).await;
    let (mut opening, mut asking) = (client.clone(), client);
    asking.call("ServerCheckRequest", "{}").await;
    let asked = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        asking.call("HealthCheckRequest", "{}").await
    };
    let opened = opening.open_with(payload("ConnectionSetupRequest", GO_SETUP));
    let (_stream, answer) = futures_util::future::join(opened, asked).await;
    assert_eq!(answer.name, "HealthCheckResponse", "{answer:?}");
}

/// Go and Python take 300 to 399 for health (trap 2): they would stay with a node that serves nothing.
#[tokio::test]
async fn a_node_that_serves_no_more_is_left_by_its_clients() {
    let rig = Rig::open().await;
    let (mut client, _stream, _) = rig.java().await;
    rig.bed.set_loading(Some("raft has stopped"));
    rig.until("not ready any more", |rig| !rig.bed.naming.readiness().ready)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    match client.try_call(payload("HealthCheckRequest", "{}")).await {
        Ok(answer) => assert!(!(300..400).contains(&answer.codes().1), "{answer:?}"),
        Err(_closed) => {}
    }
}

/// Between the two setups nothing says that the naming client is gone for good.
#[tokio::test]
async fn what_a_naming_client_published_goes_when_the_next_setup_is_not_its_own() {
    let rig = Rig::open().await;
    let (mut client, naming, info) = rig.java().await;
    rig.publish(info.id, "s", &["10.0.0.1:80"]);
    drop(naming);
    rig.until("its stream is gone", |rig| rig.connections.find(&info.name).is_none())
        .await;
    let mut config = client
        .set_up(r#"{"labels":{"module":"config"},"abilityTable":{}}"#)
        .await;
    assert_eq!(config.next().await.unwrap().0, "SetupAckRequest");
    assert_eq!(rig.listed("s"), 0);
    assert_eq!(client.call("HealthCheckRequest", "{}").await.codes(), (200, 0));
    // Its naming client may come back.
    let mut naming = client.set_up(super::client::JAVA_SETUP).await;
    assert_eq!(naming.next().await.unwrap().0, "SetupAckRequest");
    rig.publish(info.id, "s", &["10.0.0.1:80"]);
    assert_eq!(rig.listed("s"), 1);
}
