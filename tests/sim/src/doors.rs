//! A node's doors as the simulation has them: requests come as values, answers and pushes leave by the [`Wire`].
//!
//! They do what the dialects do and no more: refuse while the node is not open or not ready, make one call of `naming` for
//! each request, and watch over connections by the rules of the gRPC door (silent for 20 s: asked; 5 s later: ended).

use crate::facts::{Fact, Run};
use crate::names::{Key, Service, value_metadata, value_of};
use crate::network::{Posted, Wire};
use crate::requests::{List, Reply, Request, RequestId};
use muster_consensus::{MemberChangeError, ProposeError, Role};
use muster_model::{
    ClusterName, ClusterSettings, ConnectionId, HealthChecker, InstanceEdit, Kind, MetadataEdit, Principal,
    ServiceSettings, ServiceSnapshot,
};
use muster_naming::{Beat, BeatAnswer, Context, Ending, Error, Naming};
use muster_push::{Delivery, Handed, Sink, SubscriptionInfo, SubscriptionKey, Target};
use muster_runtime::{Clock, TaskKind, Tasks};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// As the gRPC door: silence after which a client is asked, and how long it has to answer.
const SILENCE: Duration = Duration::from_secs(20);
const DETECTION: Duration = Duration::from_secs(5);
/// As the gRPC door: from asking clients to go, because the node serves no more, to ending their connections.
const MOVE: Duration = Duration::from_secs(3);
/// How long a persistent write may take; the product's default `write_timeout_ms`.
pub const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Adding a member may take a snapshot.
const CHANGE_WITHIN: Duration = Duration::from_secs(20);

struct Connection {
    last_active: Instant,
    asked: Option<Instant>,
    sent_away: Option<Instant>,
}

/// The doors of one run of one node.
pub struct Doors {
    pub run: Run,
    wire: Wire,
    naming: OnceLock<Naming>,
    open: AtomicBool,
    connections: Mutex<BTreeMap<ConnectionId, Connection>>,
    connected: AtomicU64,
}

impl Doors {
    pub fn new(run: Run, wire: Wire) -> Arc<Self> {
        Arc::new(Self {
            run,
            wire,
            naming: OnceLock::new(),
            open: AtomicBool::new(false),
            connections: Mutex::default(),
            // Numbers begin anew with each run of a process; here they differ, so that a trace can be read.
            connected: AtomicU64::new(u64::from(run.number) * 10_000 + run.member.0 * 1_000),
        })
    }

