//! Raft's calls from other members.

use crate::leading::Leading;
use crate::log_store::blocking;
use crate::state::to_raft;
use crate::types::{Raft, Vote};
use crate::wire::{self, SnapshotAnswerMessage, SnapshotChunkMessage};
use bytes::Bytes;
use muster_storage::{SnapshotReceiver, Snapshots};
use muster_transport::{HandlerError, Route, Transport};
use openraft::raft::AppendEntriesResponse;
use parking_lot::Mutex;
use std::fmt::Display;
use std::sync::Arc;

/// Serves Raft's routes from now on.
pub(crate) fn serve(transport: &dyn Transport, raft: &Raft, leading: &Arc<Leading>, snapshots: &Arc<Snapshots>) {
    let append = (raft.clone(), leading.clone());
    transport.serve(
        Route::RaftAppend,
        Arc::new(move |_, body| {
            let (raft, leading) = append.clone();
            async move {
                let request = wire::decode::<wire::AppendRequestMessage>(body).and_then(TryInto::try_into);
                let answer = raft.append_entries(request.map_err(failed)?).await.map_err(failed)?;
                if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                    leading.heard();
                }
                Ok(wire::encode(&wire::AppendResponseMessage::from(answer)))
            }
        }),
    );
    let vote = raft.clone();
    transport.serve(
        Route::RaftVote,
        Arc::new(move |_, body| {
            let raft = vote.clone();
            async move {
                let request = wire::decode::<wire::VoteRequestMessage>(body).and_then(TryInto::try_into);
                let answer = raft.vote(request.map_err(failed)?).await.map_err(failed)?;
                Ok(wire::encode(&wire::VoteResponseMessage::from(answer)))
            }
        }),
    );
    let pre_vote = raft.clone();
    transport.serve(
        Route::RaftPreVote,
        Arc::new(move |_, body| {
            let raft = pre_vote.clone();
            async move {
                let request = wire::decode::<wire::VoteRequestMessage>(body).and_then(TryInto::try_into);
                let answer = raft.pre_vote(request.map_err(failed)?).await.map_err(failed)?;
                Ok(wire::encode(&wire::VoteResponseMessage::from(answer)))
            }
        }),
    );
    let transfer = raft.clone();
    transport.serve(
        Route::RaftTransferLeader,
        Arc::new(move |_, body| {
            let raft = transfer.clone();
            async move {
                let request = wire::decode::<wire::TransferRequestMessage>(body).and_then(TryInto::try_into);
                let answer = raft
                    .handle_transfer_leader(request.map_err(failed)?)
                    .await
                    .map_err(failed)?;
                Ok(wire::encode(&wire::TransferResponseMessage::from(answer)))
            }
        }),
    );
    let incoming = Arc::new(Incoming {
        raft: raft.clone(),
        leading: leading.clone(),
        snapshots: snapshots.clone(),
        receiving: Mutex::new(None),
    });
    transport.serve(
        Route::RaftSnapshot,
        Arc::new(move |_, body| {
            let incoming = incoming.clone();
            async move { incoming.take(body).await }
        }),
    );
}

fn failed(error: impl Display) -> HandlerError {
    HandlerError::Failed(error.to_string())
}

/// Takes snapshots in pieces. One at a time: a first piece of another transfer ends the one under way.
struct Incoming {
    raft: Raft,
    leading: Arc<Leading>,
    snapshots: Arc<Snapshots>,
    /// Taken out while a piece is written.
    receiving: Mutex<Option<(u64, SnapshotReceiver)>>,
}

impl Incoming {
    async fn take(&self, body: Bytes) -> Result<Bytes, HandlerError> {
        let chunk: SnapshotChunkMessage = wire::decode(body).map_err(failed)?;
        // Whoever sends a snapshot may send no heartbeat meanwhile.
        self.leading.heard();
        let vote: Vote = chunk.vote.ok_or_else(|| failed("no vote"))?.into();
        let before = self.receiving.lock().take();
        let snapshots = self.snapshots.clone();
        let (transfer, offset, total) = (chunk.transfer, chunk.offset, chunk.total);
        let (receiver, file) = blocking(move || {
            let mut receiver = match before {
                Some((number, receiver)) if number == transfer && receiver.length() == offset => receiver,
                _ if offset == 0 => snapshots.receive()?,
                _ => return Err(std::io::Error::other("the piece does not follow the one before it")),
            };
            receiver.push(&chunk.bytes)?;
            if receiver.length() < total {
                return Ok((Some(receiver), None));
            }
            Ok((None, Some(receiver.finish()?)))
        })
        .await
        .map_err(failed)?;
        let Some(file) = file else {
            *self.receiving.lock() = receiver.map(|receiver| (transfer, receiver));
            return Ok(wire::encode(&SnapshotAnswerMessage { vote: None }));
        };
        tracing::info!(bytes = file.length(), position = ?file.meta.position, "snapshot received");
        let snapshot = to_raft(file).map_err(failed)?;
        let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(failed)?;
        Ok(wire::encode(&SnapshotAnswerMessage {
            vote: Some((&answer.vote).into()),
        }))
    }
}
