//! All that is on its way between members and clients, and what is still waited for.

mod arrivals;
mod sending;
mod streams;

use crate::clients::PushedList;
use crate::facts::Run;
use crate::network::{Answer, Travelling};
use crate::random::Random;
use crate::requests::{Reply, Request, RequestId};
use bytes::Bytes;
use muster_model::{ConnectionId, MemberId};
use muster_push::Target;
use muster_transport::{Error, Route};
use std::collections::BTreeMap;
use streams::{Stream, Way};

/// Something that arrives.
enum Arrival {
    Call {
        to: MemberId,
        call: u64,
        from: MemberId,
        route: Route,
        body: Bytes,
    },
    Answer {
        call: u64,
        result: Result<Bytes, Error>,
    },
    Request {
        to: MemberId,
        client: usize,
        id: RequestId,
        request: Request,
    },
    Reply {
        id: RequestId,
        reply: Reply,
    },
    Pushed {
        from: MemberId,
        client: usize,
        pushed: Box<PushedList>,
    },
    Ack {
        to: Run,
        token: u64,
        target: Target,
    },
    Detects {
        from: MemberId,
        client: usize,
        connection: ConnectionId,
    },
    Closes {
        from: MemberId,
        client: usize,
        connection: ConnectionId,
    },
    /// Time to send again what is stuck on a connection.
    Resent(Way),
}

/// A call between members that has no answer yet.
struct Calling {
    caller: MemberId,
    callee: MemberId,
    answer: Answer,
    made_ms: u64,
    gone_ms: u64,
}

/// A client's request that has no answer yet.
#[derive(Clone, Copy)]
struct Asked {
    client: usize,
    of: MemberId,
    /// Which connection it and its answer go over, if any.
    connection: Option<ConnectionId>,
}

impl Asked {
    fn way(self, to_client: bool) -> Option<Way> {
        self.connection.map(|connection| Way {
            member: self.of,
            connection,
            client: self.client,
            to_client,
        })
    }
}

pub(super) struct Traffic {
    travelling: Travelling<Arrival>,
    calls: BTreeMap<u64, Calling>,
    calls_made: u64,
    requests: BTreeMap<RequestId, Asked>,
    pub(super) requests_made: u64,
    connections: BTreeMap<(MemberId, ConnectionId), usize>,
    streams: BTreeMap<Way, Stream>,
    /// What arrived at a node that stands still.
    waiting: BTreeMap<MemberId, Vec<Arrival>>,
    /// Which datagrams are lost, doubled or late.
    datagrams: Random,
}

impl Traffic {
    pub(super) fn new(datagrams: Random) -> Self {
        Self {
            travelling: Travelling::default(),
            calls: BTreeMap::new(),
            calls_made: 0,
            requests: BTreeMap::new(),
            requests_made: 0,
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            datagrams,
        }
    }
}
