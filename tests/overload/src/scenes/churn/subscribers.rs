//! UDP subscribers that come, listen for a while, and fall silent without a word.

use super::book::{Book, Desk, Phase};
use crate::http;
use anyhow::Result;
use muster_benches::push::read_datagram;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// At the same time.
const WORKERS: usize = 12;
/// A subscription outlives its client by 90 s, so that there are some 200 at a time.
const STAYS_S: (usize, usize) = (1, 15);
const SERVICES: usize = 20;

pub(super) fn start(book: &Book, workers: &mut JoinSet<Result<()>>) {
    for worker in 0..WORKERS {
        workers.spawn(come_and_go(Desk::new(book, worker)));
    }
}

async fn come_and_go(mut desk: Desk) -> Result<()> {
    while desk.book.phase() == Phase::Churn {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let service = format!("churned-{}", desk.dice.throw(SERVICES));
        let stays = STAYS_S.0 + desk.dice.throw(STAYS_S.1 - STAYS_S.0);
        desk.ask("UDP subscriptions", &http::subscribe(&service, socket.local_addr()?))
            .await;
        listen(&desk.book, &socket, Instant::now() + Duration::from_secs(stays as u64)).await;
        if desk.dice.percent(50) {
            desk.hang_up();
        }
    }
    Ok(())
}

/// Acknowledges whatever comes.
async fn listen(book: &Book, socket: &UdpSocket, until: Instant) {
    let mut buffer = vec![0; 65_536];
    while book.phase() == Phase::Churn {
        let Ok(received) = tokio::time::timeout_at(until, socket.recv_from(&mut buffer)).await else {
            return;
        };
        let Ok((length, from)) = received else { continue };
        match read_datagram(&buffer[..length]) {
            Ok(told) => {
                book.count("pushes by UDP");
                let _ = socket.send_to(told.ack.as_bytes(), from).await;
            }
            Err(error) => book.error("a datagram", &error),
        }
    }
}
