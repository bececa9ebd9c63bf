//! All connections of this node, and what they share.

use super::Config;
use super::connection::Connection;
use super::frame::Budget;
use super::life::{EndReason, Left, SetUp, StreamNo};
use super::messages::Watches;
use super::outbox::Queued;
use super::setup::Setup;
use super::unsent::Unsent;
use super::unset::Unset;
use crate::metrics::{GRPC_CONNECTIONS, grpc_ended};
use crate::readiness::Believed;
use muster_model::{ConnectionId, Principal};
use muster_naming::{Context, Naming};
use muster_push::Push;
use muster_runtime::{Clock, Tasks};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Bytes of messages that have arrived in part, over all connections: 25 of the longest at once.
const PARTIAL_BYTES_MAX: usize = 256 << 20;

/// Of these, what one transport may hold, in messages of the longest length: two at once, and others wait for none of it.
const PARTIAL_SHARE: usize = 2;

/// How long a node that served must have been unready before it sends its clients away; what is over sooner, they need
/// not know of. With [`MOVE`](super::life::MOVE) they are gone within 8 s.
const UNREADY: Duration = Duration::from_secs(3);

/// Connections looked at before other tasks get their turn.
const LOOKS_PER_TURN: usize = 1_024;

/// What was given when the node had loaded its state.
pub(super) struct Behind {
    pub(super) naming: Naming,
    pub(super) push: Push,
}

pub(super) struct Hall {
    pub(super) config: Config,
    pub(super) clock: Clock,
    budget: Arc<Budget>,
    unsent: Unsent,
    queued: Queued,
    behind: OnceLock<Behind>,
    /// Since the door runs.
    watches: OnceLock<Watches>,
    ready: Believed,
    /// The looks found it so, though it is open.
    unready_since: Mutex<Option<Instant>>,
    /// Written when a transport comes or goes, read for every push.
    connections: RwLock<HashMap<ConnectionId, Arc<Connection>>>,
    unset: Unset,
    last_id: AtomicU64,
    last_since_ms: AtomicU64,
    leaving: AtomicBool,
}

impl Hall {
    pub(super) fn new(config: Config, clock: Clock) -> Self {
        Self {
            config,
            budget: Arc::new(Budget::new(PARTIAL_BYTES_MAX)),
            unsent: Unsent::default(),
            queued: Queued::default(),
            behind: OnceLock::new(),
            watches: OnceLock::new(),
            ready: Believed::new(&clock),
            unready_since: Mutex::new(None),
            connections: RwLock::new(HashMap::new()),
            unset: Unset::default(),
            last_id: AtomicU64::new(0),
            last_since_ms: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            clock,
        }
    }

    pub(super) fn open(&self, behind: Behind) {
        if self.behind.set(behind).is_err() {
            tracing::error!("the gRPC door was opened twice");
        }
    }

    /// The door runs: what watches outlive their calls belongs to `tasks`.
    pub(super) fn begin(&self, tasks: Tasks) {
        self.watches.get_or_init(|| Watches::new(tasks));
    }

    /// # Panics
    /// Before [`Hall::begin`]; there are no connections then.
    pub(super) fn watches(&self) -> &Watches {
        self.watches.get().expect("the door runs before there are calls")
    }

    /// What answers, once the node serves; nothing while it starts, leaves, or has lost what it needs.
    pub(super) fn serving(&self) -> Option<&Behind> {
        let behind = self.behind.get()?;
        self.ready.check(&self.clock, &behind.naming).ok()?;
        Some(behind)
    }

    /// What answers, whether the node serves or not.
    pub(super) fn behind(&self) -> Option<&Behind> {
        self.behind.get()
    }