    /// The node is joined; it answers once it is opened.
    pub fn join(self: &Arc<Self>, naming: Naming, clock: Clock, tasks: &Tasks) {
        assert!(self.naming.set(naming.clone()).is_ok(), "doors are joined once");
        let (doors, looking) = (self.clone(), clock.clone());
        tasks.spawn("sim-connections", TaskKind::Critical, async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                doors.look(looking.now());
            }
        });
        let doors = self.clone();
        tasks.spawn("sim-overtaken", TaskKind::Critical, async move {
            loop {
                for connection in naming.overtaken_connections().await {
                    doors.doubt(connection, clock.now());
                }
            }
        });
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Answers clients, as far as this node can tell.
    pub fn serves(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.naming.get().is_some_and(|naming| naming.readiness().ready)
    }

    fn note(&self, fact: Fact) {
        self.wire.post(Posted::Noted(fact));
    }

    /// Asks at once, as when somebody newer has registered what it publishes.
    fn doubt(&self, connection: ConnectionId, now: Instant) {
        if let Some(held) = self.connections.lock().get_mut(&connection)
            && held.asked.is_none()
        {
            held.asked = Some(now);
            self.wire.post(Posted::Detects { connection });
        }
    }

    fn look(&self, now: Instant) {
        let serves = self.serves();
        let mut ended = Vec::new();
        for (id, held) in self.connections.lock().iter_mut() {
            let since = |then: Instant| now.saturating_duration_since(then);
            if !serves {
                let sent_away = *held.sent_away.get_or_insert(now);
                if since(sent_away) >= MOVE {
                    ended.push((*id, Ending::Evicted));
                }
                continue;
            }
            held.sent_away = None;
            match held.asked {
                Some(asked) if since(asked) >= DETECTION => ended.push((*id, Ending::Silent)),
                None if since(held.last_active) >= SILENCE => {
                    held.asked = Some(now);
                    self.wire.post(Posted::Detects { connection: *id });
                }
                _ => {}
            }
        }
        for (connection, ending) in ended {
            self.end(connection, ending);
        }
    }

    fn end(&self, connection: ConnectionId, ending: Ending) {
        if self.connections.lock().remove(&connection).is_none() {
            return;
        }
        if let Some(naming) = self.naming.get() {
            naming.connection_ended_by(connection, ending);
        }
        self.note(Fact::ConnectionEnded(connection));
        self.wire.post(Posted::Closes { connection });
    }

    fn active(&self, connection: ConnectionId, now: Instant) -> bool {
        match self.connections.lock().get_mut(&connection) {
            Some(held) => {
                held.last_active = now;
                held.asked = None;
                true
            }
            None => false,
        }
    }

    /// Carries a request out. Runs on the node.
    pub async fn handle(self: Arc<Self>, id: RequestId, request: Request, clock: Clock) {
        let now = clock.now();
        // These two are answered by nobody, and heard whether the node serves or not.
        match request {
            Request::Close(connection) => return self.end(connection, Ending::Closed),
            Request::Alive(connection) => {
                self.active(connection, now);
                return;
            }
            _ => {}
        }
        let reply = match self.naming.get() {
            Some(naming) if self.serves() => self.answer(naming, request, now).await,
            _ => Reply::NotReady,
        };
        self.wire.post(Posted::Replied { request: id, reply });
    }

    async fn answer(&self, naming: &Naming, request: Request, now: Instant) -> Reply {
        let within = |limit: Duration| Context {
            principal: Principal::Anonymous,
            received: now,
            deadline: now + limit,
        };
        let context = within(WRITE_WITHIN);
        match request {
            Request::Register(key, value) => {
                let service = key.service.key();
                let done = naming.register(&context, &service, key.instance(value)).await;
                if done.is_ok() {
                    match key.service.kind() {
                        Kind::Ephemeral => self.note_renewed(naming, key),
                        Kind::Persistent => self.note_read_back(naming, key, Some(value)),
                    }
                }
                done.map_or_else(failed, |_| Reply::Done)
            }
            Request::Deregister(key) => {
                let (service, kind) = (key.service.key(), key.service.kind());
                let done = naming.deregister(&context, &service, &key.instance_key(), kind).await;
                if done.is_ok() {
                    match kind {
                        Kind::Ephemeral => self.note(Fact::Deregistered(key)),
                        Kind::Persistent => self.note_read_back(naming, key, None),
                    }
                }
                done.map_or_else(failed, |_| Reply::Done)
            }
            Request::Beat { key, full } => {
                let beat = match full {
                    Some(value) => Beat::Full(Box::new(key.instance(value))),
                    None => Beat::Light(key.instance_key()),
                };
                match naming.beat(&context, &key.service.key(), beat) {
                    Ok(BeatAnswer::Renewed { .. }) => {
                        self.note_renewed(naming, key);
                        Reply::Done
                    }
                    Ok(BeatAnswer::Unknown { .. }) => Reply::Unknown,
                    Err(error) => failed(error),
                }
            }
            Request::Edit(key, value) => {
                let edit = InstanceEdit {
                    metadata: Some(MetadataEdit::Replace(value_metadata(value))),
                    ..InstanceEdit::default()
                };
                let (service, kind) = (key.service.key(), Some(key.service.kind()));
                let done = naming.edit(&context, &service, &key.instance_key(), kind, edit).await;
                done.map_or_else(failed, |_| Reply::Done)
            }
            Request::Unprobed(service) => unprobed(naming, &context, service).await,
            Request::Read { service, strong } => {
                if strong && let Err(error) = naming.read_barrier(&context).await {
                    return failed(error);
                }
                Reply::List(list_of(service, &naming.snapshot(&service.key())))
            }
            Request::Poll { service, address } => {
                let target = Target::Udp(address);
                let list = self.subscribe(naming, &context, service, target);
                Reply::List(list)
            }
            Request::Connect => {
                let number = self.connected.fetch_add(1, Ordering::Relaxed) + 1;
                let connection = Connection {
                    last_active: now,
                    asked: None,
                    sent_away: None,
                };
                self.connections.lock().insert(ConnectionId(number), connection);
                Reply::Connected(ConnectionId(number))
            }
            Request::HealthCheck(connection)
            | Request::Publish { connection, .. }
            | Request::Withdraw { connection, .. }
            | Request::Watch { connection, .. }
                if !self.active(connection, now) =>
            {
                Reply::Broken
            }
            Request::HealthCheck(_) => Reply::Done,
            Request::Publish {
                connection,
                service,
                instances,
            } => {
                let keys = instances.iter().map(|(key, _)| *key).collect();
                let list = instances.iter().map(|(key, value)| key.instance(*value)).collect();
                match naming.publish(&context, connection, &service.key(), list) {
                    Ok(()) => {
                        self.note(Fact::Published {
                            connection,
                            service,
                            keys,
                        });
                        Reply::Done
                    }
                    Err(error) => failed(error),
                }
            }
            Request::Withdraw { connection, key } => {
                naming.withdraw(&context, connection, &key.service.key(), &key.instance_key());
                self.note(Fact::Deregistered(key));
                Reply::Done
            }
            Request::Watch { connection, service } => {
                let peer = SocketAddr::from(([10, 8, 0, 1], 1_000));
                let target = Target::Connection { id: connection, peer };
                Reply::List(self.subscribe(naming, &context, service, target))
            }
            Request::AddMember(member) => {
                let deadline = within(CHANGE_WITHIN).deadline;
                changed(naming.consensus().add_member(member, deadline).await)
            }
            Request::RemoveMember(member) => {
                let deadline = within(CHANGE_WITHIN).deadline;
                changed(naming.consensus().remove_member(member, deadline).await)
            }
            Request::Close(_) | Request::Alive(_) => Reply::Done,
        }
    }

    fn subscribe(&self, naming: &Naming, context: &Context, service: Service, target: Target) -> List {
        let key = SubscriptionKey {
            service: service.key(),
            clusters: "".into(),
            target,
        };
        let info = SubscriptionInfo {
            agent: "sim".into(),
            app: "".into(),
            datagram_bytes_max: 64 * 1024,
        };
        let (snapshot, _) = naming.subscribe(context, key, info);
        let list = list_of(service, &snapshot);
        self.note(Fact::Shown {
            to: target,
            list: list.clone(),
        });
        list
    }

    fn note_renewed(&self, naming: &Naming, key: Key) {
        let listed = naming.ephemeral().instance(&key.service.key(), &key.instance_key());
        self.note(match listed {
            Some(_) => Fact::Renewed(key),
            None => Fact::Swallowed(key),
        });
    }

    /// A follower acknowledges what the leader has applied, and lists it itself a moment later.
    fn note_read_back(&self, naming: &Naming, key: Key, wrote: Option<u64>) {
        if naming.raft_status().role != Role::Leader {
            return;
        }
        let list = list_of(key.service, &naming.snapshot(&key.service.key()));
        let read = value_in(&list, key);
        self.note(Fact::ReadBack { key, wrote, read });
    }
}

