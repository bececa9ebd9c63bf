//! Whatever the network and the clients do, everybody ends up with the newest.

use super::*;
use proptest::prelude::*;

const CONNECTIONS: u64 = 2;

#[derive(Clone, Debug)]
enum Step {
    Change(usize),
    Poll(usize),
    Subscribe {
        connection: u64,
        service: usize,
        clusters: &'static str,
    },
    Unsubscribe {
        connection: u64,
        service: usize,
    },
    End(u64),
    /// From now on the queues of connections have room, or have none.
    Room(bool),
    Pass(u64),
    /// The n-th datagram or ack on its way arrives; it stays there for a second copy if told so.
    Arrive {
        nth: usize,
        again: bool,
    },
    Lose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let connection = 0..CONNECTIONS;
    let clusters = prop_oneof![Just(""), Just("east")];
    prop_oneof![
        6 => (0_usize..2).prop_map(Step::Change),
        4 => (0_usize..4).prop_map(Step::Poll),
        4 => (connection.clone(), 0_usize..2, clusters)
            .prop_map(|(connection, service, clusters)| Step::Subscribe { connection, service, clusters }),
        1 => (connection.clone(), 0_usize..2)
            .prop_map(|(connection, service)| Step::Unsubscribe { connection, service }),
        1 => connection.prop_map(Step::End),
        2 => any::<bool>().prop_map(Step::Room),
        6 => (1_u64..2_000).prop_map(Step::Pass),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(nth, again)| Step::Arrive { nth, again }),
        4 => any::<usize>().prop_map(Step::Lose),
    ]
}

#[derive(Clone, Debug)]
enum OnItsWay {
    Datagram(Arc<SubscriptionKey>, u64, u64),
    Ack(Target, u64),
}

/// What a subscriber's lists are told apart by: on a connection clusters are not part of it.
fn place(key: &SubscriptionKey) -> SubscriptionKey {
    let clusters = match key.target {
        Target::Udp(_) => key.clusters.clone(),
        Target::Connection { .. } => "".into(),
    };
    SubscriptionKey {
        clusters,
        ..key.clone()
    }
}

/// Real enough clients: some behind a network that loses, doubles and reorders; some on streams that lose nothing, but
/// whose acks may stay away.
struct Net {
    world: World,
    services: Vec<ServiceKey>,
    keys: Vec<SubscriptionKey>,
    /// What each connection subscribes to at present.
    connected: HashMap<(u64, usize), SubscriptionKey>,
    room: bool,
    on_its_way: Vec<OnItsWay>,
    last_sent: HashMap<SubscriptionKey, u64>,
    /// The newest revision each subscriber has heard.
    heard: HashMap<SubscriptionKey, u64>,
    acked: HashMap<SubscriptionKey, u64>,
}

impl Net {
    fn new() -> Self {
        let services = vec![service("a"), service("b")];
        let keys = (0..4)
            .map(|n| subscription(&services[n % 2], 1 + n as u16 / 2))
            .collect();
        Self {
            world: World::new(),
            services,
            keys,
            connected: HashMap::new(),
            room: true,
            on_its_way: Vec::new(),
            last_sent: HashMap::new(),
            heard: HashMap::new(),
            acked: HashMap::new(),
        }
    }

    fn send(&mut self) {
        let room = self.room;
        let outcome = |tried: &Try| match tried.delivery.key.target {
            Target::Connection { .. } if !room => Handed::Busy,
            _ => Handed::Sent,
        };
        for tried in self.world.sent_with(outcome) {
            if outcome(&tried) == Handed::Busy {
                continue;
            }
            let (key, revision, token) = (
                &tried.delivery.key,
                tried.delivery.snapshot.revision,
                tried.delivery.token,
            );
            let place = place(key);
            let last = self.last_sent.insert(place.clone(), revision);
            assert!(
                last.is_none_or(|last| last <= revision),
                "an older list followed a newer"
            );
            assert!(
                self.acked.get(&place).is_none_or(|acked| *acked < revision),
                "an acked list was sent, and no ack of an older one had come since"
            );
            if matches!(key.target, Target::Connection { .. }) {
                self.heard.insert(SubscriptionKey::clone(key), revision);
                self.on_its_way.push(OnItsWay::Ack(key.target, token));
            } else {
                self.on_its_way.push(OnItsWay::Datagram(key.clone(), revision, token));
            }
        }
    }

