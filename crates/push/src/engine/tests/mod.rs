//! An engine by hand, with its stores and its clock.

mod addresses;
mod connections;
mod convergence;
mod crowds;
mod java_clients;

use super::subscribers::SERVICES_PER_RECIPIENT_MAX;
use super::*;
use crate::delivery::Mark;
use crate::{Handed, Subscribed, SubscriptionInfo, Target};
use muster_model::{GroupName, Host, Instance, InstanceKey, Kind, NamespaceId, Renders, ServiceName, ServiceSnapshot};
use muster_runtime::Clock;
use std::time::Duration;

fn service(name: &str) -> ServiceKey {
    ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        ServiceName::parse(name).unwrap(),
    )
}

fn snapshot(service: &ServiceKey, revision: u64, instances: usize) -> Arc<ServiceSnapshot> {
    let one = Arc::new(Instance::new(
        InstanceKey::new(Host::parse("10.0.0.1").unwrap(), 80),
        Kind::Ephemeral,
    ));
    Arc::new(ServiceSnapshot {
        key: service.clone(),
        revision,
        stamp_ms: revision,
        exists: true,
        instances: (0..instances).map(|_| one.clone()).collect(),
        settings: Arc::default(),
        trace: None,
        renders: Renders::default(),
    })
}

fn target(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn subscription(service: &ServiceKey, port: u16) -> SubscriptionKey {
    SubscriptionKey {
        service: service.clone(),
        clusters: "".into(),
        target: Target::Udp(target(port)),
    }
}

fn connection(number: u64) -> ConnectionId {
    ConnectionId(number)
}

/// A subscription of a connection.
fn connected(service: &ServiceKey, number: u64, clusters: &str) -> SubscriptionKey {
    let port = 10_000 + number as u16;
    SubscriptionKey {
        service: service.clone(),
        clusters: clusters.into(),
        target: Target::Connection {
            id: connection(number),
            peer: target(port),
        },
    }
}

fn info() -> SubscriptionInfo {
    SubscriptionInfo {
        agent: "Nacos-Java-Client:v1.4.6".into(),
        app: "unknown".into(),
        datagram_bytes_max: 65_507,
    }
}

/// An engine, the stores it would ask, and a clock that stands still until told.
struct World {
    engine: Engine,
    now: Instant,
    newest: HashMap<ServiceKey, Arc<ServiceSnapshot>>,
    next_token: u64,
    /// Tokens shared by the deliveries of one list, as the door hands them out.
    tokens: HashMap<(ServiceKey, u64, Box<str>), u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self::closed();
        world.engine.set_allowed(true);
        world
    }

    fn closed() -> Self {
        Self {
            engine: Engine::new(Config::default().bounded()),
            now: Clock::system().now(),
            newest: HashMap::new(),
            next_token: 1,
            tokens: HashMap::new(),
        }
    }

    fn list(&mut self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        self.newest
            .entry(service.clone())
            .or_insert_with(|| snapshot(service, 1, 1))
            .clone()
    }

    /// A poll, answered with the newest list.
    fn poll(&mut self, key: &SubscriptionKey) -> Subscribed {
        let seen = Mark::of(&self.list(&key.service));
        match self.engine.renew(key, &info(), seen, self.now) {
            Some(answer) => answer,
            None => self.engine.add(key.clone(), info(), seen, self.now).unwrap(),
        }
    }

    fn set_list(&mut self, service: &ServiceKey, instances: usize) {
        let revision = self.list(service).revision + 1;
        self.newest
            .insert(service.clone(), snapshot(service, revision, instances));
        self.engine.changed(service, 1, self.now);
    }

    fn change(&mut self, service: &ServiceKey) {
        self.set_list(service, 1);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Carries out what is due; the network says `outcome` to each.
    fn sent_with(&mut self, outcome: impl Fn(&Try) -> Handed) -> Vec<Try> {
        let mut sent = Vec::new();
        loop {
            let due = self.engine.due(64, self.now);
            for (id, service) in &due.tries {
                let newest = self.list(service);
                let (tokens, next) = (&mut self.tokens, &mut self.next_token);
                let token = |list: &ServiceSnapshot, clusters: &str| {
                    *tokens
                        .entry((list.key.clone(), list.revision, clusters.into()))
                        .or_insert_with(|| {
                            *next += 1;
                            *next
                        })
                };
                if let Some(tried) = self.engine.begin(*id, &newest, token, self.now) {
                    self.engine.handed(&tried, outcome(&tried), self.now);
                    sent.push(tried);
                }
            }
            self.check();
            if !due.more {
                return sent;
            }
        }
    }

    /// The same; the network says `outcome` to all of it.
    fn sent_as(&mut self, outcome: Handed) -> Vec<Try> {
        self.sent_with(|_| outcome)
    }

    fn sent(&mut self) -> Vec<Try> {
        self.sent_as(Handed::Sent)
    }

    fn ack(&mut self, tried: &Try) -> bool {
        let token = tried.delivery.token;
        let acked = match tried.delivery.key.target {
            Target::Udp(address) => self.engine.acked(token, address, self.now),
            Target::Connection { id, .. } => self.engine.acked_by(token, id, self.now),
        };
        self.check();
        acked
    }

    /// What must hold between any two calls.
    fn check(&self) {
        let engine = &self.engine;
        if engine.len() > 16 {
            return; // Costs the square of it, and the rules are the same.
        }
        let tokens: usize = engine.subscriptions.values().map(|s| s.sent.len()).sum();
        assert_eq!(engine.tokens.len(), tokens);
        let of_addresses: usize = engine.addresses.values().map(|a| a.subscriptions.len()).sum();
        let of_connections: usize = engine.connections.values().map(HashMap::len).sum();
        let of_services: usize = engine.services.values().map(|s| s.subscriptions.len()).sum();
        assert_eq!(
            (engine.by_key.len(), engine.expiries.len()),
            (of_addresses, of_addresses)
        );
        assert_eq!(
            (of_addresses + of_connections, of_services),
            (engine.len(), engine.len())
        );
        let held = engine
            .subscriptions
            .iter()
            .filter_map(|(id, s)| s.held_until.map(|until| (until, *id)));
        assert_eq!(engine.holds, held.collect());
        assert!(engine.merges.len() <= engine.services.len());
        for (id, subscription) in &engine.subscriptions {
            assert!(
                subscription
                    .told
                    .is_none_or(|told| !told.is_newer_than(subscription.shown))
            );
            let tries_max = engine.config.retries.len().max(engine.config.stream_retries.len()) + 1;
            assert!(subscription.sent.len() <= tries_max);
            let waits = engine.ack_waits.iter().filter(|(_, waiting)| waiting == id).count();
            match subscription.in_flight {
                Some(_) if !subscription.queued => assert_eq!(waits, 1),
                Some(_) => assert!(waits <= 1),
                None => assert_eq!(waits, 0),
            }
        }
    }
}

impl World {
    fn check_empty(&mut self) {
        self.engine.due(64, self.now);
        self.engine.take_abandoned();
        let engine = &self.engine;
        assert_eq!((engine.len(), engine.in_flight()), (0, 0));
        assert!(engine.by_key.is_empty() && engine.connections.is_empty());
        assert!(engine.services.is_empty() && engine.addresses.is_empty() && engine.tokens.is_empty());
        assert!(engine.merges.is_empty() && engine.expiries.is_empty() && engine.holds.is_empty());
        assert!(engine.ready.is_empty() && engine.abandoned.is_empty());
    }
}

fn revisions(sent: &[Try]) -> Vec<u64> {
    sent.iter().map(|tried| tried.delivery.snapshot.revision).collect()
}
