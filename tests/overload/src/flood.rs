//! Many connections that do nothing good.

use crate::http;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections that are being opened at the same time.
const OPENING_MAX: usize = 200;
const OPEN_WITHIN: Duration = Duration::from_secs(3);
/// Of those who send one byte after the other.
const BYTE_EVERY: Duration = Duration::from_secs(1);

/// What a connection does after it is opened; each a third of a flood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Silent,
    /// Sends the beginning of what the door expects, and no more.
    Half,
    /// Sends it byte by byte, and never comes to its end.
    Slow,
}

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    /// Nobody took them in time.
    refused: AtomicUsize,
    /// By the node.
    closed: AtomicUsize,
}

/// What became of the connections of a flood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flooded {
    pub(crate) opened: usize,
    pub(crate) refused: usize,
    pub(crate) closed: usize,
}

/// Dropped, all its connections are gone.
pub(crate) struct Flood {
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

impl Flood {
    /// Begins to open so many connections to a door whose clients begin with `greeting`.
    pub(crate) fn begin(door: SocketAddr, connections: usize, greeting: &'static [u8]) -> Self {
        let (counts, opening) = (Arc::new(Counts::default()), Arc::new(Semaphore::new(OPENING_MAX)));
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let (counts, opening) = (counts.clone(), opening.clone());
            let manner = [Manner::Silent, Manner::Half, Manner::Slow][number % 3];
            tasks.spawn(async move {
                let stream = {
                    let _turn = opening.acquire().await;
                    http::open(door, OPEN_WITHIN).await
                };
                let Ok(mut stream) = stream else {
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                counts.opened.fetch_add(1, Ordering::Relaxed);
                stay(&mut stream, manner, greeting).await;
                counts.closed.fetch_add(1, Ordering::Relaxed);
            });
        }
        Self { counts, _tasks: tasks }
    }

    pub(crate) fn so_far(&self) -> Flooded {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Flooded {
            opened: read(&self.counts.opened),
            refused: read(&self.counts.refused),
            closed: read(&self.counts.closed),
        }
    }
}

/// Until the node closes the connection.
async fn stay(stream: &mut TcpStream, manner: Manner, greeting: &[u8]) {
    let half = &greeting[..greeting.len() / 2];
    let mut answer = [0; 1_024];
    match manner {
        Manner::Silent => {}
        Manner::Half => drop(stream.write_all(half).await),
        Manner::Slow => {
            let (mut read, mut write) = stream.split();
            let send = async {
                // Past the greeting it is a header that never ends.
                for byte in greeting.iter().copied().chain(std::iter::repeat(b'a')) {
                    if write.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(BYTE_EVERY).await;
                }
            };
            let receive = async { while matches!(read.read(&mut answer).await, Ok(1..)) {} };
            tokio::select! {
                () = send => {}
                () = receive => {}
            }
            return;
        }
    }
    while matches!(stream.read(&mut answer).await, Ok(1..)) {}
}

/// The beginning of an HTTP request, whose last header has no end.
pub(crate) const HTTP_GREETING: &[u8] =
    b"GET /nacos/v1/ns/instance/list?serviceName=live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";

/// The beginning of HTTP/2: preface, and settings without their end.
pub(crate) const HTTP2_GREETING: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04";

/// The whole beginning of HTTP/2: preface and empty settings.
pub(crate) fn http2_begin() -> Bytes {
    Bytes::from_static(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
}
