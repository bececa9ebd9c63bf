//! The gRPC door: Nacos's dialect from 2.0 on.
//!
//! ```text
//! serve ──► transport (one task each) ──► unary ──► messages       a request and its answer
//!   │                               └──► stream (Inlet, Outlet)    setup and acks in, pushes and questions out
//!   └── once a second ──► hall ──► connection ──► life (the rules)
//! push ──► Connections (a Sink) ──► hall ──► connection ──► outbox ──► Outlet
//! ```
//!
//! A [`Connection`](connection::Connection) is a transport: unary calls name nobody, so they are whose transport they come
//! on. It is registered while one of its streams is set up. It ends with its transport, and a transport is never left open
//! without its registration: clients would not notice.
//!
//! HTTP/2 is hyper's, driven within the transport's own task; gRPC's framing, five bytes and a trailer, is `frame`'s.
//!
//! Bounds: transports (`connections_max`), calls and streams of each, questions unanswered, labels kept; and bytes of
//! unfinished messages, of unread answers and of streams' queues, each for one transport and for all. What is over is
//! refused by name, and to those first who hold such bytes already.

mod call;
mod connection;
mod connections;
mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod hall;
mod info;
mod kind;
mod life;
mod messages;
mod outbox;
mod reply;
mod serve;
mod setup;
mod stream;
mod transport;
mod unary;
mod unsent;
mod unset;

pub use connections::Connections;
pub use info::ConnectionInfo;
pub(crate) use life::EndReason;

use crate::listener::listen;
use crate::tls::Tls;
use hall::Hall;
use muster_runtime::{Clock, Shutdown, Tasks};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What a gRPC door is told.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// Open connections; more are closed at once.
    pub connections_max: usize,
    /// The longest message a client may send; 10 MiB.
    pub message_bytes_max: usize,
    /// The longest a persistent write is waited for.
    pub write_timeout: Duration,
    pub tls: Option<Tls>,
}

/// The bound gRPC server.
pub struct GrpcServer {
    listener: TcpListener,
    local: SocketAddr,
    hall: Arc<Hall>,
}

impl GrpcServer {
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(config: Config, clock: Clock) -> std::io::Result<Self> {
        let listener = listen(config.listen)?;
        Ok(Self {
            local: listener.local_addr()?,
            listener,
            hall: Arc::new(Hall::new(config, clock)),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The connections it holds; answers `Server is starting` until [`Connections::open`].
    pub fn connections(&self) -> Connections {
        Connections(self.hall.clone())
    }

    /// Serves until shutdown, then ends every connection; calls under way have `drain` to end.
    pub async fn run(self, shutdown: Shutdown, drain: Duration, tasks: Tasks) {
        serve::run(self.listener, self.hall, shutdown, drain, tasks).await;
    }
}

#[cfg(test)]
mod tests;
