//! The HTTP door: Nacos's dialects v1, v2 and v3, our own admin calls, health and metrics.
//!
//! Our own calls go to the routers of [`own`]. Of Nacos's, [`routes`] is the table, by which [`route`] says what a method
//! and a path mean; [`door`] lets a request in (is the node serving, is the body bearable), has it answered by the file of
//! its family, counts it, and answers 500 for a handler that panics. [`serve`] owns the listener and the connections;
//! [`openapi`] describes all calls by the tables they are routed by. A handler decodes through `wire`, makes one call to `naming` and encodes. The handlers of v1 stand beside this file, those
//! of v2 and v3 in folders of their own; what generations share is in v1's files, [`result`] and [`clients`].

mod admin;
mod alarm;
mod beat;
mod catalog;
mod clients;
mod console;
mod core_cluster;
mod door;
mod endpoint;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod health;
mod instance;
mod list;
mod metadata_batch;
mod openapi;
mod operator;
mod own;
mod parameters;
mod places;
mod probe;
mod reply;
mod result;
mod route;
mod routes;
mod serve;
mod service;
mod site;
mod spring;
mod subscribers;
#[cfg(test)]
mod tests;
mod unread;
mod v2;
mod v3;

use crate::grpc::Connections;
use crate::listener::listen;
use crate::tls::Tls;
use door::Door;
use muster_naming::Naming;
use muster_runtime::{Clock, Shutdown, Tasks};
use muster_transport::{Route, Transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

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
    /// None: plaintext.
    pub tls: Option<Tls>,
}

/// The bound HTTP server.
pub struct HttpServer {
    listener: TcpListener,
    local: SocketAddr,
    door: Arc<Door>,
}

impl HttpServer {
    /// Binds the listener. Until [`Opener::open`] every naming path answers 503, and `/health/live` 200.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(config: Config, clock: Clock) -> std::io::Result<Self> {
        let listener = listen(config.listen)?;
        let local = listener.local_addr()?;
        Ok(Self {
            listener,
            local,
            door: Arc::new(Door::new(config, clock)),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until shutdown: then stops accepting, finishes what is under way and closes, all within `drain`.
    /// `naming` arrives through [`Opener`] once the node has loaded.
    pub async fn run(self, shutdown: Shutdown, drain: Duration, tasks: Tasks) {
        serve::run(self.listener, self.door, shutdown, drain, tasks).await;
    }

    pub fn opener(&self) -> Opener {
        Opener(self.door.clone())
    }
}

/// Hands `naming` to a server that listens already.
#[derive(Clone)]
pub struct Opener(Arc<Door>);

impl Opener {
    /// Lets naming calls in. The first call counts.
    pub fn open(&self, naming: Naming) {
        self.0.site.open(naming);
    }

    /// Tells the other members of this node's subscribers, and asks them for theirs in listings.
    pub fn join(&self, transport: Arc<dyn Transport>) {
        let teller = subscribers::Teller(Arc::downgrade(&self.0.site));
        transport.serve(Route::Subscribers, Arc::new(teller));
        self.0.site.join(transport);
    }

    /// Shows the connections of the gRPC door among the clients. The first call counts.
    pub fn join_connections(&self, connections: Connections) {
        self.0.site.join_connections(connections);
    }

    /// `/health/ready` says no from now on. Naming calls are answered until the server ends: whoever has not heard yet is
    /// not to be failed.
    pub fn drain(&self) {
        self.0.site.drain();
    }
}
