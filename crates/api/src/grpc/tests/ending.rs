//! How connections end, and what ends with them.

use super::client::{Client, JAVA_SETUP, Socket};
use super::rig::{CONNECTIONS_MAX, Rig, StillTime};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;

#[tokio::test]
async fn a_transports_end_ends_what_it_published_and_subscribed() {
    for socket in [Socket::Plain, Socket::Reset] {
        let rig = Rig::open().await;
        let mut client = Client::connect(rig.address, socket).await;
        let mut stream = client.set_up(JAVA_SETUP).await;
        assert_eq!(stream.next().await.unwrap().0, "SetupAckRequest");
        let info = rig.connections.list().remove(0);
        rig.publish(info.id, "s", &["10.0.0.1:80"]);
        rig.subscribe(&info, "s");
        assert_eq!(rig.bed.naming.push().counts().subscriptions, 1);
        drop((client, stream));
        rig.until("its instances are gone", |rig| rig.listed("s") == 0).await;
        rig.until("it is gone", |rig| rig.connections.is_empty()).await;
        assert_eq!(rig.bed.naming.push().counts().subscriptions, 0);
    }
}

#[tokio::test]
async fn the_old_connection_of_a_client_that_moved_takes_nothing_of_the_new_one() {
    let rig = Rig::open().await;
    let (old, old_stream, old_info) = rig.java().await;
    let (_new, _stream, new_info) = rig.java().await;
    rig.publish(old_info.id, "s", &["10.0.0.1:80"]);
    rig.publish(new_info.id, "s", &["10.0.0.1:80"]);
    drop((old, old_stream));
    rig.until("the old one is gone", |rig| rig.connections.len() == 1).await;
    assert_eq!(rig.listed("s"), 1);
}

#[tokio::test]
async fn a_silent_client_is_asked_then_told_and_really_closed() {
    let rig = Rig::open().await;
    let (mut client, mut stream, info) = rig.java().await;
    rig.publish(info.id, "s", &["10.0.0.1:80"]);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let (asked, json) = stream.next().await.unwrap();
    assert_eq!(
        (asked.as_str(), &json["headers"]),
        ("ClientDetectionRequest", &serde_json::json!({}))
    );
    assert!(json["requestId"].is_string());
    let end = stream.try_next().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    rig.until("the transport is closed", |rig| rig.connections.is_empty())
        .await;
    assert!(begun.elapsed() <= Duration::from_secs(30));
    assert_eq!(rig.listed("s"), 0);
    let after = client
        .try_call(super::client::payload("HealthCheckRequest", "{}"))
        .await;
    assert_eq!(after.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_client_that_answers_the_question_or_asks_something_stays() {
    let rig = Rig::open().await;
    let (mut client, mut stream, info) = rig.java().await;
    let time = StillTime::begin();
    let active = |rig: &Rig| rig.connections.find(&info.name).unwrap().last_active_ms;
    for _ in 0..3 {
        let before = active(&rig);
        time.pass(Duration::from_secs(21)).await;
        let asked = stream.next().await.unwrap();
        assert_eq!(asked.0, "ClientDetectionRequest");
        stream.ack(&asked).await;
        rig.until_still("its answer is taken", |rig| active(rig) > before).await;
    }
    for _ in 0..10 {
        time.pass(Duration::from_secs(15)).await;
        assert_eq!(
            client.call("HealthCheckRequest", "{}").await.name,
            "HealthCheckResponse"
        );
    }
    let quiet = stream.try_next().now_or_never();
    assert!(quiet.is_none(), "it was asked although it spoke: {quiet:?}");
}

#[tokio::test]
async fn a_client_that_ends_its_stream_is_gone_soon() {
    let rig = Rig::open().await;
    let (_client, stream, info) = rig.java().await;
    rig.publish(info.id, "s", &["10.0.0.1:80"]);
    drop(stream);
    tokio::time::pause();
    rig.until("the transport is closed", |rig| rig.connections.is_empty())
        .await;
    assert_eq!(rig.listed("s"), 0);
}

#[tokio::test]
async fn what_is_over_the_limit_is_closed_at_once_and_the_rest_goes_on() {
    let rig = Rig::open().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX - 1 {
        held.push(TcpStream::connect(rig.address).await.unwrap());
    }
    rig.until("all are in", |rig| rig.connections.len() == CONNECTIONS_MAX - 1)
        .await;
    let (mut client, _stream, _) = rig.java().await;
    let mut over = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(over.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(client.call("HealthCheckRequest", "{}").await.codes(), (200, 0));
    drop(held);
    rig.until("there is room again", |rig| rig.connections.len() == 1).await;
    rig.serves().await;
}

#[tokio::test]
async fn shutdown_ends_streams_with_an_error_and_then_the_transports() {
    let rig = Rig::open().await;
    let (_client, mut stream, _) = rig.java().await;
    rig.shutdown.begin();
    assert_eq!(stream.try_next().await.unwrap_err().code(), Code::Unavailable);
    rig.until("all are gone", |rig| rig.connections.is_empty()).await;
    assert!(TcpStream::connect(rig.address).await.is_err());
}

#[tokio::test]
async fn a_peer_that_never_spoke_holds_up_no_shutdown() {
    let rig = Rig::open().await;
    let _silent = TcpStream::connect(rig.address).await.unwrap();
    rig.until("it is in", |rig| rig.connections.len() == 1).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    rig.shutdown.begin();
    rig.until("it is gone", |rig| rig.connections.is_empty()).await;
    assert!(begun.elapsed() <= Duration::from_secs(2));
}

/// Else what the client takes back over its new connection would come up again with the old one, until that is silent.
#[tokio::test]
async fn a_connection_that_its_client_has_left_behind_is_asked_at_once_and_ended_soon() {
    let rig = Rig::open().await;
    let (_old, mut old_stream, old_info) = rig.java().await;
    let (mut new, _new_stream, new_info) = rig.java().await;
    rig.publish(old_info.id, "s", &["10.0.0.1:80"]);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    rig.publish(new_info.id, "s", &["10.0.0.1:80"]);
    assert_eq!(old_stream.next().await.unwrap().0, "ClientDetectionRequest");
    assert!(begun.elapsed() <= Duration::from_secs(2));
    assert_eq!(old_stream.try_next().await.unwrap_err().code(), Code::Unavailable);
    assert!(begun.elapsed() <= Duration::from_secs(8));
    tokio::time::resume();
    assert_eq!(new.call("HealthCheckRequest", "{}").await.codes(), (200, 0));
    assert_eq!(rig.listed("s"), 1);
}
