//! Subscribers beside writers whose values say how new they are.

use super::{Stage, weight_of};
use crate::client::{Client, Place, list_of, rows_of};
use muster_history::{Event, Heard, Operation, Outcome, Value};
use muster_testkit::{GrpcClient, Subscriber};
use serde_json::Value as Json;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SERVICES: usize = 2;
/// Half of a service is written by each.
const WRITERS_PER_SERVICE: usize = 2;
/// A 1.x client polls every 10 s; so seldom here that most changes come by push.
const POLL_EVERY: Duration = Duration::from_secs(5);

fn service(number: usize) -> String {
    format!("watched-{number}")
}

pub(super) fn start(stage: &Stage, tasks: &mut JoinSet<()>) {
    let count = stage.places.all().len();
    for number in 0..SERVICES {
        stage.uses(&service(number));
        for writer in 0..WRITERS_PER_SERVICE {
            tasks.spawn(write(stage.clone(), number, writer));
        }
    }
    for node in 0..count {
        tasks.spawn(by_udp(stage.clone(), node));
        tasks.spawn(by_grpc(stage.clone(), node));
    }
}

/// Registers one instance again and again, one registration at a time.
async fn write(stage: Stage, number: usize, writer: usize) {
    let (client, mut dice) = stage.client();
    while stage.storms() {
        let tag = stage.tag();
        let operation = Operation::Register {
            instance: format!("10.67.{number}.{}:80", writer + 1),
            value: Value {
                weight: weight_of(tag),
                tag,
            },
        };
        let place = stage.place(&mut dice);
        let outcome = client.write(&place, &service(number), operation).await;
        let refused = matches!(outcome, Outcome::Refused(_));
        stage.pause(dice.between_ms(50, if refused { 400 } else { 200 })).await;
    }
}

/// A 1.x client at one node: it polls, acknowledges what is pushed, and starts over when the node does not answer.
async fn by_udp(stage: Stage, node: usize) {
    let (client, mut dice) = stage.client();
    let service = service(dice.below(SERVICES));
    let Ok(socket) = Subscriber::bind(stage.here).await else {
        return;
    };
    let place = stage.places.nth(node);
    let ip = socket.ip.to_string();
    let mut next_poll = Instant::now();
    while !stage.is_over() && is_there(&stage, &place) {
        if Instant::now() >= next_poll {
            let polled = client.poll(&place, &service, &ip, socket.port).await;
            if let Some(list) = polled.as_ref().and_then(|body| list_of(body, "hosts").ok()) {
                // it may overtake a datagram that waits in the socket, so that its place says nothing
                hear(&stage, &client, 0, &place, &service, 0, list);
            }
            // after a failure soon again, as clients do
            let pause = if polled.is_some() {
                POLL_EVERY
            } else {
                Duration::from_millis(500)
            };
            next_poll = Instant::now() + pause;
        }
        let wait = next_poll
            .saturating_duration_since(Instant::now())
            .min(Duration::from_millis(300));
        if let Ok((stamp, body)) = received(&socket, wait).await
            && let Ok(list) = list_of(&body, "hosts")
        {
            hear(&stage, &client, 0, &place, &service, stamp, list);
        }
    }
}

fn is_there(stage: &Stage, place: &Place) -> bool {
    stage.places.all().contains(place)
}

/// The stamp and the list of the next datagram.
async fn received(socket: &Subscriber, wait: Duration) -> anyhow::Result<(u64, String)> {
    let push = socket.next_body(wait).await?;
    let json: Json = serde_json::from_str(&push)?;
    Ok((json["lastRefTime"].as_u64().unwrap_or(0), push))
}

/// A 2.x client at one node; its connection is made anew when it ends.
async fn by_grpc(stage: Stage, node: usize) {
    let (client, mut dice) = stage.client();
    let service = service(dice.below(SERVICES));
    let place = stage.places.nth(node);
    let mut session = 0;
    while !stage.is_over() && is_there(&stage, &place) {
        session += 1;
        let connected = tokio::time::timeout(Duration::from_secs(5), GrpcClient::connect(&place.grpc)).await;
        let Ok(Ok(mut connection)) = connected else {
            stage.pause(Duration::from_millis(300)).await;
            continue;
        };
        if connection.subscribe(&service).await.is_err() {
            stage.pause(Duration::from_millis(300)).await;
            continue;
        }
        listen(&stage, &client, &mut connection, session, &place, &service).await;
    }
}

async fn listen(
    stage: &Stage,
    client: &Client,
    connection: &mut GrpcClient,
    session: u32,
    place: &Place,
    service: &str,
) {
    let mut checked = Instant::now();
    while !stage.is_over() {
        match connection.next(Duration::from_millis(300)).await {
            Ok(heard) if heard.kind == "NotifySubscriberRequest" => {
                let info = &heard.json["serviceInfo"];
                if info["name"] == service
                    && let Ok(list) = rows_of(&info["hosts"])
                {
                    let stamp = info["lastRefTime"].as_u64().unwrap_or(0);
                    hear(stage, client, session, place, service, stamp, list);
                }
            }
            // the server wants this connection to end
            Ok(heard) if heard.kind == "ConnectResetRequest" => return,
            Ok(_) => {}
            // nothing was heard, or the stream has ended; a call tells one from the other
            Err(_) if checked.elapsed() > Duration::from_secs(1) => {
                checked = Instant::now();
                let alive = connection
                    .call(
                        "HealthCheckRequest",
                        &serde_json::json!({"headers": {}, "module": "internal"}),
                    )
                    .await;
                if alive.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn hear(
    stage: &Stage,
    client: &Client,
    session: u32,
    place: &Place,
    service: &str,
    stamp: u64,
    list: muster_history::List,
) {
    stage.recorder.add(Event::Heard(Heard {
        subscriber: client.number,
        session,
        node: place.id,
        service: service.to_owned(),
        at_us: stage.recorder.now(),
        stamp,
        list,
    }));
}
