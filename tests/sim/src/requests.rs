//! What clients ask of a node and what they are answered, free of any dialect.

use crate::names::{Key, Service};
use muster_model::{ConnectionId, Member, MemberId};
use std::net::SocketAddr;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

#[derive(Clone, Debug)]
pub enum Request {
    Register(Key, u64),
    Deregister(Key),
    /// A beat that carries the instance, or only names it.
    Beat {
        key: Key,
        full: Option<u64>,
    },
    /// Changes the value of a persistent instance that is there.
    Edit(Key, u64),
    /// Persistent instances of this service are not probed: there is nothing to connect to.
    Unprobed(Service),
    Read {
        service: Service,
        strong: bool,
    },
    /// Asks for the list and for datagrams.
    Poll {
        service: Service,
        address: SocketAddr,
    },
    Connect,
    HealthCheck(ConnectionId),
    Publish {
        connection: ConnectionId,
        service: Service,
        instances: Vec<(Key, u64)>,
    },
    Withdraw {
        connection: ConnectionId,
        key: Key,
    },
    Watch {
        connection: ConnectionId,
        service: Service,
    },
    /// The client hangs up. Nobody answers.
    Close(ConnectionId),
    /// The answer to the node's question; nobody answers it in turn.
    Alive(ConnectionId),
    AddMember(Member),
    RemoveMember(MemberId),
}

impl Request {
    /// The connection it goes over, on which nothing is lost or overtakes another.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Request::HealthCheck(connection)
            | Request::Publish { connection, .. }
            | Request::Withdraw { connection, .. }
            | Request::Watch { connection, .. }
            | Request::Close(connection)
            | Request::Alive(connection) => Some(*connection),
            _ => None,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Request::Register(..) => "register",
            Request::Deregister(_) => "deregister",
            Request::Beat { .. } => "beat",
            Request::Edit(..) => "edit",
            Request::Unprobed(_) => "unprobed",
            Request::Read { .. } => "read",
            Request::Poll { .. } => "poll",
            Request::Connect => "connect",
            Request::HealthCheck(_) => "health",
            Request::Publish { .. } => "publish",
            Request::Withdraw { .. } => "withdraw",
            Request::Watch { .. } => "watch",
            Request::Close(_) => "close",
            Request::Alive(_) => "alive",
            Request::AddMember(_) => "add member",
            Request::RemoveMember(_) => "remove member",
        }
    }
}

/// A list as a client gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    pub service: Service,
    pub revision: u64,
    pub stamp_ms: u64,
    /// Port, health and value, in the order of the ports.
    pub instances: Vec<(u16, bool, u64)>,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    /// A light beat of an instance that nobody knows.
    Unknown,
    /// An edit or a withdrawal of what is not there.
    NotFound,
    List(List),
    Connected(ConnectionId),
    /// There is no such connection here.
    Broken,
    /// 503: this node serves nobody now; nothing was done.
    NotReady,
    /// Nothing was done, for a reason.
    Refused(String),
    /// It may have been done.
    OutcomeUnknown(String),
    /// Nobody listens at that address; nothing was done.
    NoListener,
}

impl Reply {
    pub fn name(&self) -> &'static str {
        match self {
            Reply::Done => "done",
            Reply::Unknown => "unknown",
            Reply::NotFound => "not found",
            Reply::List(_) => "list",
            Reply::Connected(_) => "connected",
            Reply::Broken => "broken",
            Reply::NotReady => "not ready",
            Reply::Refused(_) => "refused",
            Reply::OutcomeUnknown(_) => "outcome unknown",
            Reply::NoListener => "no listener",
        }
    }
}
