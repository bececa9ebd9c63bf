//! The rules of one shard beside clients that a fuzz target moves: some behind a network that loses, doubles and reorders,
//! some on streams that lose nothing but whose acks may stay away.

use crate::delivery::Mark;
use crate::engine::{Engine, Try};
use crate::{Config, Handed, SubscriptionInfo, SubscriptionKey, Target};
use muster_model::{ConnectionId, GroupName, NamespaceId, Renders, ServiceKey, ServiceName, ServiceSnapshot};
use muster_runtime::Clock;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One thing that happens. Numbers name one of the few there are, whatever they are.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Change {
        service: u8,
    },
    /// A subscriber at an address asks, and is answered with the newest list.
    Poll {
        subscriber: u8,
    },
    Subscribe {
        connection: u8,
        service: u8,
    },
    Unsubscribe {
        connection: u8,
        service: u8,
    },
    End {
        connection: u8,
    },
    /// From now on handing over comes to this: sent, busy, unreachable.
    Outcome {
        which: u8,
    },
    Pass {
        millis: u16,
    },
    /// The n-th datagram or ack on its way arrives, and stays on its way for a second copy if told so.
    Arrive {
        nth: u8,
        again: bool,
    },
    Lose {
        nth: u8,
    },
    Allow {
        allowed: bool,
    },
    Hurry,
}

const SERVICES: u8 = 2;
const ADDRESSES: u8 = 4;
const CONNECTIONS: u8 = 2;
/// What is on its way at once; more is lost, as in a network.
const ON_ITS_WAY_MAX: usize = 64;

struct OnItsWay {
    key: Arc<SubscriptionKey>,
    revision: u64,
    token: u64,
    is_ack: bool,
}

struct World {
    engine: Engine,
    now: Instant,
    services: Vec<ServiceKey>,
    newest: HashMap<ServiceKey, Arc<ServiceSnapshot>>,
    tokens: HashMap<(ServiceKey, u64), u64>,
    outcome: Handed,
    on_its_way: Vec<OnItsWay>,
    last_sent: HashMap<SubscriptionKey, u64>,
    heard: HashMap<SubscriptionKey, u64>,
}

fn snapshot(service: &ServiceKey, revision: u64) -> Arc<ServiceSnapshot> {
    Arc::new(ServiceSnapshot {
        key: service.clone(),
        revision,
        stamp_ms: revision,
        exists: true,
        instances: Box::default(),
        settings: Arc::default(),
        trace: None,
        renders: Renders::default(),
    })
}

fn info() -> SubscriptionInfo {
    SubscriptionInfo {
        agent: "".into(),
        app: "".into(),
        datagram_bytes_max: 65_507,
    }
}

/// Lets it all happen, then heals the network and sees that everybody has the newest list and nothing is left behind.
///
/// # Panics
/// A promise of the rules is broken.
pub fn run(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.step(*step);
    }
    world.heal();
    world.check_everybody_has_the_newest();
    world.leave();
}

