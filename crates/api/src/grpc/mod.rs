//! The gRPC door: Nacos's dialect from 2.0 on.

mod call;
mod connection;
mod messages;

pub use connection::{ConnectionInfo, Connections};

use crate::tls::Tls;
use muster_runtime::{Clock, Shutdown, Tasks};
use std::net::SocketAddr;
use std::time::Duration;

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
    _private: (),
}

impl GrpcServer {
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(config: Config, clock: Clock) -> std::io::Result<Self> {
        let _ = (config, clock);
        todo!("skeleton")
    }

    pub fn local_addr(&self) -> SocketAddr {
        todo!("skeleton")
    }

    /// The connections it holds; answers `Server is starting` until [`Connections::open`].
    pub fn connections(&self) -> Connections {
        todo!("skeleton")
    }

    /// Serves until shutdown, then closes what is left after `drain`.
    pub async fn run(self, shutdown: Shutdown, drain: Duration, tasks: Tasks) {
        let _ = (shutdown, drain, tasks);
        todo!("skeleton")
    }
}
