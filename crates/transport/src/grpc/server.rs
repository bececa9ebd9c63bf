//! The called side: checks who is meant, finds the handler, answers.

use super::counted::counted;
use super::guests::{Guest, Guests, Socket};
use super::proto::peer_server::{Peer, PeerServer};
use super::proto::{Refusal, Reply, Request, refusal, reply};
use super::{BODY_BYTES_MAX, CALLS_PER_CONNECTION_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Routes};
use crate::{HandlerError, Route};
use futures_util::Stream;
use muster_model::MemberId;
use muster_runtime::Shutdown;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::{Response, Status};
use tower::util::MapRequestLayer;

/// After an accept that failed for want of file handles, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

struct Service {
    local: MemberId,
    cluster: u64,
    routes: Arc<Routes>,
}

pub(super) async fn serve(
    listener: TcpListener,
    local: MemberId,
    cluster: u64,
    routes: Arc<Routes>,
    shutdown: Shutdown,
) {
    let service = PeerServer::new(Service { local, cluster, routes })
        .max_decoding_message_size(BODY_BYTES_MAX)
        .max_encoding_message_size(BODY_BYTES_MAX);
    let served = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        // Else there is no limit at all: tonic takes hyper's own away where it is given none.
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .layer(MapRequestLayer::new(counted))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming(listener), async move { shutdown.begun().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the peer port stopped serving");
    }
}

/// Connections as they are accepted, each with its place.
fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Socket>> {
    futures_util::stream::unfold((listener, Guests::default()), |(listener, guests)| async move {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection of a member failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        let socket = Socket::new(stream, guests.enter());
        Some((Ok(socket), (listener, guests)))
    })
}

impl Service {
    async fn outcome(&self, request: Request, guest: Option<Arc<Guest>>) -> Result<reply::Outcome, Refusal> {
        let refuse = |reason: refusal::Reason, text: String| Refusal {
            reason: reason.into(),
            text,
        };
        if request.cluster != self.cluster {
            return Err(refuse(
                refusal::Reason::WrongCluster,
                "this node is of another cluster".into(),
            ));
        }
        if request.to != self.local.0 {
            let text = format!("this node is member {}, not {}", self.local, request.to);
            return Err(refuse(refusal::Reason::WrongMember, text));
        }
        if let Some(guest) = guest {
            guest.prove();
        }
        let Some(route) = Route::from_number(request.route) else {
            return Err(refuse(
                refusal::Reason::UnknownRoute,
                format!("route {} is not known", request.route),
            ));
        };
        let handler = self.routes.read().get(&route).cloned();
        let Some(handler) = handler else {
            return Err(refuse(refusal::Reason::NotReady, String::new()));
        };
        match handler.handle(MemberId(request.from), request.body).await {
            Ok(body) => Ok(reply::Outcome::Body(body)),
            Err(HandlerError::NotReady) => Err(refuse(refusal::Reason::NotReady, String::new())),
            Err(HandlerError::Failed(text)) => Err(refuse(refusal::Reason::Failed, text)),
        }
    }
}

#[tonic::async_trait]
impl Peer for Service {
    async fn call(&self, request: tonic::Request<Request>) -> Result<Response<Reply>, Status> {
        let guest = request.extensions().get().cloned();
        let outcome = self
            .outcome(request.into_inner(), guest)
            .await
            .unwrap_or_else(reply::Outcome::Refusal);
        Ok(Response::new(Reply { outcome: Some(outcome) }))
    }
}
