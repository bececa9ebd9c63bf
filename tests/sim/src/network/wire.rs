//! What nodes post to the world while they run.

use crate::facts::Fact;
use crate::requests::{Reply, RequestId};
use bytes::Bytes;
use muster_model::{ConnectionId, MemberId};
use muster_push::Delivery;
use muster_transport::{Error, Route};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where the answer to a call goes.
pub type Answer = oneshot::Sender<Result<Bytes, Error>>;

/// Something that leaves a node.
pub enum Posted {
    /// A call to another member.
    Call {
        from: MemberId,
        to: MemberId,
        route: Route,
        body: Bytes,
        within: Duration,
        answer: Answer,
    },
    /// A handler has answered the call of this number.
    Answered { call: u64, result: Result<Bytes, Error> },
    /// A request of a client was carried out, or refused.
    Replied { request: RequestId, reply: Reply },
    /// A list for a subscriber, by datagram.
    Pushed { delivery: Box<Delivery> },
    /// This node asks a connection's client whether it lives.
    Detects { connection: ConnectionId },
    /// This node has ended a connection.
    Closes { connection: ConnectionId },
    /// What the checks must know; it goes nowhere.
    Noted(Fact),
}

/// The way from the nodes to the world. Clones share it.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Vec<Posted>>>);

impl Wire {
    pub fn post(&self, posted: Posted) {
        self.0.lock().push(posted);
    }

    /// Everything since this was last asked, in order.
    pub fn take(&self) -> Vec<Posted> {
        std::mem::take(&mut *self.0.lock())
    }
}
