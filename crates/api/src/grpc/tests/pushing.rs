//! Pushes and their acks.

use super::client::Stream;
use super::rig::Rig;
use crate::grpc::ConnectionInfo;
use crate::grpc::connection::{Acked, Connection};
use crate::grpc::setup::Setup;
use bytes::Bytes;
use muster_model::ConnectionId;
use muster_push::{Delivery, Handed, Sink, SubscriptionInfo, SubscriptionKey, Target};
use muster_wire::grpc::Ack;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

async fn push(stream: &mut Stream) -> (String, Value) {
    let pushed = stream.next().await.unwrap();
    assert_eq!(pushed.0, "NotifySubscriberRequest");
    pushed
}

fn hosts(pushed: &(String, Value)) -> usize {
    pushed.1["serviceInfo"]["hosts"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_subscriber_is_pushed_to_and_its_ack_is_taken() {
    let rig = Rig::open().await;
    let (_client, mut stream, info) = rig.java().await;
    rig.subscribe(&info, "s");
    let welcome = push(&mut stream).await;
    assert_eq!(hosts(&welcome), 0);
    assert_eq!(welcome.1["headers"], serde_json::json!({}));
    stream.ack(&welcome).await;
    rig.until("acked", |rig| rig.bed.naming.push().counts().acked == 1)
        .await;
    rig.publish(info.id, "s", &["10.0.0.1:80", "10.0.0.2:80"]);
    let pushed = push(&mut stream).await;
    assert_eq!(hosts(&pushed), 2);
    stream.ack(&pushed).await;
    rig.until("acked", |rig| rig.bed.naming.push().counts().acked == 2)
        .await;
}

#[tokio::test]
async fn a_refusal_and_an_ack_of_nothing_do_not_count() {
    let rig = Rig::open().await;
    let (_client, mut stream, info) = rig.java().await;
    rig.subscribe(&info, "s");
    let welcome = push(&mut stream).await;
    let id = welcome.1["requestId"].as_str().unwrap();
    let refusal = format!(r#"{{"resultCode":-500,"errorCode":-500,"requestId":"{id}","success":false}}"#);
    stream.say("ErrorResponse", &refusal).await;
    for _ in 0..100 {
        stream
            .say(
                "NotifySubscriberResponse",
                r#"{"resultCode":200,"requestId":"9007199254740991"}"#,
            )
            .await;
        stream.say("NotifySubscriberResponse", r#"{"resultCode":200}"#).await;
        stream.say("NotifySubscriberResponse", "not json").await;
        stream.say("ConnectionSetupRequest", "{}").await;
    }
    let before = rig.bed.naming.push().counts();
    assert_eq!(before.acked, 0);
    rig.publish(info.id, "other", &["10.0.0.1:80"]);
    rig.subscribe(&info, "other");
    assert_eq!(hosts(&push(&mut stream).await), 1);
}

#[tokio::test]
async fn two_naming_clients_on_one_transport_are_each_pushed_what_may_be_theirs() {
    let rig = Rig::open().await;
    let mut client = rig.connect().await;
    let name = client.call("ServerCheckRequest", "{}").await.text("connectionId");
    let setup = |tenant| format!(r#"{{"tenant":"{tenant}","labels":{{"module":"naming"}},"abilityTable":{{}}}}"#);
    let mut streams = Vec::new();
    for tenant in ["", "public", "prod"] {
        let mut stream = client.set_up(&setup(tenant)).await;
        assert_eq!(stream.next().await.unwrap().0, "SetupAckRequest");
        streams.push(stream);
    }
    let info = rig.connections.find(&name).unwrap();
    rig.publish(info.id, "s", &["10.0.0.1:80"]);
    rig.subscribe(&info, "s");
    let pushed = push(&mut streams[0]).await;
    assert_eq!(pushed, push(&mut streams[1]).await);
    drop(streams.drain(..2));
    told_at_last(&rig, info.id, &mut streams[0]).await;
}

/// Of a service in the default namespace the client of another hears only once nobody else is there to hear it.
async fn told_at_last(rig: &Rig, connection: ConnectionId, stream: &mut Stream) {
    for round in 1..200 {
        rig.publish(connection, "s", &["10.0.0.1:80", &format!("10.0.1.{round}:80")]);
        if let Ok(heard) = tokio::time::timeout(Duration::from_millis(50), push(stream)).await {
            assert_eq!(hosts(&heard), 2, "this is the push that was for the others");
            return;
        }
    }
    panic!("the last client is never told");
}

#[tokio::test]
async fn ten_thousand_hosts_arrive_in_one_push() {
    let rig = Rig::open().await;
    let (_client, mut stream, info) = rig.java().await;
    let addresses: Vec<String> = (0..10_000)
        .map(|host| format!("10.1.{}.{}:80", host / 250, host % 250))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    rig.publish(info.id, "s", &addresses);
    rig.subscribe(&info, "s");
    assert_eq!(hosts(&push(&mut stream).await), 10_000);
}

/// A client whose stream broke opens the next within two seconds, on the same transport, and does not subscribe anew.
#[tokio::test]
async fn a_push_that_meets_no_stream_waits_for_the_next_one() {
    let rig = Rig::open().await;
    let (mut client, mut stream, info) = rig.java().await;
    let (_other, _other_stream, publisher) = rig.java().await;
    rig.subscribe(&info, "s");
    let welcome = push(&mut stream).await;
    stream.ack(&welcome).await;
    rig.until("acked", |rig| rig.bed.naming.push().counts().acked == 1)
        .await;
    drop(stream);
    rig.until("its stream is gone", |rig| rig.connections.find(&info.name).is_none())
        .await;
    let change = delivery(&rig, &info);
    assert_eq!(rig.connections.deliver(&change), Handed::Busy);
    rig.publish(publisher.id, "s", &["10.0.0.1:80"]);
    // By then the push has been tried, and found no stream.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut next = client.set_up(super::client::JAVA_SETUP).await;
    assert_eq!(next.next().await.unwrap().0, "SetupAckRequest");
    assert_eq!(hosts(&push(&mut next).await), 1);
    drop((client, next));
    rig.until("it is gone", |rig| rig.connections.len() == 1).await;
    assert_eq!(rig.connections.deliver(&change), Handed::Unreachable);
}

fn delivery(rig: &Rig, to: &ConnectionInfo) -> Delivery {
    let service = muster_naming::testing::service("s");
    Delivery {
        snapshot: rig.bed.naming.snapshot(&service),
        key: Arc::new(SubscriptionKey {
            service,
            clusters: "".into(),
            target: Target::Connection {
                id: to.id,
                peer: to.peer,
            },
        }),
        info: Arc::new(SubscriptionInfo {
            agent: "".into(),
            app: "".into(),
            datagram_bytes_max: usize::MAX,
        }),
        token: 9_007_199_254_740_991,
    }
}

#[test]
fn every_client_of_a_shared_transport_acks_for_itself() {
    const PUSHES: u64 = 40;
    let clock = muster_runtime::Clock::system();
    let peer = "10.0.0.1:5000".parse().unwrap();
    let connection = Connection::new(ConnectionId(1), peer, 1, clock);
    for _ in 0..3 {
        let (number, _) = connection.open_stream().unwrap();
        let said = muster_wire::grpc::ConnectionSetup::decode(br#"{"labels":{"module":"naming"}}"#).unwrap();
        connection.set_up(number, Setup::new(said, ""));
    }
    for about in 0..PUSHES {
        connection.push(&Bytes::from_static(b"x"), about, "").unwrap();
    }
    for token in 1_000_000..1_000_000 + PUSHES {
        let json = format!(r#"{{"resultCode":200,"requestId":"{token}"}}"#);
        let ack = Ack::decode(&Bytes::from(json)).unwrap();
        for _ in 0..3 {
            assert_eq!(connection.acked(&ack), Acked::Push(token));
        }
    }
}