    fn arrive(&mut self, arriving: OnItsWay) {
        match arriving {
            OnItsWay::Datagram(key, revision, token) => {
                let heard = self.heard.entry(SubscriptionKey::clone(&key)).or_default();
                *heard = (*heard).max(revision);
                self.on_its_way.push(OnItsWay::Ack(key.target, token));
            }
            OnItsWay::Ack(from, token) => {
                let carried = self
                    .world
                    .tokens
                    .iter()
                    .find(|(_, issued)| **issued == token)
                    .map(|(carried, _)| carried.clone());
                let now = self.world.now;
                let matched = match from {
                    Target::Udp(address) => self.world.engine.acked(token, address, now),
                    Target::Connection { id, .. } => self.world.engine.acked_by(token, id, now),
                };
                if let (true, Some((service, revision, _))) = (matched, carried) {
                    let key = SubscriptionKey {
                        service,
                        clusters: "".into(),
                        target: from,
                    };
                    let acked = self.acked.entry(key.clone()).or_default();
                    if revision < *acked {
                        // Java 1.x has applied the older one over it, and is told again.
                        self.acked.remove(&key);
                    } else {
                        *acked = revision;
                    }
                }
                self.world.check();
            }
        }
    }

    fn subscribe(&mut self, number: u64, nth: usize, clusters: &str) {
        let key = connected(&self.services[nth], number, clusters);
        self.world.poll(&key);
        let before = self.connected.insert((number, nth), key.clone());
        if before.is_none_or(|before| before != key) {
            // What was told of other clusters tells nothing of these.
            self.acked.remove(&place(&key));
            self.heard.remove(&key);
        }
    }

    fn unsubscribe(&mut self, number: u64, nth: usize) {
        if let Some(key) = self.connected.remove(&(number, nth)) {
            for past in [&mut self.last_sent, &mut self.acked] {
                past.remove(&place(&key));
            }
            self.heard.remove(&key);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change(n) => {
                let service = self.services[n].clone();
                self.world.change(&service);
            }
            Step::Poll(n) => {
                let key = self.keys[n].clone();
                self.world.poll(&key);
                let told = self.world.list(&key.service).revision;
                let heard = self.heard.entry(key).or_default();
                *heard = (*heard).max(told);
            }
            Step::Subscribe {
                connection,
                service,
                clusters,
            } => self.subscribe(connection, service, clusters),
            Step::Unsubscribe {
                connection: number,
                service,
            } => {
                let had = self.connected.contains_key(&(number, service));
                let ended = self
                    .world
                    .engine
                    .unsubscribe(&self.services[service], connection(number));
                assert_eq!(ended, had);
                self.unsubscribe(number, service);
            }
            Step::End(number) => {
                self.world.engine.end(connection(number));
                for service in 0..self.services.len() {
                    self.unsubscribe(number, service);
                }
            }
            Step::Room(room) => self.room = room,
            Step::Pass(millis) => self.world.pass(millis),
            Step::Arrive { nth, again } if !self.on_its_way.is_empty() => {
                let nth = nth % self.on_its_way.len();
                let arriving = self.on_its_way[nth].clone();
                if !again {
                    self.on_its_way.remove(nth);
                }
                self.arrive(arriving);
            }
            Step::Lose(nth) if !self.on_its_way.is_empty() => {
                self.on_its_way.remove(nth % self.on_its_way.len());
            }
            Step::Arrive { .. } | Step::Lose(_) => {}
        }
        self.send();
    }

    fn everything_arrives(&mut self) {
        while let Some(arriving) = self.on_its_way.pop() {
            self.arrive(arriving);
            self.send();
        }
    }

    fn check_everybody_has_the_newest(&mut self) {
        for key in self.keys.iter().chain(self.connected.values()) {
            assert_eq!(
                self.heard.get(key),
                Some(&self.world.list(&key.service).revision),
                "{key:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_subscriber_converges_on_the_newest_whatever_was_lost_doubled_or_reordered(
        steps in proptest::collection::vec(step(), 1..160)
    ) {
        let mut net = Net::new();
        for n in 0..4 {
            net.step(Step::Poll(n));
        }
        for step in steps {
            net.step(step);
        }
        // Then the network heals and queues empty; who polls does so every 20 s. Whoever had fallen silent waits 30 s at
        // most.
        net.on_its_way.clear();
        net.step(Step::Room(true));
        for _ in 0..3 {
            for n in 0..4 {
                net.step(Step::Poll(n));
            }
            for _ in 0..80 {
                net.everything_arrives();
                net.step(Step::Pass(250));
            }
        }
        net.check_everybody_has_the_newest();
        prop_assert_eq!(net.world.engine.in_flight(), 0);
        // And once healed, a change reaches everybody without a poll.
        net.step(Step::Change(0));
        net.step(Step::Change(1));
        net.everything_arrives();
        net.step(Step::Pass(1_000));
        net.check_everybody_has_the_newest();
        // And when all have gone, nothing is left.
        for number in 0..CONNECTIONS {
            net.step(Step::End(number));
        }
        net.step(Step::Pass(91_000));
        net.world.check_empty();
    }
}
