//! The HTTP door over a connection that is bytes in memory.

use super::door::Door;
use super::serve::HEAD_BYTES_MAX;
use super::{Config, Opener};
use crate::metrics::HTTP_PANICS;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use muster_naming::Naming;
use muster_runtime::Clock;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest request body that is taken here.
const BODY_BYTES_MAX: usize = 64 * 1_024;

pub struct HttpDoor(Arc<Door>);

impl HttpDoor {
    /// An opened door. Called within a runtime.
    pub fn new(naming: Naming, clock: Clock) -> Self {
        let config = Config {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            prefix: "/nacos".to_owned(),
            body_bytes_max: BODY_BYTES_MAX,
            connections_max: 1,
            write_timeout: Duration::from_secs(3),
            version: "0".to_owned(),
            standalone: true,
            tls: None,
        };
        let door = Arc::new(Door::new(config, clock));
        Opener(door.clone()).open(naming);
        Self(door)
    }

    /// What a client that sends these bytes and then no more is answered.
    pub async fn answer(&self, sent: &[u8]) -> Vec<u8> {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1_024);
        let service = service_fn(|request| {
            let peer = SocketAddr::from(([10, 0, 0, 5], 51_234));
            async move { Ok::<_, Infallible>(self.0.answer(request, peer).await) }
        });
        let connection = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .half_close(true)
            .serve_connection(TokioIo::new(ours), service);
        let client = async {
            let mut answer = Vec::new();
            // Fails where the door has said no before all was sent.
            let _ = theirs.write_all(sent).await;
            let _ = theirs.shutdown().await;
            let _ = theirs.read_to_end(&mut answer).await;
            answer
        };
        let (_, answer) = tokio::join!(connection, client);
        answer
    }

    /// Requests whose handling panicked, over all doors of this process.
    pub fn panics() -> u64 {
        HTTP_PANICS.get()
    }
}