    /// No further connections are taken.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// A place for a transport; none when all are taken or the node leaves.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<Entered> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if self.leaving.load(Ordering::Relaxed) {
            return None;
        }
        // Grows strictly, so that a name is never given twice, though clocks go back and ports are used again.
        let wall_ms = self.clock.wall_ms();
        let last = self
            .last_since_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(wall_ms.max(last + 1)))
            .expect("the closure always answers");
        let since_ms = wall_ms.max(last + 1);
        let now = self.clock.now();
        let mut connections = self.connections.write();
        if connections.len() >= self.config.connections_max {
            drop(connections);
            // For the next who comes: this one is refused, so that there are never more than there may be.
            if let Some(longest) = self.unset.take_longest(now).and_then(|id| self.get(id)) {
                longest.close(EndReason::Refused, Duration::ZERO);
            }
            return None;
        }
        let id = ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let connection = Connection::new(id, peer, since_ms, self.clock.clone());
        let partial = self.budget.share(PARTIAL_SHARE * self.config.message_bytes_max);
        let connection = Arc::new(connection.sharing(self.unsent.of_another(), partial, self.queued.clone()));
        connections.insert(id, connection.clone());
        self.unset.add(id, now);
        GRPC_CONNECTIONS.set(connections.len() as i64);
        Some(Entered {
            hall: self.clone(),
            connection,
            reason: EndReason::Closed,
        })
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.connections.read().get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.connections.read().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.connections.read().len()
    }

    /// A request of a client without a name.
    pub(super) fn context(&self, received: Instant) -> Context {
        Context {
            principal: Principal::Anonymous,
            received,
            deadline: received + self.config.write_timeout,
        }
    }

    /// A stream is set up. One that is not of naming may show that its client's naming part does not come back.
    pub(super) fn set_up(&self, connection: &Connection, number: StreamNo, setup: Setup) -> SetUp {
        let done = connection.set_up(number, setup);
        self.unset.remove(connection.id);
        if done == SetUp::NoNaming {
            self.naming_ended(connection);
        }
        done
    }

    /// A stream is gone. What naming holds for a connection goes with its last stream of naming; while another one is
    /// left, nobody can tell whose it is.
    pub(super) fn stream_ended(&self, connection: &Connection, number: StreamNo) {
        if connection.stream_ended(number) == Left::NoNaming {
            self.naming_ended(connection);
        }
    }

    /// The connection lives, and is no naming client any more.
    fn naming_ended(&self, connection: &Connection) {
        if connection.is_ending() || self.leaving.load(Ordering::Relaxed) {
            // No farewell of its client's: what it publishes goes with the transport, or stays where that is to be.
            return;
        }
        if let Some(behind) = self.behind.get() {
            behind.naming.connection_left(connection.id);
        }
        self.watches().ended(connection.id);
    }

    /// Whether this node has served and has not been ready for long. One that leaves sends its clients away by itself.
    fn serves_no_more(&self, now: Instant) -> bool {
        let is_lost = self.behind.get().is_some() && !self.leaving.load(Ordering::Relaxed) && self.serving().is_none();
        let mut since = self.unready_since.lock();
        if !is_lost {
            *since = None;
            return false;
        }
        now.saturating_duration_since(*since.get_or_insert(now)) >= UNREADY
    }

    /// Connections whose clients may have left them behind, once there are some. Never, before the door is open.
    pub(super) async fn overtaken(&self) -> Vec<Arc<Connection>> {
        let Some(behind) = self.behind.get() else {
            return std::future::pending().await;
        };
        let overtaken = behind.naming.overtaken_connections().await;
        overtaken.into_iter().filter_map(|id| self.get(id)).collect()
    }

    pub(super) async fn doubt(&self, overtaken: &[Arc<Connection>]) {
        for some in overtaken.chunks(LOOKS_PER_TURN) {
            some.iter().for_each(|connection| connection.overtaken());
            tokio::task::yield_now().await;
        }
    }

    /// Looks at every connection once, and ends those that are not to go on.
    pub(super) async fn look(&self, close_within: Duration) {
        let now = self.clock.now();
        let serves_no_more = self.serves_no_more(now);
        for (looked_at, connection) in self.all().into_iter().enumerate() {
            if looked_at % LOOKS_PER_TURN == LOOKS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
            if let Some(reason) = connection.look(now, serves_no_more) {
                tracing::info!(connection = %connection.name, reason = reason.label(), "ending a connection");
                connection.close(reason, close_within);
            }
        }
    }
}

/// A transport's place. Given back, the connection is gone: at once, and also if its task panics.
pub(super) struct Entered {
    hall: Arc<Hall>,
    pub(super) connection: Arc<Connection>,
    pub(super) reason: EndReason,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let id = self.connection.id;
        self.hall.unset.remove(id);
        {
            let mut connections = self.hall.connections.write();
            connections.remove(&id);
            if connections.len() * 4 < connections.capacity() {
                let room = connections.len() * 2;
                connections.shrink_to(room);
            }
            GRPC_CONNECTIONS.set(connections.len() as i64);
        }
        let reason = self.connection.ended().unwrap_or(self.reason);
        grpc_ended(reason);
        if let Some(behind) = self.hall.behind.get() {
            behind.naming.connection_ended_by(id, reason.ending());
        }
        if let Some(watches) = self.hall.watches.get() {
            watches.ended(id);
        }
    }
}
