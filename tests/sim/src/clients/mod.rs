//! Clients as small machines that the world drives: each sends a request, hears an answer or nothing, and decides.
//!
//! They behave as the SDKs do: one request at a time, three seconds of patience, the next server after a failure. What
//! they know is what they were told; what truly happened, the [`Facts`](crate::facts::Facts) know.

mod beater;
mod connected;
mod operator;
mod publisher;
mod subscriber;
mod writer;

pub use beater::Beater;
pub use connected::Connected;
pub use operator::{Change, Operator};
pub use subscriber::Subscriber;
pub use writer::Writer;

use crate::facts::Facts;
use crate::random::Random;
use crate::requests::{List, Reply, Request, RequestId};
use muster_model::{ConnectionId, MemberId};

/// How long an SDK waits for an answer.
pub const PATIENCE_MS: u64 = 3_000;

/// What a client may use while it decides.
pub struct Hands<'a> {
    pub now_ms: u64,
    pub random: &'a mut Random,
    pub facts: &'a mut Facts,
    /// The addresses it was configured with.
    pub servers: &'a [MemberId],
    /// Requests it sends, in order, each with the time by which it is held up on its way.
    pub sent: &'a mut Vec<(RequestId, MemberId, Request, u64)>,
    pub next_request: &'a mut u64,
    /// The faults are over: nobody begins or ends anything any more, but what lives goes on.
    pub calm: bool,
}

impl Hands<'_> {
    pub fn send(&mut self, to: MemberId, request: Request) -> RequestId {
        self.send_late(to, request, 0)
    }

    /// As [`Hands::send`], of a request that is under way for longer: another thread of the client sent it.
    pub fn send_late(&mut self, to: MemberId, request: Request, late_ms: u64) -> RequestId {
        *self.next_request += 1;
        let id = RequestId(*self.next_request);
        self.sent.push((id, to, request, late_ms));
        id
    }

    /// Any server but `not`.
    pub fn another_server(&mut self, not: MemberId) -> MemberId {
        let others: Vec<MemberId> = self.servers.iter().copied().filter(|id| *id != not).collect();
        *self.random.pick(&others)
    }

    pub fn any_server(&mut self) -> MemberId {
        *self.random.pick(self.servers)
    }
}

/// A list that came by push.
#[derive(Clone, Debug)]
pub struct PushedList {
    pub list: List,
    pub token: u64,
    /// The connection it came over; none for a datagram.
    pub connection: Option<ConnectionId>,
}

/// What a subscriber holds, for the checks.
#[derive(Clone, Debug)]
pub struct Held {
    pub server: MemberId,
    pub list: List,
    /// It counts on being told: its last poll was answered by that server.
    pub since_ms: u64,
}

pub trait Client {
    fn name(&self) -> String;

    /// The moment from which on [`Client::act`] wants to be called.
    fn wakes_ms(&self) -> u64;

    fn act(&mut self, hands: &mut Hands<'_>);

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>);

    /// A list came by push from `from`; says whether it acks.
    fn pushed(&mut self, _from: MemberId, _pushed: &PushedList, _now_ms: u64) -> bool {
        false
    }

    /// The server asks whether it lives; says whether it answers.
    fn asked(&mut self, _from: MemberId, _connection: ConnectionId) -> bool {
        false
    }

    /// The server has closed its connection.
    fn closed(&mut self, _from: MemberId, _connection: ConnectionId, _now_ms: u64) {}

    fn holds(&self) -> Option<Held> {
        None
    }
}

/// A request that is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub id: RequestId,
    pub until_ms: u64,
}

impl Waiting {
    pub fn new(id: RequestId, now_ms: u64) -> Self {
        Self {
            id,
            until_ms: now_ms + PATIENCE_MS,
        }
    }
}

/// Whether a reply means that the next server may do better.
pub fn is_elsewhere(reply: &Reply) -> bool {
    matches!(reply, Reply::NotReady | Reply::NoListener | Reply::Broken)
}

/// Where the datagrams of a client go; the port tells which it is.
pub fn subscriber_port(client: usize) -> u16 {
    subscriber::PORT_BASE + client as u16
}

/// The client behind a datagram's port.
pub fn subscriber_of(port: u16) -> usize {
    usize::from(port.saturating_sub(subscriber::PORT_BASE))
}