impl World {
    fn new() -> Self {
        let name = |name: &str| {
            let name = ServiceName::parse(name).expect("a name");
            ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name)
        };
        let services: Vec<_> = ["a", "b"].map(name).into();
        let mut engine = Engine::new(Config::default().bounded());
        engine.set_allowed(true);
        Self {
            engine,
            now: Clock::system().now(),
            newest: services.iter().map(|key| (key.clone(), snapshot(key, 1))).collect(),
            services,
            tokens: HashMap::new(),
            outcome: Handed::Sent,
            on_its_way: Vec::new(),
            last_sent: HashMap::new(),
            heard: HashMap::new(),
        }
    }

    fn service(&self, number: u8) -> ServiceKey {
        self.services[usize::from(number % SERVICES)].clone()
    }

    /// Two ports with a subscription to each service.
    fn at_address(&self, number: u8) -> SubscriptionKey {
        let port = 1_000 + u16::from(number % ADDRESSES) / 2;
        SubscriptionKey {
            service: self.service(number),
            clusters: "".into(),
            target: Target::Udp(SocketAddr::from(([127, 0, 0, 1], port))),
        }
    }

    fn on_connection(&self, connection: u8, service: u8) -> SubscriptionKey {
        let number = connection % CONNECTIONS;
        SubscriptionKey {
            service: self.service(service),
            clusters: "".into(),
            target: Target::Connection {
                id: ConnectionId(number.into()),
                peer: SocketAddr::from(([127, 0, 0, 1], 2_000 + u16::from(number))),
            },
        }
    }

    /// Asks, and is answered with the newest list.
    fn ask(&mut self, key: SubscriptionKey) {
        let newest = &self.newest[&key.service];
        let (seen, revision) = (Mark::of(newest), newest.revision);
        if self.engine.renew(&key, &info(), seen, self.now).is_none() {
            let added = self.engine.add(key.clone(), info(), seen, self.now);
            assert!(added.is_some(), "there is room for {key:?}");
        }
        self.hears(&key, revision);
    }

    fn hears(&mut self, key: &SubscriptionKey, revision: u64) {
        let heard = self.heard.entry(key.clone()).or_default();
        *heard = revision.max(*heard);
    }

    fn forget(&mut self, key: &SubscriptionKey) {
        self.heard.remove(key);
        self.last_sent.remove(key);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change { service } => self.change(service),
            Step::Poll { subscriber } => self.ask(self.at_address(subscriber)),
            Step::Subscribe { connection, service } => self.ask(self.on_connection(connection, service)),
            Step::Unsubscribe { connection, service } => {
                let key = self.on_connection(connection, service);
                let id = ConnectionId((connection % CONNECTIONS).into());
                self.engine.unsubscribe(&key.service, id);
                self.forget(&key);
            }
            Step::End { connection } => {
                self.engine.end(ConnectionId((connection % CONNECTIONS).into()));
                (0..SERVICES).for_each(|service| self.forget(&self.on_connection(connection, service)));
            }
            Step::Outcome { which } => {
                let outcomes = [Handed::Sent, Handed::Busy, Handed::Unreachable];
                self.outcome = outcomes[usize::from(which) % outcomes.len()];
            }
            Step::Pass { millis } => self.now += Duration::from_millis(millis.into()),
            Step::Arrive { nth, again } => self.arrive(nth.into(), again),
            Step::Lose { nth } if !self.on_its_way.is_empty() => {
                self.on_its_way.swap_remove(usize::from(nth) % self.on_its_way.len());
            }
            Step::Lose { .. } => {}
            Step::Allow { allowed } => self.engine.set_allowed(allowed),
            Step::Hurry => self.engine.hurry(self.now),
        }
        self.send();
    }

    fn change(&mut self, number: u8) {
        let service = self.service(number);
        let revision = self.newest[&service].revision + 1;
        self.newest.insert(service.clone(), snapshot(&service, revision));
        self.engine.changed(&service, 1, self.now);
    }

    fn arrive(&mut self, nth: usize, again: bool) {
        if self.on_its_way.is_empty() {
            return;
        }
        let arriving = self.on_its_way.swap_remove(nth % self.on_its_way.len());
        let (key, revision, token) = (arriving.key.clone(), arriving.revision, arriving.token);
        match (arriving.is_ack, key.target) {
            (true, Target::Udp(address)) => drop(self.engine.acked(token, address, self.now)),
            (true, Target::Connection { id, .. }) => drop(self.engine.acked_by(token, id, self.now)),
            (false, _) => {
                self.hears(&key, revision);
                self.on_its_way.push(OnItsWay {
                    key,
                    revision,
                    token,
                    is_ack: true,
                });
            }
        }
        if again {
            self.on_its_way.push(arriving);
        }
    }

    /// Carries out what is due.
    fn send(&mut self) {
        loop {
            let due = self.engine.due(64, self.now);
            for (id, service) in &due.tries {
                let newest = self.newest[service].clone();
                let next = self.tokens.len() as u64 + 1;
                let token = *self.tokens.entry((service.clone(), newest.revision)).or_insert(next);
                if let Some(tried) = self.engine.begin(*id, &newest, |_, _| token, self.now) {
                    self.engine.handed(&tried, self.outcome, self.now);
                    self.sent(&tried);
                }
            }
            if !due.more {
                return;
            }
        }
    }

    fn sent(&mut self, tried: &Try) {
        let (key, revision) = (tried.delivery.key.clone(), tried.delivery.snapshot.revision);
        let is_gone = matches!(
            (self.outcome, key.target),
            (Handed::Unreachable, Target::Connection { .. })
        );
        if is_gone {
            self.forget(&key);
        }
        if self.outcome != Handed::Sent {
            return;
        }
        let last = self.last_sent.insert((*key).clone(), revision);
        assert!(last <= Some(revision), "an older list followed a newer one to {key:?}");
        let is_ack = matches!(key.target, Target::Connection { .. });
        if is_ack {
            // A stream has delivered it by the time that it is handed over.
            self.hears(&key, revision);
        }
        self.on_its_way.push(OnItsWay {
            key,
            revision,
            token: tried.delivery.token,
            is_ack,
        });
        if self.on_its_way.len() > ON_ITS_WAY_MAX {
            self.on_its_way.remove(0);
        }
    }

    /// All goes well from now on, for longer than anybody who had fallen silent is left alone; who polls does so every 20 s.
    fn heal(&mut self) {
        self.on_its_way.clear();
        self.outcome = Handed::Sent;
        self.engine.set_allowed(true);
        let pollers: Vec<_> = self
            .heard
            .keys()
            .filter(|key| matches!(key.target, Target::Udp(_)))
            .cloned()
            .collect();
        for _ in 0..3 {
            pollers.iter().for_each(|key| self.ask(key.clone()));
            for _ in 0..80 {
                self.step(Step::Pass { millis: 250 });
                while !self.on_its_way.is_empty() {
                    self.step(Step::Arrive { nth: 0, again: false });
                }
            }
        }
        // Once healed, a change reaches everybody without a poll.
        (0..SERVICES).for_each(|service| self.change(service));
        for _ in 0..8 {
            self.step(Step::Pass { millis: 250 });
            while !self.on_its_way.is_empty() {
                self.step(Step::Arrive { nth: 0, again: false });
            }
        }
    }

    fn check_everybody_has_the_newest(&self) {
        for (key, heard) in &self.heard {
            assert_eq!(*heard, self.newest[&key.service].revision, "{key:?}");
        }
        assert_eq!(self.engine.in_flight(), 0);
    }

    fn leave(&mut self) {
        (0..CONNECTIONS).for_each(|connection| self.step(Step::End { connection }));
        self.step(Step::Pass { millis: u16::MAX });
        self.step(Step::Pass { millis: u16::MAX });
        assert_eq!(self.engine.len(), 0, "a subscription is left");
    }
}
