//! The messages between members, opened to the fuzz targets.

use crate::forward::{Answers, Request};
use crate::types::Types;
use crate::wire::{
    self, AppendRequestMessage, AppendResponseMessage, SnapshotAnswerMessage, SnapshotChunkMessage,
    TransferRequestMessage, TransferResponseMessage, VoteRequestMessage, VoteResponseMessage,
};
use bytes::Bytes;
use muster_storage::{LogEntry, Position};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};

/// How many kinds of message there are.
pub const KINDS: u8 = 12;

/// Reads a message of a kind into what the node makes of it and writes that again.
///
/// # Errors
/// Why it is not believed.
pub fn read_and_write(kind: u8, bytes: Bytes) -> Result<Bytes, String> {
    let written = match kind % KINDS {
        0 => append_request(bytes),
        1 => wire::decode::<AppendResponseMessage>(bytes)
            .and_then(AppendEntriesResponse::<Types>::try_from)
            .map(|it| wire::encode(&AppendResponseMessage::from(it))),
        2 => wire::decode::<VoteRequestMessage>(bytes)
            .and_then(VoteRequest::<Types>::try_from)
            .map(|it| wire::encode(&VoteRequestMessage::from(&it))),
        3 => wire::decode::<VoteResponseMessage>(bytes)
            .and_then(VoteResponse::<Types>::try_from)
            .map(|it| wire::encode(&VoteResponseMessage::from(it))),
        4 => wire::decode::<TransferRequestMessage>(bytes)
            .and_then(TransferLeaderRequest::<Types>::try_from)
            .map(|it| wire::encode(&TransferRequestMessage::from(&it))),
        5 => wire::decode::<TransferResponseMessage>(bytes)
            .map(|it| TransferResponseMessage::from(TransferLeaderResponse::<Types>::from(it)))
            .map(|it| wire::encode(&it)),
        6 => wire::decode::<SnapshotChunkMessage>(bytes).map(|it| wire::encode(&it)),
        7 => wire::decode::<SnapshotAnswerMessage>(bytes).map(|it| wire::encode(&it)),
        8 => wire::decode::<Request>(bytes).map(|it| wire::encode(&it)),
        9 => wire::decode::<Answers>(bytes).map(|it| wire::encode(&it)),
        10 => wire::decode_membership(bytes).map(|it| wire::encode_membership(&it)),
        _ => log_entry(bytes),
    };
    written.map_err(|error| error.to_string())
}

fn append_request(bytes: Bytes) -> Result<Bytes, wire::Unreadable> {
    let request: AppendEntriesRequest<Types> = wire::decode::<AppendRequestMessage>(bytes)?.try_into()?;
    Ok(wire::encode(&AppendRequestMessage::from(&request)))
}

/// An entry of the log: its tag, then its payload.
fn log_entry(bytes: Bytes) -> Result<Bytes, wire::Unreadable> {
    let tag = bytes.first().copied().unwrap_or(0);
    let entry = LogEntry {
        position: Position::default(),
        tag,
        payload: bytes.slice(bytes.len().min(1)..),
    };
    let again = wire::to_log(&wire::from_log(entry)?);
    Ok([&[again.tag], &*again.payload].concat().into())
}

/// Messages as this version writes them, one of every kind that carries more than numbers.
pub fn samples() -> Vec<(u8, Bytes)> {
    use crate::forward::{Ask, Commands, HelloAnswer, MemberMessage, Outcome, Readmit};
    let node = wire::NodeMessage {
        id: 3,
        client_address: "10.0.0.3:8848".into(),
        peer_address: "10.0.0.3:9849".into(),
    };
    let ask = |ask| {
        wire::encode(&Request {
            within_ms: 2_500,
            ask: Some(ask),
        })
    };
    let commands = vec![Bytes::from_static(b"command"); 3];
    let membership = openraft::Membership::new(
        vec![[1, 2].into(), [1, 2, 3].into()],
        std::collections::BTreeMap::from([1, 2, 3].map(|id| (id, crate::types::Peer::default()))),
    )
    .expect("a membership of its own nodes");
    let entry = |index, payload| crate::types::Entry {
        log_id: crate::types::log_id(4, 1, index),
        payload,
    };
    let request: AppendEntriesRequest<Types> = AppendEntriesRequest {
        vote: crate::types::vote(4, 1, true),
        prev_log_id: Some(crate::types::log_id(3, 2, 9)),
        entries: vec![
            entry(10, openraft::EntryPayload::Blank),
            entry(
                11,
                openraft::EntryPayload::Normal(crate::types::Command(Bytes::from_static(b"command"))),
            ),
            entry(12, openraft::EntryPayload::Membership(membership.clone())),
        ],
        leader_commit: Some(crate::types::log_id(4, 1, 10)),
    };
    let stored = crate::types::StoredMembership::new(Some(crate::types::log_id(4, 1, 12)), membership);
    let chunk = SnapshotChunkMessage {
        vote: Some((&crate::types::vote(4, 1, true)).into()),
        transfer: 77,
        offset: 4_096,
        total: 8_192,
        bytes: Bytes::from_static(b"piece"),
    };
    let vote = VoteRequest::<Types>::new(crate::types::vote(5, 2, false), Some(crate::types::log_id(4, 1, 12)));
    let granted = VoteResponse::<Types>::new(crate::types::vote(5, 2, false), None, true);
    vec![
        (0, wire::encode(&AppendRequestMessage::from(&request))),
        (
            1,
            wire::encode(&AppendResponseMessage::from(
                AppendEntriesResponse::<Types>::HigherVote(crate::types::vote(6, 3, false)),
            )),
        ),
        (2, wire::encode(&VoteRequestMessage::from(&vote))),
        (3, wire::encode(&VoteResponseMessage::from(granted))),
        (6, wire::encode(&chunk)),
        (8, ask(Ask::Propose(Commands { commands }))),
        (8, ask(Ask::Add(node.clone()))),
        (8, ask(Ask::Remove(MemberMessage { id: 2 }))),
        (
            8,
            ask(Ask::Readmit(Readmit {
                node: Some(node),
                again: true,
                passed_on: true,
            })),
        ),
        (9, wire::encode(&Answers::from(Outcome::Refused("no".into())))),
        (
            9,
            wire::encode(&Answers::from(Outcome::Hello(HelloAnswer {
                founders_hash: 5,
                has_history: true,
            }))),
        ),
        (10, wire::encode_membership(&stored)),
    ]
}
