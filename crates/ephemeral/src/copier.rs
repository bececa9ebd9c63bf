//! Copies of each change, to each peer, at once.
//!
//! One task per peer takes the noted keys, says their newest state in one bounded batch and waits for the answer. A batch
//! that was not acknowledged goes back to the notes; saying a thing twice is harmless.

use crate::metrics;
use crate::node::Node;
use crate::peers::Peer;
use crate::wire::{self, BATCH_RECORDS, BatchBuilder};
use bytes::Bytes;
use muster_membership::View;
use muster_model::MemberId;
use muster_transport::{HandlerError, Route};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// One batch of a megabyte, on a slow link.
const WITHIN: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

pub(crate) fn serve(node: &Arc<Node>) {
    node.serve(Route::EphemeralDelta, take_in);
}

fn take_in(node: &Arc<Node>, _from: MemberId, body: Bytes) -> Result<Bytes, HandlerError> {
    node.take_in(wire::decode(body)?)?;
    Ok(Bytes::new())
}

pub(crate) async fn run(node: Arc<Node>, peer: Arc<Peer>) {
    let mut pause = RETRY_FIRST;
    let mut views = node.membership.watch();
    loop {
        tokio::select! {
            () = node.tasks.shutdown().begun() => return,
            () = peer.wake.notified() => {}
        }
        let mut told = false;
        loop {
            if peer.left.load(Ordering::Acquire) || node.tasks.shutdown().has_begun() {
                return;
            }
            // Who is dead is not called; its notes wait, or overflow.
            let sent = if node.is_alive(peer.id) {
                send_next(&node, &peer).await
            } else {
                Sent::Failed
            };
            match sent {
                Sent::Nothing => break,
                Sent::Batch => (pause, told) = (RETRY_FIRST, true),
                Sent::Failed => {
                    tokio::select! {
                        () = node.tasks.shutdown().begun() => return,
                        () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.75..1.25))) => {}
                        () = comes_back(&mut views, peer.id) => {}
                    }
                    pause = (pause * 2).min(RETRY_LONGEST);
                    if peer.pending() == 0 {
                        break;
                    }
                }
            }
        }
        if !told {
            continue;
        }
        // The first change after a pause goes at once; those that follow it closely go together.
        tokio::select! {
            () = node.tasks.shutdown().begun() => return,
            () = tokio::time::sleep(node.config.copy_delay) => {}
        }
    }
}

/// Resolves once a member that is dead now lives again: it is told at once what it has missed.
async fn comes_back(views: &mut watch::Receiver<Arc<View>>, id: MemberId) {
    let lives = |view: &Arc<View>| view.is_living_peer(id);
    let lives_now = lives(&views.borrow());
    if lives_now || views.wait_for(lives).await.is_err() {
        std::future::pending().await
    }
}

/// What became of the next batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// There was nothing to say.
    Nothing,
    Batch,
    /// Not acknowledged; its keys are noted again.
    Failed,
}

/// Sends one batch of what is noted for a peer.
pub(crate) async fn send_next(node: &Node, peer: &Peer) -> Sent {
    let _one_at_a_time = peer.sending.lock().await;
    let mut keys = peer.take(BATCH_RECORDS);
    if keys.is_empty() {
        return Sent::Nothing;
    }
    match send(node, peer, &keys).await {
        Ok(told) => {
            peer.note_quietly(keys.split_off(told));
            Sent::Batch
        }
        Err(error) => {
            metrics::COPIES_FAILED.inc();
            tracing::debug!(member = %peer.id, %error, keys = keys.len(), "copies were not acknowledged");
            peer.note_quietly(keys);
            Sent::Failed
        }
    }
}

/// Says the newest state of as many of these keys as one batch holds; how many those were.
pub(crate) async fn send(node: &Node, peer: &Peer, keys: &[u64]) -> Result<usize, muster_transport::Error> {
    let now = node.timeline.now();
    let mut builder = BatchBuilder::default();
    let mut told = 0;
    for hash in keys {
        if builder.is_full() {
            break;
        }
        if let Some(record) = node.store.record(*hash) {
            builder.add(&record, now);
        }
        told += 1;
    }
    let records = builder.records();
    let body = wire::encode(&builder.batch());
    node.transport
        .call(peer.id, Route::EphemeralDelta, body, WITHIN)
        .await?;
    metrics::COPIES_SENT.inc_by(records as u64);
    Ok(told)
}
