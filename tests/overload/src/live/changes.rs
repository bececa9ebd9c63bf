//! One service that changes, and who is told of it.

use super::{ANSWER_WITHIN, Kept, Notes, ticks};
use crate::http::{self, Answer, Spec};
use anyhow::Result;
use muster_benches::push::read_datagram;
use muster_testkit::GrpcClient;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SERVICE: &str = "live-changes";
const CHANGE_EVERY: Duration = Duration::from_millis(200);
/// As real clients poll, though they are pushed to.
const POLL_EVERY: Duration = Duration::from_secs(10);
/// A client whose node refuses it tries again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// When each change was sent off.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Instant>>>);

impl Sent {
    /// The number of a change that is sent off now.
    fn begin(&self) -> usize {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(Instant::now());
        sent.len() - 1
    }

    /// Microseconds since a change was sent off.
    fn micros(&self, number: usize) -> Option<u64> {
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(super::micros(*sent.get(number)?))
    }
}

pub(super) async fn start(node: SocketAddr, grpc: SocketAddr, notes: &Notes, tasks: &mut JoinSet<()>) -> Result<()> {
    let sent = Sent::default();
    let mut kept = Kept::to(node);
    kept.call(&changed(sent.begin()), ANSWER_WITHIN).await?.ok()?;
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
    let mut poller = Kept::to(node);
    let subscription = http::subscribe(SERVICE, socket.local_addr()?);
    poller.call(&subscription, ANSWER_WITHIN).await?.ok()?;
    let client = subscribe(grpc).await?;
    tasks.spawn(change(kept, sent.clone()));
    tasks.spawn(poll(poller, subscription));
    tasks.spawn(hear_datagrams(socket, sent.clone(), notes.clone()));
    tasks.spawn(hear_stream(client, grpc, sent, notes.clone()));
    Ok(())
}

fn changed(number: usize) -> bytes::Bytes {
    let spec = Spec::ephemeral(SERVICE, "10.9.8.7", 80);
    spec.with_metadata(format!(r#"{{"n":"{number}"}}"#)).register()
}

/// A change that fails is told to nobody, and the next one comes; that the node takes writes, others watch.
async fn change(mut kept: Kept, sent: Sent) {
    let mut ticks = ticks(CHANGE_EVERY);
    loop {
        ticks.tick().await;
        let _ = kept.call(&changed(sent.begin()), ANSWER_WITHIN).await;
    }
}

async fn poll(mut kept: Kept, subscription: bytes::Bytes) {
    let mut ticks = ticks(POLL_EVERY);
    loop {
        ticks.tick().await;
        let _ = kept.call(&subscription, ANSWER_WITHIN).await.and_then(Answer::ok);
    }
}

async fn hear_datagrams(socket: Arc<UdpSocket>, sent: Sent, notes: Notes) {
    let (mut buffer, mut newest) = (vec![0; 65_536], 0);
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(told) = read_datagram(&buffer[..length]) else {
            continue;
        };
        let _ = socket.send_to(told.ack.as_bytes(), from).await;
        let Some(number) = told.n.filter(|number| *number > newest) else {
            continue;
        };
        newest = number;
        if let Some(delay) = sent.micros(number as usize) {
            notes.note(|figures| figures.pushed_udp.saturating_record(delay));
        }
    }
}

async fn subscribe(grpc: SocketAddr) -> Result<GrpcClient> {
    let client = GrpcClient::connect(&grpc.to_string()).await?;
    client.subscribe(SERVICE).await?;
    Ok(client)
}

async fn hear_stream(mut client: GrpcClient, grpc: SocketAddr, sent: Sent, notes: Notes) {
    let mut newest = 0;
    loop {
        // The service changes all the time: silence for so long is an end as well.
        while let Ok(heard) = client.next(ANSWER_WITHIN).await {
            let number = heard.json["serviceInfo"]["hosts"][0]["metadata"]["n"].as_str();
            let Some(number) = number.and_then(|it| it.parse().ok()).filter(|it| *it > newest) else {
                continue;
            };
            newest = number;
            if let Some(delay) = sent.micros(number) {
                notes.note(|figures| figures.pushed_grpc.saturating_record(delay));
            }
        }
        notes.note(|figures| {
            figures.grpc_reconnects += 1;
            figures.last_failure = "gRPC: nothing heard for 5 s, or the stream has ended".to_owned();
        });
        client = loop {
            match subscribe(grpc).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
            }
        };
    }
}
