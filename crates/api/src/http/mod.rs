//! The HTTP door.

mod admin;

use muster_naming::Naming;
use muster_runtime::{Clock, Shutdown, Tasks};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Before every Nacos path; `/nacos`.
    pub prefix: String,
    /// The longest request body.
    pub body_bytes_max: usize,
    /// Open connections; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// The longest a persistent write is waited for before "outcome unknown" or "no leader".
    pub write_timeout: Duration,
    /// Shown as `version` in server state.
    pub version: String,
    pub standalone: bool,
}

/// The bound HTTP server.
pub struct HttpServer {
    _skeleton: (),
}

impl HttpServer {
    /// Binds the listener. Until [`HttpServer::open`] every naming path answers 503, and `/health/live` 200.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(config: Config, clock: Clock) -> std::io::Result<Self> {
        let _ = (config, clock);
        todo!("skeleton")
    }

    pub fn local_addr(&self) -> SocketAddr {
        todo!("skeleton")
    }

    /// Serves until shutdown: then stops accepting, finishes what is under way and closes, all within `drain`.
    /// `naming` arrives through [`Opener`] once the node has loaded.
    pub async fn run(self, shutdown: Shutdown, drain: Duration, tasks: Tasks) {
        let _ = (shutdown, drain, tasks);
        todo!("skeleton")
    }

    pub fn opener(&self) -> Opener {
        todo!("skeleton")
    }
}

/// Hands `naming` to a server that listens already.
#[derive(Clone)]
pub struct Opener {
    _skeleton: (),
}

impl Opener {
    pub fn open(&self, naming: Naming) {
        let _ = naming;
        todo!("skeleton")
    }
}
