//! A client's connection and all of them together.

use bytes::Bytes;
use muster_model::ConnectionId;
use muster_naming::Naming;
use muster_push::{Delivery, Handed, Push, Sink};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// One transport with its streams.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    /// Set: a stand-in, which writes down what it is asked and says yes.
    #[cfg(test)]
    asked: Option<Asked>,
}

/// Where a stand-in writes down what it was asked: the name and the members.
#[cfg(test)]
type Asked = tokio::sync::mpsc::UnboundedSender<(&'static str, Bytes)>;

/// Why a question that the server asked has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the connection is gone")]
    Gone,
    #[error("no answer in {0:?}")]
    Silent(Duration),
    #[error("the client's stream is full")]
    Busy,
    #[error("the client refused: {0}")]
    Refused(String),
}

impl Connection {
    /// A set-up naming connection without a transport; what it is asked comes out of the receiver and is acked at once.
    #[cfg(test)]
    pub(super) fn stub(
        id: ConnectionId,
        peer: SocketAddr,
    ) -> (
        std::sync::Arc<Self>,
        tokio::sync::mpsc::UnboundedReceiver<(&'static str, Bytes)>,
    ) {
        let (asked, receiver) = tokio::sync::mpsc::unbounded_channel();
        let connection = Self {
            id,
            peer,
            asked: Some(asked),
        };
        (std::sync::Arc::new(connection), receiver)
    }

    /// Sends a request of the server's own and waits for its answer, which is matched by its request id alone.
    /// `body` is the JSON object's members after `"headers":{},"requestId":"…",`.
    pub(super) async fn ask(&self, name: &'static str, members: Bytes, within: Duration) -> Result<(), AskError> {
        #[cfg(test)]
        if let Some(asked) = &self.asked {
            return asked.send((name, members)).map_err(|_| AskError::Gone);
        }
        let _ = (name, members, within);
        todo!("skeleton")
    }

    /// The client's application, as its setup says.
    pub(super) fn app(&self) -> Box<str> {
        #[cfg(test)]
        if self.asked.is_some() {
            return "app".into();
        }
        todo!("skeleton")
    }

    /// `clientVersion` of its setup.
    pub(super) fn version(&self) -> Box<str> {
        #[cfg(test)]
        if self.asked.is_some() {
            return "Nacos-Java-Client:v2.4.3".into();
        }
        todo!("skeleton")
    }

    /// A stream of it was set up with `module=naming`.
    pub(super) fn is_naming(&self) -> bool {
        #[cfg(test)]
        if self.asked.is_some() {
            return true;
        }
        todo!("skeleton")
    }
}

/// A connection as listed.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    pub id: ConnectionId,
    /// As clients are told it: `<millis>_<ip>_<port>`.
    pub name: String,
    pub peer: SocketAddr,
    /// What the client says its own address is.
    pub client_ip: String,
    pub version: String,
    pub app: String,
    pub labels: BTreeMap<String, String>,
    pub since_ms: u64,
    pub last_active_ms: u64,
}

/// All connections of this node. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    _private: (),
}

impl Connections {
    /// The node has loaded its state: from here on requests are answered.
    pub fn open(&self, naming: Naming, push: Push) {
        let _ = (naming, push);
        todo!("skeleton")
    }

    /// Asks every client to go to one of `servers` (main HTTP addresses), a few at a time within `within`, and closes the
    /// rest. What they publish stays listed.
    pub async fn drain(&self, servers: Vec<SocketAddr>, within: Duration) {
        let _ = (servers, within);
        todo!("skeleton")
    }

    pub fn list(&self) -> Vec<ConnectionInfo> {
        todo!("skeleton")
    }

    /// By the name that its client was told.
    pub fn find(&self, name: &str) -> Option<ConnectionInfo> {
        let _ = name;
        todo!("skeleton")
    }

    pub fn len(&self) -> usize {
        todo!("skeleton")
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Sink for Connections {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let _ = delivery;
        todo!("skeleton")
    }
}
