//! The doors that clients come by, from the first moment of a node to the last.

use crate::limits::Places;
use crate::settings::Settings;
use anyhow::Context;
use muster_api::grpc::{Connections, GrpcServer};
use muster_api::http::{HttpServer, Opener};
use muster_api::tls::{self, Protocol, Tls};
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks};
use std::net::SocketAddr;
use std::time::Duration;

/// HTTP and gRPC, bound and serving. Clones share them.
#[derive(Clone)]
pub(crate) struct ClientDoors {
    pub(crate) http_address: SocketAddr,
    pub(crate) grpc_address: SocketAddr,
    pub(crate) opener: Opener,
    pub(crate) connections: Connections,
    /// Ends these doors alone: they close long before the other tasks end.
    pub(crate) stop: Shutdown,
    http_stopped: Shutdown,
    grpc_stopped: Shutdown,
}

impl ClientDoors {
    /// Binds both and serves: until they are opened they answer that the node is starting. Requests under way are finished
    /// within `drain` when they stop.
    pub(crate) async fn open(
        settings: &Settings,
        places: Places,
        clock: &Clock,
        drain: Duration,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let http_tls = load(settings.http_tls(), Protocol::Http, tasks)?;
        let grpc_tls = load(settings.grpc_tls(), Protocol::Grpc, tasks)?;
        let http = HttpServer::bind(settings.http(places.http, http_tls), clock.clone())
            .await
            .with_context(|| format!("listen {}", settings.listen))?;
        let grpc_listen = settings.grpc_listen();
        let grpc = GrpcServer::bind(settings.grpc(places.grpc, grpc_tls), clock.clone())
            .await
            .with_context(|| format!("grpc.listen {grpc_listen}"))?;
        let doors = Self {
            http_address: http.local_addr(),
            grpc_address: grpc.local_addr(),
            opener: http.opener(),
            connections: grpc.connections(),
            stop: Shutdown::new(),
            http_stopped: Shutdown::new(),
            grpc_stopped: Shutdown::new(),
        };
        doors.opener.join_connections(doors.connections.clone());
        let serving = http.run(doors.stop.clone(), drain, tasks.clone());
        let stopped = doors.http_stopped.clone();
        tasks.spawn("http", TaskKind::Critical, async move {
            serving.await;
            stopped.begin();
        });
        // Half: closing what does not end takes a second more, and both doors close at once.
        let serving = grpc.run(doors.stop.clone(), drain / 2, tasks.clone());
        let stopped = doors.grpc_stopped.clone();
        tasks.spawn("grpc", TaskKind::Critical, async move {
            serving.await;
            stopped.begin();
        });
        Ok(doors)
    }

    /// Takes no more connections, and returns when those that were taken are gone.
    pub(crate) async fn close(&self) {
        self.stop.begin();
        self.http_stopped.begun().await;
        self.grpc_stopped.begun().await;
    }
}

fn load(config: Option<tls::Config>, protocol: Protocol, tasks: &Tasks) -> anyhow::Result<Option<Tls>> {
    let Some(config) = config else {
        return Ok(None);
    };
    let tls = Tls::load(&config, protocol).context("tls")?;
    tls.follow_files(tasks);
    Ok(Some(tls))
}
