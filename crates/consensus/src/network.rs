//! openraft's calls to one other member, over our transport.

use crate::types::{Types, Vote};
use crate::wire::{self, SnapshotAnswerMessage, SnapshotChunkMessage};
use bytes::Bytes;
use muster_model::MemberId;
use muster_storage::SnapshotFile;
use muster_transport::{Error, Route, Transport};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use prost::Message;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A snapshot travels in pieces of this size; each is one call.
const CHUNK_BYTES: usize = 512 << 10;
/// For one piece to be taken.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);
/// For the last piece: the receiver verifies and restores before it answers. A million instances take some seconds.
pub(crate) const INSTALL_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Network {
    pub(crate) transport: Arc<dyn Transport>,
    /// An append waits for a disk at the other end, so it gets at least this.
    pub(crate) append_within: Duration,
}

pub(crate) struct Line {
    transport: Arc<dyn Transport>,
    to: MemberId,
    append_within: Duration,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Line;

    async fn new_client(&mut self, target: u64, _: &crate::types::Peer) -> Line {
        Line {
            transport: self.transport.clone(),
            to: MemberId(target),
            append_within: self.append_within,
        }
    }
}

impl Line {
    async fn call<A: Message + Default>(
        &self,
        route: Route,
        action: RPCTypes,
        body: Bytes,
        within: Duration,
    ) -> Result<A, RPCError<Types>> {
        let answer = match self.transport.call(self.to, route, body, within).await {
            Ok(answer) => answer,
            Err(Error::NoAnswer { .. }) => {
                return Err(RPCError::Timeout(Timeout {
                    action,
                    id: self.transport.local().0,
                    target: self.to.0,
                    timeout: within,
                }));
            }
            // All others make openraft wait before it tries again; a plain network error would not.
            Err(error) => return Err(RPCError::Unreachable(Unreachable::new(&error))),
        };
        wire::decode(answer).map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }
}

fn unreadable(error: wire::Unreadable) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&error))
}

impl RaftNetworkV2<Types> for Line {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let body = wire::encode(&wire::AppendRequestMessage::from(&request));
        let within = option.hard_ttl().max(self.append_within);
        let answer: wire::AppendResponseMessage = self
            .call(Route::RaftAppend, RPCTypes::AppendEntries, body, within)
            .await?;
        answer.try_into().map_err(unreadable)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = wire::encode(&wire::VoteRequestMessage::from(&request));
        let answer: wire::VoteResponseMessage = self
            .call(Route::RaftVote, RPCTypes::Vote, body, option.hard_ttl())
            .await?;
        answer.try_into().map_err(unreadable)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = wire::encode(&wire::VoteRequestMessage::from(&request));
        let answer: wire::VoteResponseMessage = self
            .call(Route::RaftPreVote, RPCTypes::Vote, body, option.hard_ttl())
            .await?;
        answer.try_into().map_err(unreadable)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::type_config::alias::SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let send = self.send_snapshot(vote, snapshot.snapshot);
        tokio::select! {
            sent = send => sent,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let body = wire::encode(&wire::TransferRequestMessage::from(&request));
        let answer: wire::TransferResponseMessage = self
            .call(
                Route::RaftTransferLeader,
                RPCTypes::TransferLeader,
                body,
                option.hard_ttl(),
            )
            .await?;
        Ok(answer.into())
    }
}

impl Line {
    async fn send_snapshot(
        &self,
        vote: Vote,
        file: SnapshotFile,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let transfer = crate::random_id();
        let mut offset = 0;
        loop {
            let reading = file.clone();
            let bytes = crate::log_store::blocking(move || reading.read_raw(offset, CHUNK_BYTES))
                .await
                .map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
            let next = offset + bytes.len() as u64;
            let is_last = next == file.length();
            let chunk = SnapshotChunkMessage {
                vote: Some((&vote).into()),
                transfer,
                offset,
                total: file.length(),
                bytes,
            };
            let within = if is_last { INSTALL_WITHIN } else { CHUNK_WITHIN };
            let answer: SnapshotAnswerMessage = self
                .call(
                    Route::RaftSnapshot,
                    RPCTypes::InstallSnapshot,
                    wire::encode(&chunk),
                    within,
                )
                .await?;
            if let Some(theirs) = answer.vote {
                return Ok(SnapshotResponse::new(theirs.into()));
            }
            if is_last {
                let text = format!("member {} did not answer to the end of a snapshot", self.to);
                return Err(StreamingError::Unreachable(Unreachable::from_string(text)));
            }
            offset = next;
        }
    }
}
