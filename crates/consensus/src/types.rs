//! What openraft works with. These types stay inside this crate.

use bytes::Bytes;
use muster_model::{Member, MemberId};
use std::fmt;

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Command,
        R = Bytes,
        NodeId = u64,
        Node = Peer,
);

pub(crate) type Raft = openraft::Raft<Types, crate::state::State>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub(crate) type Metrics = openraft::RaftMetrics<Types>;
pub(crate) type ClientWriteError = openraft::errors::ClientWriteError<Types>;
pub(crate) type WriteResult = openraft::raft::WriteResult<Types>;
pub(crate) type Fatal = openraft::errors::Fatal<Types>;

/// What a caller wants committed, not looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Command(pub(crate) Bytes);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A member's addresses as the group's membership records them. Who is called is decided by id; these are for telling.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) client_address: String,
    pub(crate) peer_address: String,
}

impl From<&Member> for Peer {
    fn from(member: &Member) -> Self {
        Self {
            client_address: member.client_address.clone(),
            peer_address: member.peer_address.clone(),
        }
    }
}

impl Peer {
    pub(crate) fn member(&self, id: u64) -> Member {
        Member {
            id: MemberId(id),
            client_address: self.client_address.clone(),
            peer_address: self.peer_address.clone(),
        }
    }
}

pub(crate) fn log_id(term: u64, leader: u64, index: u64) -> LogId {
    let leader = openraft::impls::leader_id_adv::LeaderId { term, node_id: leader };
    LogId::new(leader, index)
}

pub(crate) fn vote(term: u64, leader: u64, committed: bool) -> Vote {
    if committed {
        Vote::new_committed(term, leader)
    } else {
        Vote::new(term, leader)
    }
}
