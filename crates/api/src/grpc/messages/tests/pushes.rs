//! With the real push behind: what a subscriber is sent after its answer.

use super::*;
use muster_model::Kind;
use muster_naming::testing::{Parts, instance, service};
use muster_push::{Delivery, Handed, Push, Sink, Target};
use muster_runtime::Clock;
use muster_wire::grpc::{Payload, notify_payload};
use prost::Message;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Hands on what would be sent, and to whom.
struct Line(UnboundedSender<(ConnectionId, Bytes)>);

impl Sink for Line {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let Target::Connection { id, .. } = delivery.key.target else {
            panic!("nobody named an address");
        };
        let payload = notify_payload(&delivery.snapshot, &delivery.key.clusters, delivery.token);
        let _ = self.0.send((id, payload));
        Handed::Sent
    }
}

fn rig() -> (Rig, UnboundedReceiver<(ConnectionId, Bytes)>) {
    let (line, sent) = unbounded_channel();
    let clock = Clock::manual(1_732_000_000_000);
    let of_push = clock.clone();
    let bed = Testbed::start_with(Parts {
        clock,
        push: Some(Box::new(move |changes, tasks| {
            let config = muster_push::Config::default();
            Push::start(config, Arc::new(changes), Arc::new(Line(line)), of_push, tasks)
        })),
        ..Parts::default()
    });
    bed.naming.push().open();
    (Rig::over(bed), sent)
}

/// The next push: to whom, and its body.
async fn next(rig: &Rig, sent: &mut UnboundedReceiver<(ConnectionId, Bytes)>) -> (u64, Value) {
    let (id, bytes) = tokio::time::timeout(Duration::from_secs(30), sent.recv())
        .await
        .expect("a push in time")
        .expect("a push");
    let payload = Payload::decode(bytes).unwrap();
    assert_eq!(payload.metadata.unwrap().r#type, "NotifySubscriberRequest");
    let body: Value = serde_json::from_slice(&payload.body.unwrap().value).unwrap();
    assert_eq!((&body["headers"], &body["module"]), (&json!({}), &json!("naming")));
    let token = body["requestId"].as_str().unwrap().parse().unwrap();
    rig.bed.naming.push().acked_by(token, id);
    (id.0, body["serviceInfo"].clone())
}

async fn register(rig: &Rig, address: &str) {
    let context = rig.bed.context();
    let one = instance(address, Kind::Ephemeral);
    rig.bed.naming.register(&context, &service("s"), one).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_pushed_once_and_then_each_change_which_looks_newer_than_its_answer() {
    let (mut rig, mut sent) = rig();
    let (one, _asked) = rig.connect(1);
    rig.received_ms = rig.bed.clock.wall_ms();
    let body = json!({"serviceName":"s","subscribe":true,"clusters":"DEFAULT"}).to_string();
    let answer = rig
        .json(&one, "SubscribeServiceRequest", "SubscribeServiceResponse", &body)
        .await;
    let answered_ms = answer["serviceInfo"]["lastRefTime"].as_u64().unwrap();
    let (to, welcome) = next(&rig, &mut sent).await;
    assert_eq!((to, &welcome["clusters"]), (1, &json!("DEFAULT")));
    assert_eq!(welcome["hosts"], json!([]), "also of a service that does not exist");
    register(&rig, "1.1.1.1:80").await;
    let (_, changed) = next(&rig, &mut sent).await;
    assert_eq!(changed["hosts"][0]["ip"], "1.1.1.1");
    assert!(changed["lastRefTime"].as_u64().unwrap() > answered_ms);
    let end = json!({"serviceName":"s","subscribe":false,"clusters":""}).to_string();
    rig.json(&one, "SubscribeServiceRequest", "SubscribeServiceResponse", &end)
        .await;
    register(&rig, "1.1.1.2:80").await;
    let silence = tokio::time::timeout(Duration::from_secs(20), sent.recv()).await;
    assert!(silence.is_err(), "nothing more comes");
}

#[tokio::test(start_paused = true)]
async fn subscribers_of_one_service_share_one_allocation() {
    let (rig, mut sent) = rig();
    let mut connections = Vec::new();
    for id in 1..=50 {
        let (one, asked) = rig.connect(id);
        let body = json!({"serviceName":"s","subscribe":true,"clusters":""}).to_string();
        rig.json(&one, "SubscribeServiceRequest", "SubscribeServiceResponse", &body)
            .await;
        connections.push((one, asked));
    }
    for _ in 1..=50 {
        next(&rig, &mut sent).await;
    }
    register(&rig, "1.1.1.1:80").await;
    let mut places = std::collections::HashSet::new();
    let mut kept = Vec::new();
    for _ in 1..=50 {
        let (_, bytes) = sent.recv().await.unwrap();
        places.insert(bytes.as_ptr());
        kept.push(bytes);
    }
    assert_eq!(places.len(), 1);
}
