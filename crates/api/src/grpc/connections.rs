//! The handle to all connections: listing, pushing, sending them away.

use super::connection::Connection;
use super::hall::{Behind, Hall};
use super::info::ConnectionInfo;
use super::life::{EndReason, MOVE};
use super::outbox::Refusal;
use muster_naming::Naming;
use muster_push::{Delivery, Handed, Push, Sink, SubscriptionKey, Target};
use muster_wire::grpc::notify_payload;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// From a drained connection's end of streams to that of its transport.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Between two groups of clients that are asked to go.
const STEP: Duration = Duration::from_millis(50);

/// All connections of this node. Cheap to clone.
#[derive(Clone)]
pub struct Connections(pub(super) Arc<Hall>);

impl Connections {
    /// The node has loaded its state: from here on requests are answered.
    pub fn open(&self, naming: Naming, push: Push) {
        self.0.open(Behind { naming, push });
    }

    /// Asks every client to go to one of `servers` (main HTTP addresses), a few at a time within `within`, and closes the
    /// rest. What they publish stays listed. Further connections are closed at once from here on.
    ///
    /// A server is named only when its IP address is its own: see [`to_be_named`].
    pub async fn drain(&self, servers: Vec<SocketAddr>, within: Duration) {
        self.0.leave();
        let connections = self.0.all();
        let ends = (MOVE + CLOSE_WITHIN).min(within / 2);
        let moving = ends.saturating_sub(CLOSE_WITHIN.min(within / 8));
        let steps = (within.saturating_sub(ends).as_millis() / STEP.as_millis()).max(1) as usize;
        let at_once = connections.len().div_ceil(steps).max(1);
        let servers = to_be_named(&servers, self.0.config.listen.ip());
        let mut servers = servers.iter().copied().cycle();
        // Each group has as long to go, so the second walk begins `moving` after the first.
        let asking = async {
            for group in connections.chunks(at_once) {
                for connection in group {
                    connection.reset(servers.next());
                }
                tokio::time::sleep(STEP).await;
            }
        };
        let closing = async {
            tokio::time::sleep(moving).await;
            for group in connections.chunks(at_once) {
                for connection in group {
                    connection.close(EndReason::Reset, CLOSE_WITHIN);
                }
                tokio::time::sleep(STEP).await;
            }
        };
        let ended = async {
            futures_util::future::join(asking, closing).await;
            // Those that came in while the door closed.
            for connection in self.0.all() {
                connection.close(EndReason::Reset, CLOSE_WITHIN);
            }
            while !self.is_empty() {
                tokio::time::sleep(STEP).await;
            }
        };
        if tokio::time::timeout(within, ended).await.is_err() {
            for connection in self.0.all() {
                connection.close(EndReason::Reset, Duration::ZERO);
            }
        }
    }

    /// Those that are registered, oldest first.
    pub fn list(&self) -> Vec<ConnectionInfo> {
        let mut listed: Vec<_> = self.0.all().iter().filter_map(|connection| connection.info()).collect();
        listed.sort_by_key(|connection| connection.id);
        listed
    }

    /// By the name that its client was told.
    pub fn find(&self, name: &str) -> Option<ConnectionInfo> {
        let is_named = |connection: &&Arc<Connection>| *connection.name == *name;
        self.0.all().iter().find(is_named)?.info()
    }

    /// Open transports, registered or not.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Those that a client finds by their IP address alone. Java and Go look no further than that in their own lists, and Go then
/// tries what it found until it answers: told of one of several members on one machine, it would go to the first of them
/// that it knows, which may be the one that stops. Told of none, clients choose the next by themselves.
fn to_be_named(servers: &[SocketAddr], own: IpAddr) -> Vec<SocketAddr> {
    let alone = |server: &SocketAddr| {
        let at_its_address = servers.iter().filter(|other| other.ip() == server.ip());
        server.ip() != own && at_its_address.count() == 1
    };
    servers.iter().copied().filter(alone).collect()
}

/// Tells pushes of one subscription from those of another.
fn about(key: &SubscriptionKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&key.service, &key.clusters).hash(&mut hasher);
    hasher.finish()
}

impl Sink for Connections {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let Target::Connection { id, .. } = delivery.key.target else {
            return Handed::Unreachable;
        };
        let Some(connection) = self.0.get(id) else {
            return Handed::Unreachable;
        };
        let payload = notify_payload(&delivery.snapshot, &delivery.key.clusters, delivery.token);
        let namespace = delivery.key.service.namespace().as_str();
        match connection.push(&payload, about(&delivery.key), namespace) {
            Ok(()) => Handed::Sent,
            Err(Refusal::Full) => Handed::Busy,
            Err(Refusal::Ended) => Handed::Unreachable,
        }
    }
}
