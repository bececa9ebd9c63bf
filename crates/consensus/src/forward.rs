//! What members ask the leader, and what a starting member asks any other.

use crate::wire::NodeMessage;
use bytes::Bytes;
use muster_model::Member;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    /// How long the caller still waits.
    #[prost(uint64, tag = "1")]
    pub(crate) within_ms: u64,
    #[prost(oneof = "Ask", tags = "2, 3, 4, 5, 6, 7, 8, 9")]
    pub(crate) ask: Option<Ask>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Ask {
    #[prost(message, tag = "2")]
    Propose(Commands),
    #[prost(message, tag = "3")]
    ReadIndex(Nothing),
    #[prost(message, tag = "4")]
    Add(NodeMessage),
    #[prost(message, tag = "5")]
    Remove(MemberMessage),
    #[prost(message, tag = "6")]
    Transfer(MemberMessage),
    /// Of a member whose folder is empty: what do you know of the group?
    #[prost(message, tag = "7")]
    Hello(Hello),
    /// Of a member with an empty folder: if I am a member, remove me and add me again, as one that has promised nothing.
    #[prost(message, tag = "8")]
    Readmit(Readmit),
    /// Of a member that hears no leader: am I one of the group?
    #[prost(message, tag = "9")]
    Standing(Nothing),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Commands {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) commands: Vec<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct MemberMessage {
    /// 0: any.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Hello {
    #[prost(uint64, tag = "1")]
    pub(crate) founders_hash: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Readmit {
    #[prost(message, optional, tag = "1")]
    pub(crate) node: Option<NodeMessage>,
    /// An earlier request may have removed the member already; add it even if it is none.
    #[prost(bool, tag = "2")]
    pub(crate) again: bool,
    /// The asked member does not lead and has passed it on: who asks knows the founders alone, and another member may lead.
    #[prost(bool, tag = "3")]
    pub(crate) passed_on: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Answers {
    /// One per command, otherwise one.
    #[prost(message, repeated, tag = "1")]
    pub(crate) answers: Vec<Answer>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Answer {
    #[prost(oneof = "Outcome", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Outcome {
    #[prost(message, tag = "1")]
    Committed(CommittedMessage),
    /// Certainly not done, may be asked again.
    #[prost(message, tag = "2")]
    NothingDone(Nothing),
    #[prost(message, tag = "3")]
    Unknown(Nothing),
    /// Not done; how many wait.
    #[prost(uint64, tag = "4")]
    Overloaded(u64),
    /// Not done, and asking again does not help.
    #[prost(string, tag = "5")]
    Refused(String),
    /// An index, for a read.
    #[prost(uint64, tag = "6")]
    Index(u64),
    /// A member, for a transfer.
    #[prost(uint64, tag = "7")]
    Member(u64),
    #[prost(message, tag = "8")]
    Hello(HelloAnswer),
    #[prost(message, tag = "9")]
    NotAMember(Nothing),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CommittedMessage {
    #[prost(uint64, tag = "1")]
    pub(crate) index: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) response: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct HelloAnswer {
    #[prost(uint64, tag = "1")]
    pub(crate) founders_hash: u64,
    /// A leader has written to this member's log: the group exists.
    #[prost(bool, tag = "2")]
    pub(crate) has_history: bool,
}

impl From<Outcome> for Answers {
    fn from(outcome: Outcome) -> Self {
        Self {
            answers: vec![Answer { outcome: Some(outcome) }],
        }
    }
}

impl Answers {
    pub(crate) fn into_one(self) -> Option<Outcome> {
        self.answers.into_iter().next()?.outcome
    }
}

impl From<&Member> for NodeMessage {
    fn from(member: &Member) -> Self {
        Self {
            id: member.id.0,
            client_address: member.client_address.clone(),
            peer_address: member.peer_address.clone(),
        }
    }
}
