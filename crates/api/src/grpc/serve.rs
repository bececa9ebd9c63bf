//! The listener, and what is done once a second.

use super::hall::Hall;
use super::life::EndReason;
use super::transport;
use crate::listener::ACCEPT_PAUSE;
use crate::metrics::grpc_ended;
use muster_runtime::{Shutdown, TaskKind, Tasks};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

/// How often connections are looked at: what is due is at most this late.
const LOOK: Duration = Duration::from_secs(1);

/// From the end of an evicted connection's streams to that of its transport.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How often the end of the last connections is looked for.
const END_LOOK: Duration = Duration::from_millis(20);

pub(super) async fn run(listener: TcpListener, hall: Arc<Hall>, shutdown: Shutdown, drain: Duration, tasks: Tasks) {
    hall.begin(tasks.clone());
    tasks.spawn("grpc keeper", TaskKind::Critical, keep(hall.clone(), shutdown.clone()));
    loop {
        let accepted = tokio::select! {
            () = shutdown.begun() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => match hall.enter(peer) {
                Some(entered) => {
                    // Boxed for the reason given there.
                    let serving = Box::pin(transport::serve(hall.clone(), socket, entered));

                    tasks.spawn("grpc connection", TaskKind::Contained, serving);
                }
                // Closed at once: the client takes its next server, rather than waiting here.
                None => grpc_ended(EndReason::Refused),
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    hall.leave();
    for connection in hall.all() {
        connection.close(EndReason::Reset, drain);
    }
    let all_ended = async {
        while hall.len() > 0 {
            tokio::time::sleep(END_LOOK).await;
        }
    };
    if tokio::time::timeout(drain + CLOSE_WITHIN, all_ended).await.is_err() {
        tracing::warn!(left = hall.len(), "connections did not end in time");
    }
}

async fn keep(hall: Arc<Hall>, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            _ = ticks.tick() => hall.look(CLOSE_WITHIN).await,
            // Begun anew with every look, so that it hears of the door's opening.
            overtaken = hall.overtaken() => hall.doubt(&overtaken).await,
        }
    }
}
