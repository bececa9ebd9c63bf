//! Watchers on a real stream, which ack when the test says so.

use super::watches::{ok, register, watch};
use super::*;
use crate::grpc::outbox::Outbox;
use crate::grpc::setup::Setup;
use muster_wire::grpc::{Ack, ConnectionSetup, Payload};
use prost::Message;
use serde_json::json;
use std::future::poll_fn;
use std::time::Duration;

struct Client {
    connection: Arc<Connection>,
    outbox: Arc<Outbox>,
}

impl Client {
    fn connect(rig: &Rig) -> Self {
        let connection = Connection::new(ConnectionId(1), peer(), 1, rig.bed.clock.clone());
        let (number, outbox) = connection.open_stream().expect("the first stream");
        let said = ConnectionSetup::decode(br#"{"labels":{"module":"naming"}}"#).expect("a setup");
        connection.set_up(number, Setup::new(said, ""));
        Self {
            connection: Arc::new(connection),
            outbox,
        }
    }

    /// What comes next on the stream, if anything does within the time.
    async fn told(&self, rig: &Rig, within: Duration) -> Option<Value> {
        let next = poll_fn(|context| self.outbox.poll_take(context, rig.bed.clock.now()));
        let bytes = tokio::time::timeout(within, next).await.ok()?.expect("an open stream");
        let payload = Payload::decode(bytes).unwrap();
        Some(serde_json::from_slice(&payload.body.unwrap().value).unwrap())
    }

    fn ack(&self, request: &Value) {
        let id = request["requestId"].as_str().unwrap();
        let text = format!(r#"{{"resultCode":200,"errorCode":0,"requestId":"{id}"}}"#);
        self.connection.acked(&Ack::decode(text.as_bytes()).unwrap());
    }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn events_that_a_slow_client_lost_are_found_in_the_listing() {
    let rig = Rig::start();
    let client = Client::connect(&rig);
    ok(&rig, &client.connection, &watch("public>>g>>*", &[], true)).await;
    let finish = client.told(&rig, LONG).await.unwrap();
    assert_eq!(
        (&finish["headers"], &finish["syncType"]),
        (&json!({}), &json!("FINISH_FUZZY_WATCH_INIT_NOTIFY"))
    );
    // More than are kept for a watcher, while it waits for the ack.
    register(&rig, "g", "a").await;
    for n in 0..5_000 {
        register(&rig, "other", &format!("s{n}")).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    client.ack(&finish);
    let diff = client.told(&rig, LONG).await.unwrap();
    assert_eq!(
        diff["syncType"], "FUZZY_WATCH_DIFF_SYNC_NOTIFY",
        "not by the event, which is lost"
    );
    assert_eq!(
        diff["contexts"],
        json!([{"serviceKey":"public@@g@@a","changedType":"ADD_SERVICE"}])
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_never_acked_is_tried_three_times_and_the_next_thing_is_told_all_the_same() {
    let rig = Rig::start();
    let client = Client::connect(&rig);
    for n in 0..25 {
        register(&rig, "g", &format!("s{n}")).await;
    }
    ok(&rig, &client.connection, &watch("public>>g>>*", &[], true)).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let batch = client.told(&rig, LONG).await.unwrap();
        assert_eq!((&batch["currentBatch"], &batch["totalBatch"]), (&json!(1), &json!(3)));
        ids.push(batch["requestId"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "each try has its own number");
    assert_eq!(client.told(&rig, LONG).await, None, "nor is it told that this was all");
    register(&rig, "g", "new").await;
    let change = client.told(&rig, LONG).await.unwrap();
    assert_eq!(change["serviceKey"], "public@@g@@new");
    client.ack(&change);
    assert_eq!(client.told(&rig, LONG).await, None, "once acked, nothing is told again");
}