impl Sink for Doors {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        if let Target::Connection { id, .. } = delivery.key.target
            && !self.connections.lock().contains_key(&id)
        {
            return Handed::Unreachable;
        }
        self.wire.post(Posted::Pushed {
            delivery: Box::new(delivery.clone()),
        });
        Handed::Sent
    }
}

/// The value of `key` in a list, if it is there.
pub fn value_in(list: &List, key: Key) -> Option<u64> {
    let listed = list.instances.iter().find(|(port, ..)| *port == key.port);
    listed.map(|(_, _, value)| *value)
}

pub fn list_of(service: Service, snapshot: &ServiceSnapshot) -> List {
    let instances = snapshot.instances.iter();
    List {
        service,
        revision: snapshot.revision,
        stamp_ms: snapshot.stamp_ms,
        instances: instances
            .filter(|instance| instance.kind == service.kind())
            .map(|instance| (instance.key.port, instance.healthy, value_of(instance)))
            .collect(),
    }
}

async fn unprobed(naming: &Naming, context: &Context, service: Service) -> Reply {
    let cluster = ClusterSettings {
        checker: HealthChecker::None,
        ..ClusterSettings::default()
    };
    let settings = ServiceSettings {
        clusters: [(ClusterName::default_cluster(), cluster)].into_iter().collect(),
        ..ServiceSettings::default()
    };
    match naming.create_service(context, &service.key(), settings).await {
        Ok(()) | Err(Error::ServiceExists(_)) => Reply::Done,
        Err(error) => failed(error),
    }
}

fn failed(error: Error) -> Reply {
    match error {
        Error::Consensus(error @ ProposeError::OutcomeUnknown { .. }) => Reply::OutcomeUnknown(error.to_string()),
        Error::InstanceNotFound { .. } | Error::ServiceNotFound(_) => Reply::NotFound,
        other => Reply::Refused(other.to_string()),
    }
}

fn changed(answer: Result<(), MemberChangeError>) -> Reply {
    match answer {
        Ok(()) => Reply::Done,
        Err(MemberChangeError::Propose(error @ ProposeError::OutcomeUnknown { .. })) => {
            Reply::OutcomeUnknown(error.to_string())
        }
        Err(error) => Reply::Refused(error.to_string()),
    }
}
