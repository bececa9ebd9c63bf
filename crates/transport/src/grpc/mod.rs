//! Members in other processes, by gRPC.
//!
//! One HTTP/2 connection per peer and [`Lane`](crate::Lane), opened by the first call and kept. HTTP/2 pings find a dead
//! connection within [`KEEPALIVE_INTERVAL`] + [`KEEPALIVE_TIMEOUT`], so that after a cut a new one is opened at once
//! instead of waiting out TCP's growing retransmission delays.
//!
//! Whoever reaches the peer port can connect to it. Until a connection has shown that a member calls it has one of few places
//! (`guests`), and what it says counts (`counted`).

mod client;
mod counted;
mod guests;
mod server;

use crate::{Boxed, Error, Handler, Route, Transport};
use bytes::Bytes;
use client::Peer;
use muster_model::MemberId;
use muster_runtime::{TaskKind, Tasks};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

mod proto {
    #![allow(unreachable_pub, clippy::all, reason = "generated code")]
    tonic::include_proto!("muster.peer.v1");
}

/// How often an idle connection is asked whether it lives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(1_000);
/// How long it may take to say so.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// The longest body either way. Speakers keep their messages far below; this bounds what a peer can make us hold.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Calls open at once on a connection; more wait at the caller's end, or are refused. A call whose answer nobody takes is held
/// until its connection ends, some 1,300 bytes: so many for each stranger are 42 MiB. A member has four connections.
const CALLS_PER_CONNECTION_MAX: u32 = 256;

pub(crate) type Routes = RwLock<HashMap<Route, Arc<dyn Handler>>>;

/// This member's end of the network between members.
pub struct GrpcTransport {
    local: MemberId,
    cluster: u64,
    local_addr: SocketAddr,
    /// That which it was bound in: all connections belong to it.
    runtime: Handle,
    listener: Mutex<Option<TcpListener>>,
    routes: Arc<Routes>,
    peers: RwLock<HashMap<MemberId, Arc<Peer>>>,
}

impl GrpcTransport {
    /// Binds the peer port; connections to other members are driven by the runtime that this is called in. Nothing is served
    /// before [`GrpcTransport::serve_until_shutdown`]. `cluster` must be the same on all
    /// members; calls of other clusters are refused.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(local: MemberId, cluster: u64, listen: SocketAddr) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind(listen).await?;
        Ok(Arc::new(Self {
            local,
            cluster,
            local_addr: listener.local_addr()?,
            runtime: Handle::current(),
            listener: Mutex::new(Some(listener)),
            routes: Arc::default(),
            peers: RwLock::default(),
        }))
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves the peer port until shutdown. Called once; a second call does nothing.
    pub fn serve_until_shutdown(&self, tasks: &Tasks) {
        let Some(listener) = self.listener.lock().take() else {
            return;
        };
        let serving = server::serve(
            listener,
            self.local,
            self.cluster,
            Arc::clone(&self.routes),
            tasks.shutdown().clone(),
        );
        tasks.spawn("peer-server", TaskKind::Critical, serving);
    }
}

impl Transport for GrpcTransport {
    fn local(&self) -> MemberId {
        self.local
    }

    fn call(&self, to: MemberId, route: Route, body: Bytes, within: Duration) -> Boxed<Result<Bytes, Error>> {
        let peer = self.peers.read().get(&to).cloned();
        let request = proto::Request {
            cluster: self.cluster,
            from: self.local.0,
            to: to.0,
            route: route as u32,
            body,
        };
        Box::pin(async move {
            let peer = peer.ok_or(Error::UnknownMember(to))?;
            peer.call(route.lane(), request, within).await
        })
    }

    fn serve(&self, route: Route, handler: Arc<dyn Handler>) {
        self.routes.write().insert(route, handler);
    }

    fn set_peers(&self, peers: Vec<(MemberId, String)>) {
        let mut known = self.peers.write();
        let mut next = HashMap::with_capacity(peers.len());
        for (id, address) in peers.into_iter().filter(|(id, _)| *id != self.local) {
            let kept = known.remove(&id).filter(|peer| peer.address() == address);
            next.insert(
                id,
                kept.unwrap_or_else(|| Arc::new(Peer::new(id, address, self.runtime.clone()))),
            );
        }
        *known = next;
    }
}

#[cfg(test)]
mod tests;
