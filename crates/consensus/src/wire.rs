//! Our bytes between members and on disk. openraft's own structures are never written: their shape moves with each release.
//!
//! Tags are for ever. A field that is not known is skipped, one that is missing is its default or refused in `TryFrom`.

use crate::types::{self, Command, Entry, LogId, Membership, Peer, StoredMembership, Types, Vote};
use bytes::Bytes;
use muster_storage::{LogEntry, Position};
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What an entry's payload is, on disk and between members.
const TAG_BLANK: u8 = 0;
const TAG_COMMAND: u8 = 1;
const TAG_MEMBERSHIP: u8 = 2;

/// Bytes that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("unreadable message: {0}")]
pub(crate) struct Unreadable(String);

impl From<prost::DecodeError> for Unreadable {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<Unreadable> for io::Error {
    fn from(error: Unreadable) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

fn missing(field: &str) -> Unreadable {
    Unreadable(format!("{field} is missing"))
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct LogIdMessage {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    leader: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct VoteMessage {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    leader: u64,
    #[prost(bool, tag = "3")]
    committed: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MembershipMessage {
    /// The entry that set it; none before the first.
    #[prost(message, optional, tag = "1")]
    set_by: Option<LogIdMessage>,
    /// One set of voters, two while a change is under way.
    #[prost(message, repeated, tag = "2")]
    voters: Vec<VotersMessage>,
    #[prost(message, repeated, tag = "3")]
    nodes: Vec<NodeMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct VotersMessage {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeMessage {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) client_address: String,
    #[prost(string, tag = "3")]
    pub(crate) peer_address: String,
}

#[derive(Clone, PartialEq, Message)]
struct EntryMessage {
    #[prost(message, optional, tag = "1")]
    id: Option<LogIdMessage>,
    #[prost(uint32, tag = "2")]
    tag: u32,
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendRequestMessage {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteMessage>,
    #[prost(message, optional, tag = "2")]
    previous: Option<LogIdMessage>,
    #[prost(message, repeated, tag = "3")]
    entries: Vec<EntryMessage>,
    #[prost(message, optional, tag = "4")]
    committed: Option<LogIdMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendResponseMessage {
    #[prost(enumeration = "AppendOutcome", tag = "1")]
    outcome: i32,
    #[prost(message, optional, tag = "2")]
    matched: Option<LogIdMessage>,
    #[prost(message, optional, tag = "3")]
    vote: Option<VoteMessage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum AppendOutcome {
    /// Not a known answer; never sent.
    Unknown = 0,
    Success = 1,
    Partial = 2,
    Conflict = 3,
    HigherVote = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VoteRequestMessage {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteMessage>,
    #[prost(message, optional, tag = "2")]
    last: Option<LogIdMessage>,
    #[prost(bool, tag = "3")]
    leadership_transfer: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VoteResponseMessage {
    #[prost(message, optional, tag = "1")]
    vote: Option<VoteMessage>,
    #[prost(bool, tag = "2")]
    granted: bool,
    #[prost(message, optional, tag = "3")]
    last: Option<LogIdMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransferRequestMessage {
    #[prost(message, optional, tag = "1")]
    from: Option<VoteMessage>,
    #[prost(uint64, tag = "2")]
    to: u64,
    #[prost(message, optional, tag = "3")]
    last: Option<LogIdMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransferResponseMessage {
    #[prost(message, optional, tag = "1")]
    expected_vote: Option<VoteMessage>,
    #[prost(message, optional, tag = "2")]
    actual_vote: Option<VoteMessage>,
    #[prost(bool, tag = "3")]
    log_not_flushed: bool,
    #[prost(message, optional, tag = "4")]
    expected_log: Option<LogIdMessage>,
    #[prost(message, optional, tag = "5")]
    actual_log: Option<LogIdMessage>,
}

/// A piece of a snapshot file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotChunkMessage {
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<VoteMessage>,
    /// Random, one per attempt to send a file.
    #[prost(uint64, tag = "2")]
    pub(crate) transfer: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
    /// Length of the whole file.
    #[prost(uint64, tag = "4")]
    pub(crate) total: u64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotAnswerMessage {
    /// The receiver's vote, once the file is installed or refused for it.
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<VoteMessage>,
}

/// Decodes any of the messages above.
pub(crate) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, Unreadable> {
    Ok(M::decode(bytes)?)
}

pub(crate) fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

impl From<&LogId> for LogIdMessage {
    fn from(id: &LogId) -> Self {
        Self {
            term: id.leader_id.term,
            leader: id.leader_id.node_id,
            index: id.index,
        }
    }
}

impl From<LogIdMessage> for LogId {
    fn from(id: LogIdMessage) -> Self {
        types::log_id(id.term, id.leader, id.index)
    }
}

impl From<&Vote> for VoteMessage {
    fn from(vote: &Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            leader: vote.leader_id.node_id,
            committed: vote.committed,
        }
    }
}

impl From<VoteMessage> for Vote {
    fn from(vote: VoteMessage) -> Self {
        types::vote(vote.term, vote.leader, vote.committed)
    }
}

pub(crate) fn position(id: &LogId) -> Position {
    Position {
        term: id.leader_id.term,
        leader: id.leader_id.node_id,
        index: id.index,
    }
}

pub(crate) fn from_position(position: Position) -> LogId {
    types::log_id(position.term, position.leader, position.index)
}

fn membership_message(set_by: Option<&LogId>, membership: &Membership) -> MembershipMessage {
    MembershipMessage {
        set_by: set_by.map(Into::into),
        voters: membership
            .get_joint_config()
            .iter()
            .map(|ids| VotersMessage {
                ids: ids.iter().copied().collect(),
            })
            .collect(),
        nodes: membership
            .nodes()
            .map(|(id, peer)| NodeMessage {
                id: *id,
                client_address: peer.client_address.clone(),
                peer_address: peer.peer_address.clone(),
            })
            .collect(),
    }
}

impl TryFrom<MembershipMessage> for StoredMembership {
    type Error = Unreadable;

    fn try_from(message: MembershipMessage) -> Result<Self, Unreadable> {
        let voters: Vec<BTreeSet<u64>> = message
            .voters
            .into_iter()
            .map(|set| set.ids.into_iter().collect())
            .collect();
        let nodes: BTreeMap<u64, Peer> = message
            .nodes
            .into_iter()
            .map(|node| {
                let peer = Peer {
                    client_address: node.client_address,
                    peer_address: node.peer_address,
                };
                (node.id, peer)
            })
            .collect();
        let membership = if voters.is_empty() && nodes.is_empty() {
            Membership::default()
        } else {
            Membership::new(voters, nodes).map_err(|error| Unreadable(error.to_string()))?
        };
        Ok(StoredMembership::new(message.set_by.map(Into::into), membership))
    }
}

pub(crate) fn encode_membership(stored: &StoredMembership) -> Bytes {
    encode(&membership_message(stored.log_id().as_ref(), stored.membership()))
}

/// The membership in a note; an empty note is the empty membership.
pub(crate) fn decode_membership(note: Bytes) -> Result<StoredMembership, Unreadable> {
    decode::<MembershipMessage>(note)?.try_into()
}

/// An entry as the log keeps it.
pub(crate) fn to_log(entry: &Entry) -> LogEntry {
    let (tag, payload) = match &entry.payload {
        EntryPayload::Blank => (TAG_BLANK, Bytes::new()),
        EntryPayload::Normal(Command(bytes)) => (TAG_COMMAND, bytes.clone()),
        EntryPayload::Membership(membership) => (TAG_MEMBERSHIP, encode(&membership_message(None, membership))),
    };
    LogEntry {
        position: position(&entry.log_id),
        tag,
        payload,
    }
}

pub(crate) fn from_log(entry: LogEntry) -> Result<Entry, Unreadable> {
    let payload = match entry.tag {
        TAG_BLANK => EntryPayload::Blank,
        TAG_COMMAND => EntryPayload::Normal(Command(entry.payload)),
        TAG_MEMBERSHIP => EntryPayload::Membership(decode_membership(entry.payload)?.membership().clone()),
        other => {
            return Err(Unreadable(format!(
                "entry {} is of unknown kind {other}",
                entry.position.index
            )));
        }
    };
    Ok(Entry {
        log_id: from_position(entry.position),
        payload,
    })
}

impl From<&AppendEntriesRequest<Types>> for AppendRequestMessage {
    fn from(request: &AppendEntriesRequest<Types>) -> Self {
        Self {
            vote: Some((&request.vote).into()),
            previous: request.prev_log_id.as_ref().map(Into::into),
            entries: request
                .entries
                .iter()
                .map(|entry| {
                    let LogEntry { tag, payload, .. } = to_log(entry);
                    EntryMessage {
                        id: Some((&entry.log_id).into()),
                        tag: tag.into(),
                        payload,
                    }
                })
                .collect(),
            committed: request.leader_commit.as_ref().map(Into::into),
        }
    }
}

/// A copy that holds nothing else in memory. What is decoded is a part of the message that it came in, and the newest entries
/// stay in memory for long: with theirs they took three times what is counted for them.
pub(crate) fn of_its_own(payload: &Bytes) -> Bytes {
    Bytes::copy_from_slice(payload)
}

impl TryFrom<AppendRequestMessage> for AppendEntriesRequest<Types> {
    type Error = Unreadable;

    fn try_from(message: AppendRequestMessage) -> Result<Self, Unreadable> {
        let entries = message.entries.into_iter().map(|entry| {
            let id: LogId = entry.id.ok_or_else(|| missing("entry id"))?.into();
            let tag = u8::try_from(entry.tag).map_err(|error| Unreadable(error.to_string()))?;
            from_log(LogEntry {
                position: position(&id),
                tag,
                payload: of_its_own(&entry.payload),
            })
        });
        Ok(Self {
            vote: message.vote.ok_or_else(|| missing("vote"))?.into(),
            prev_log_id: message.previous.map(Into::into),
            entries: entries.collect::<Result<_, _>>()?,
            leader_commit: message.committed.map(Into::into),
        })
    }
}

impl From<AppendEntriesResponse<Types>> for AppendResponseMessage {
    fn from(response: AppendEntriesResponse<Types>) -> Self {
        let (outcome, matched, vote) = match response {
            AppendEntriesResponse::Success => (AppendOutcome::Success, None, None),
            AppendEntriesResponse::PartialSuccess(matched) => (AppendOutcome::Partial, matched, None),
            AppendEntriesResponse::Conflict => (AppendOutcome::Conflict, None, None),
            AppendEntriesResponse::HigherVote(vote) => (AppendOutcome::HigherVote, None, Some(vote)),
        };
        Self {
            outcome: outcome.into(),
            matched: matched.as_ref().map(Into::into),
            vote: vote.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<AppendResponseMessage> for AppendEntriesResponse<Types> {
    type Error = Unreadable;

    fn try_from(message: AppendResponseMessage) -> Result<Self, Unreadable> {
        match message.outcome() {
            AppendOutcome::Success => Ok(Self::Success),
            AppendOutcome::Partial => Ok(Self::PartialSuccess(message.matched.map(Into::into))),
            AppendOutcome::Conflict => Ok(Self::Conflict),
            AppendOutcome::HigherVote => Ok(Self::HigherVote(message.vote.ok_or_else(|| missing("vote"))?.into())),
            AppendOutcome::Unknown => Err(Unreadable("unknown answer to an append".into())),
        }
    }
}

impl From<&VoteRequest<Types>> for VoteRequestMessage {
    fn from(request: &VoteRequest<Types>) -> Self {
        Self {
            vote: Some((&request.vote).into()),
            last: request.last_log_id.as_ref().map(Into::into),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

impl TryFrom<VoteRequestMessage> for VoteRequest<Types> {
    type Error = Unreadable;

    fn try_from(message: VoteRequestMessage) -> Result<Self, Unreadable> {
        let vote = message.vote.ok_or_else(|| missing("vote"))?.into();
        let mut request = VoteRequest::new(vote, message.last.map(Into::into));
        request.leadership_transfer = message.leadership_transfer;
        Ok(request)
    }
}

impl From<VoteResponse<Types>> for VoteResponseMessage {
    fn from(response: VoteResponse<Types>) -> Self {
        Self {
            vote: Some((&response.vote).into()),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<VoteResponseMessage> for VoteResponse<Types> {
    type Error = Unreadable;

    fn try_from(message: VoteResponseMessage) -> Result<Self, Unreadable> {
        let vote: Vote = message.vote.ok_or_else(|| missing("vote"))?.into();
        Ok(VoteResponse::new(vote, message.last.map(Into::into), message.granted))
    }
}

impl From<&TransferLeaderRequest<Types>> for TransferRequestMessage {
    fn from(request: &TransferLeaderRequest<Types>) -> Self {
        Self {
            from: Some(request.from_leader().into()),
            to: *request.to_node_id(),
            last: request.last_log_id().map(Into::into),
        }
    }
}

impl TryFrom<TransferRequestMessage> for TransferLeaderRequest<Types> {
    type Error = Unreadable;

    fn try_from(message: TransferRequestMessage) -> Result<Self, Unreadable> {
        let from = message.from.ok_or_else(|| missing("vote"))?.into();
        Ok(Self::new(from, message.to, message.last.map(Into::into)))
    }
}

impl From<TransferLeaderResponse<Types>> for TransferResponseMessage {
    fn from(response: TransferLeaderResponse<Types>) -> Self {
        match response {
            Ok(()) => Self::default(),
            Err(TransferLeaderError::VoteChanged { expected, actual }) => Self {
                expected_vote: Some((&expected).into()),
                actual_vote: Some((&actual).into()),
                ..Self::default()
            },
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => Self {
                log_not_flushed: true,
                expected_log: expected.as_ref().map(Into::into),
                actual_log: actual.as_ref().map(Into::into),
                ..Self::default()
            },
        }
    }
}

impl From<TransferResponseMessage> for TransferLeaderResponse<Types> {
    fn from(message: TransferResponseMessage) -> Self {
        match (message.expected_vote, message.actual_vote) {
            (Some(expected), Some(actual)) => Err(TransferLeaderError::VoteChanged {
                expected: expected.into(),
                actual: actual.into(),
            }),
            _ if message.log_not_flushed => Err(TransferLeaderError::LogNotFlushed {
                expected: message.expected_log.map(Into::into),
                actual: message.actual_log.map(Into::into),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_comes_back_as_it_went() {
        let nodes = [(1, Peer::default()), (2, Peer::default())];
        let membership = Membership::new(vec![BTreeSet::from([1])], BTreeMap::from(nodes)).unwrap();
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Command(Bytes::from_static(b"command"))),
            EntryPayload::Membership(membership),
        ];
        let entries = payloads.into_iter().zip(5..).map(|(payload, index)| Entry {
            log_id: types::log_id(3, 1, index),
            payload,
        });
        let request = AppendEntriesRequest::<Types> {
            vote: types::vote(3, 1, true),
            prev_log_id: Some(types::log_id(2, 2, 4)),
            entries: entries.collect(),
            leader_commit: Some(types::log_id(2, 2, 4)),
        };
        let bytes = encode(&AppendRequestMessage::from(&request));
        let back: AppendEntriesRequest<Types> = decode::<AppendRequestMessage>(bytes).unwrap().try_into().unwrap();
        assert_eq!(format!("{back:?}"), format!("{request:?}"));
    }

    #[test]
    fn entries_hold_no_more_in_memory_than_their_own_bytes() {
        let entry = Entry {
            log_id: types::log_id(3, 1, 5),
            payload: EntryPayload::Normal(Command(Bytes::from_static(b"command"))),
        };
        let request = AppendEntriesRequest::<Types> {
            vote: types::vote(3, 1, true),
            prev_log_id: None,
            entries: vec![entry],
            leader_commit: None,
        };
        let body = encode(&AppendRequestMessage::from(&request));
        let decoded = decode::<AppendRequestMessage>(body.clone()).unwrap();
        let kept: AppendEntriesRequest<Types> = decoded.try_into().unwrap();
        assert!(body.is_unique(), "the entries hold the message that they came in");
        assert_eq!(kept.entries.len(), 1);
    }

    #[test]
    fn every_answer_to_an_append_comes_back_as_it_went() {
        for answer in [
            AppendEntriesResponse::<Types>::Success,
            AppendEntriesResponse::PartialSuccess(None),
            AppendEntriesResponse::PartialSuccess(Some(types::log_id(1, 2, 3))),
            AppendEntriesResponse::Conflict,
            AppendEntriesResponse::HigherVote(types::vote(9, 2, false)),
        ] {
            let bytes = encode(&AppendResponseMessage::from(answer.clone()));
            let back = AppendEntriesResponse::try_from(decode::<AppendResponseMessage>(bytes).unwrap()).unwrap();
            assert_eq!(back, answer);
        }
    }

    #[test]
    fn a_message_without_a_vote_is_refused() {
        assert!(AppendEntriesRequest::try_from(AppendRequestMessage::default()).is_err());
        assert!(AppendEntriesResponse::try_from(AppendResponseMessage::default()).is_err());
        assert!(VoteRequest::try_from(VoteRequestMessage::default()).is_err());
        assert!(VoteResponse::try_from(VoteResponseMessage::default()).is_err());
    }
}
