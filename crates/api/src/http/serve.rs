//! The listener, its connections, and their end.

use super::alarm::Alarm;
use super::door::Door;
use super::places::{Place, Places};
use super::unread::Unread;
use crate::listener::ACCEPT_PAUSE;
use crate::metrics::HTTP_CONNECTIONS;
use crate::tls;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use muster_runtime::{Shutdown, TaskKind, Tasks};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Silence on a connection, before or within a request's head, after which it is closed. Tomcat's is 20 s; clients beat
/// every 5 s and poll every 10 s, so theirs stay open.
const HEAD_WAIT: Duration = Duration::from_secs(30);

/// The longest request line and headers together. Beats in the query carry metadata: 8 KB at least (T-13).
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// What connections are told to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Serving,
    /// Answer what is under way, then close.
    Draining,
    Closed,
}

pub(super) async fn run(listener: TcpListener, door: Arc<Door>, shutdown: Shutdown, drain: Duration, tasks: Tasks) {
    let places = Places::new(door.site.config.connections_max, door.site.clock.clone());
    let (stage, watched) = watch::channel(Stage::Serving);
    loop {
        let accepted = tokio::select! {
            () = shutdown.begun() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let serving = serve(stream, peer, door.clone(), watched.clone(), place);
                tasks.spawn("http connection", TaskKind::Contained, serving);
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stage.send_replace(Stage::Draining);
    if !places.all_given_back(drain).await {
        tracing::info!("closing connections that did not end in time");
    }
    stage.send_replace(Stage::Closed);
}

/// Waits for a place before the next one is accepted, so that what is over the limit waits in the kernel.
async fn accept(listener: &TcpListener, places: &Arc<Places>) -> std::io::Result<(TcpStream, SocketAddr, Place)> {
    let (stream, peer) = listener.accept().await?;
    let place = places.take().await?;
    Ok((stream, peer, place))
}

async fn serve(stream: TcpStream, peer: SocketAddr, door: Arc<Door>, mut stage: watch::Receiver<Stage>, place: Place) {
    // Answers are one small write each; waiting to fill a packet would only add 40 ms.
    let _ = stream.set_nodelay(true);
    HTTP_CONNECTIONS.inc();
    // Here and not where it is accepted: a slow handshake holds this connection's place and nothing else.
    let taken = tokio::select! {
        biased;
        taken = tls::accept(door.site.config.tls.as_ref(), stream) => taken,
        _ = stage.changed() => Err(std::io::Error::other("the node is stopping")),
        () = place.must_go() => Err(std::io::Error::other("gave way to a newer connection")),
    };
    match taken {
        Ok(stream) => answer(stream, peer, door, stage, &place).await,
        Err(error) => tracing::debug!(%peer, %error, "connection not taken"),
    }
    HTTP_CONNECTIONS.dec();
    drop(place);
}

async fn answer(stream: tls::Stream, peer: SocketAddr, door: Arc<Door>, stage: watch::Receiver<Stage>, place: &Place) {
    // A set of one: it looks at what it holds only when that has something to say, and not at every byte that arrives. Each
    // look at a channel takes a lock that all connections share.
    let mut orders = FuturesUnordered::from_iter([next_order(place, stage)]);
    let service = service_fn(|request| {
        place.asked();
        let door = door.clone();
        async move { Ok::<_, Infallible>(door.answer(request, peer).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(Alarm::new())
            .header_read_timeout(HEAD_WAIT)
            .max_buf_size(HEAD_BYTES_MAX)
            .keep_alive(true)
            // A client that has sent all it will (`shutdown`) still reads its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(Unread::new(stream)), service)
    );
    loop {
        let (order, stage) = tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection ended early");
                }
                break;
            }
            Some(ordered) = orders.next() => ordered,
        };
        match order {
            Order::Finish => connection.as_mut().graceful_shutdown(),
            Order::GiveWay => {
                tracing::debug!(%peer, "a connection that never asked gave way to a newer one");
                break;
            }
            Order::Close => break,
        }
        orders.push(next_order(place, stage));
    }
}

/// What a connection is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// Answer what is under way.
    Finish,
    GiveWay,
    Close,
}

async fn next_order(place: &Place, mut stage: watch::Receiver<Stage>) -> (Order, watch::Receiver<Stage>) {
    let order = tokio::select! {
        () = place.must_go() => Order::GiveWay,
        changed = stage.changed() => match *stage.borrow_and_update() {
            Stage::Draining if changed.is_ok() => Order::Finish,
            _ => Order::Close,
        },
    };
    (order, stage)
}
