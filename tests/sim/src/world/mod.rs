//! The world: time, the order of all things, and who is in it.
//!
//! A turn is two milliseconds: the nemesis acts, what has arrived is handed over, clients act, every node that moves is run
//! for as long in its own time in an order that the seed draws, and what nodes posted is sent on its way.

mod assembly;
mod field;
mod node;
pub mod plan;

pub use assembly::Parts;
pub use field::Field;
pub use node::{Node, Running};
pub use plan::{Plan, Weights};

use crate::clients::{Beater, Client, Connected, Hands, Operator, PushedList, Subscriber, Writer};
use crate::doors::list_of;
use crate::facts::{Fact, Facts, Run};
use crate::invariants::{Invariant, Violation, all};
use crate::names::{Key, Service};
use crate::nemesis::Nemesis;
use crate::network::{Answer, Fate, Links, Place, Posted, Travelling, Wire};
use crate::random::Random;
use crate::requests::{Reply, Request, RequestId};
use crate::trace::{Trace, hash_of};
use bytes::Bytes;
use muster_model::{ConnectionId, Member, MemberId};
use muster_push::Target;
use muster_transport::{Error, HandlerError, Route};
use std::collections::BTreeMap;

/// How far time moves at a turn: not more than the shortest way over the network takes.
const TURN_MS: u64 = 2;
/// How often the invariants look.
const LOOK_EVERY_MS: u64 = 40;
/// The members' transport gives a connection up that is silent for 1 s and then 1.5 s more: calls on it have no answer.
const BROKEN_AFTER_MS: u64 = 2_500;
/// Nodes must answer within this after the start of the world.
const FOUNDED_WITHIN_MS: u64 = 20_000;

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
}

/// A call between members that has no answer yet.
struct Calling {
    caller: MemberId,
    callee: MemberId,
    answer: Answer,
    made_ms: u64,
    gone_ms: u64,
}

/// What a run came to.
pub struct Outcome {
    pub violations: Vec<Violation>,
    pub simulated_ms: u64,
    pub hash: u64,
    pub events: u64,
    pub summary: String,
}

pub struct World {
    pub field: Field,
    plan: Plan,
    clients: Vec<Box<dyn Client>>,
    operator: Operator,
    clients_random: Vec<Random>,
    servers: Vec<MemberId>,
    pub facts: Facts,
    travelling: Travelling<Arrival>,
    calls: BTreeMap<u64, Calling>,
    calls_made: u64,
    /// Who asked, and whom.
    requests: BTreeMap<RequestId, (usize, MemberId)>,
    requests_made: u64,
    connections: BTreeMap<(MemberId, ConnectionId), usize>,
    /// When the last thing on a client's connection to a node arrives: it is a stream.
    streams: BTreeMap<(usize, MemberId), u64>,
    /// What arrived at a node that stands still.
    waiting: BTreeMap<MemberId, Vec<Arrival>>,
    nemesis: Nemesis,
    /// What the nodes that answer list, as of this look.
    listings: BTreeMap<Run, BTreeMap<Key, bool>>,
    order: Random,
    datagrams: Random,
    /// When the faults ended.
    pub calm_ms: Option<u64>,
    /// The operator's place among the clients.
    operator_index: usize,
}

impl World {
    pub fn new(seed: u64, plan: Plan, prints: bool) -> Self {
        let member = |id: u64| Member {
            id: MemberId(id),
            client_address: format!("10.0.0.{id}:8848"),
            peer_address: format!("10.0.0.{id}:9849"),
        };
        let founders: Vec<Member> = (1..=plan.members).map(member).collect();
        let spares = (1..=plan.spares).map(|spare| member(plan.members + spare));
        let everybody: Vec<Member> = founders.iter().cloned().chain(spares).collect();
        let nodes: Vec<Node> = everybody
            .iter()
            .map(|member| Node::new(member.clone(), founders.clone(), seed ^ (member.id.0 << 32)))
            .collect();
        let servers: Vec<MemberId> = nodes.iter().map(Node::id).collect();
        let mut random = Random::new(seed, "clients");
        let clients = population(&plan, &servers[..plan.members as usize], &mut random);
        let field = Field {
            now_ms: 0,
            nodes,
            links: Links::new(Random::new(seed, "links")),
            wire: Wire::default(),
            trace: Trace::new(prints),
            random: Random::new(seed, "faults"),
            clients: clients.len(),
            disturbed_ms: 0,
        };
        Self {
            nemesis: Nemesis::new(&plan, Random::new(seed, "nemesis")),
            operator_index: clients.len(),
            clients_random: (0..=clients.len())
                .map(|index| Random::new(seed, &format!("client {index}")))
                .collect(),
            field,
            plan,
            clients,
            operator: Operator::default(),
            servers,
            facts: Facts::default(),
            travelling: Travelling::default(),
            calls: BTreeMap::new(),
            calls_made: 0,
            requests: BTreeMap::new(),
            requests_made: 0,
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            listings: BTreeMap::new(),
            order: Random::new(seed, "order"),
            datagrams: Random::new(seed, "datagrams"),
            calm_ms: None,
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.field.now_ms
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn clients(&self) -> &[Box<dyn Client>] {
        &self.clients
    }

    /// Runs the whole plan; ends at the first violation.
    pub fn run(mut self) -> Outcome {
        let mut invariants = all();
        for index in 0..self.plan.members as usize {
            self.field.start(index);
        }
        let mut violations = self.founding(&mut invariants);
        if violations.is_empty() {
            let faults_until = self.now_ms() + self.plan.faults_ms;
            while violations.is_empty() && self.now_ms() < faults_until {
                violations = self.turn(&mut invariants, true);
            }
        }
        if violations.is_empty() {
            self.calm();
            let ends_ms = self.now_ms() + self.plan.calm_ms;
            while violations.is_empty() && self.now_ms() < ends_ms {
                violations = self.turn(&mut invariants, false);
            }
        }
        if violations.is_empty() {
            violations = invariants
                .iter_mut()
                .filter_map(|invariant| invariant.at_the_end(&self).err())
                .collect();
        }
        for violation in &violations {
            let told = format!("{}: {}", violation.promise, violation.what);
            self.field.trace.note("VIOLATION", &[], || told);
        }
        let facts = &self.facts;
        let summary = format!(
            "{} writes acknowledged, {} refused, {} unknown, {} strong reads, {} beats, {} lists shown, {} lives, {} faults",
            facts.acknowledged_writes,
            facts.refused_writes,
            facts.unknown_writes,
            facts.strong_reads,
            facts.beats,
            facts.lists_shown,
            facts.lives.len(),
            self.nemesis.done(),
        );
        Outcome {
            violations,
            simulated_ms: self.now_ms(),
            hash: self.field.trace.hash(),
            events: self.field.trace.events(),
            summary,
        }
    }

    fn founding(&mut self, invariants: &mut [Box<dyn Invariant>]) -> Vec<Violation> {
        loop {
            let violations = self.turn(invariants, false);
            if !violations.is_empty() {
                return violations;
            }
            let founders = &self.field.nodes[..self.plan.members as usize];
            if founders.iter().all(|node| node.serves().is_some()) {
                return Vec::new();
            }
            if self.now_ms() > FOUNDED_WITHIN_MS {
                return vec![Violation {
                    promise: "founding",
                    what: format!("not all founders answer {FOUNDED_WITHIN_MS} ms after the start"),
                }];
            }
        }
    }

    /// Ends all faults.
    fn calm(&mut self) {
        self.nemesis.end(&mut self.field, &mut self.operator);
        self.calm_ms = Some(self.now_ms());
    }

    fn turn(&mut self, invariants: &mut [Box<dyn Invariant>], faults: bool) -> Vec<Violation> {
        self.field.now_ms += TURN_MS;
        let now_ms = self.field.now_ms;
        self.field.trace.at(now_ms);
        if faults {
            self.nemesis.act(&mut self.field, &mut self.operator);
        }
        self.revive();
        self.deliver();
        self.act();
        self.step();
        self.expire();
        let mut violations: Vec<Violation> = invariants
            .iter_mut()
            .filter_map(|invariant| invariant.at_each_turn(self).err())
            .collect();
        self.facts.fresh.clear();
        if now_ms.is_multiple_of(LOOK_EVERY_MS) {
            violations.extend(self.open());
            self.list();
            let looks = invariants.iter_mut();
            violations.extend(looks.filter_map(|invariant| invariant.look(self).err()));
        }
        violations
    }

    /// Notes which nodes have begun to answer; a node that cannot go on ends, and that must have a reason.
    fn open(&mut self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let now_ms = self.field.now_ms;
        for index in 0..self.field.nodes.len() {
            let node = &mut self.field.nodes[index];
            let serves = node.serves().is_some();
            let Some(running) = &mut node.running else { continue };
            if let Some(why) = running.failure() {
                let id = node.id();
                match self.nemesis.excuse(id) {
                    true => {
                        self.field.lose_power(index);
                        self.nemesis.restart_later(index, now_ms);
                    }
                    false => violations.push(Violation {
                        promise: "a node goes on",
                        what: format!("member {id} ended by itself: {why}"),
                    }),
                }
                continue;
            }
            if serves && running.opened_ms.is_none() {
                running.opened_ms = Some(now_ms);
                node.changed_ms = now_ms;
                let id = node.id();
                self.field.disturb(&format!("open {id}"));
            }
        }
        violations
    }

    /// Starts who was to start again.
    fn revive(&mut self) {
        for index in self.nemesis.due_restarts(self.field.now_ms) {
            self.field.start(index);
        }
    }

    fn deliver(&mut self) {
        let now_ms = self.field.now_ms;
        for index in 0..self.field.nodes.len() {
            let id = self.field.nodes[index].id();
            if self.field.nodes[index].paused_ms.is_none()
                && let Some(arrivals) = self.waiting.remove(&id)
            {
                for arrival in arrivals {
                    self.arrive(arrival);
                }
            }
        }
        while let Some(arrival) = self.travelling.next(now_ms) {
            self.arrive(arrival);
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let to = match &arrival {
            Arrival::Call { to, .. } | Arrival::Request { to, .. } => Some(*to),
            Arrival::Answer { call, .. } => self.calls.get(call).map(|calling| calling.caller),
            Arrival::Ack { to, .. } => Some(to.member),
            _ => None,
        };
        if let Some(to) = to
            && let Some(node) = self.field.node(to)
            && node.paused_ms.is_some()
        {
            self.waiting.entry(to).or_default().push(arrival);
            return;
        }
        match arrival {
            Arrival::Call {
                to,
                call,
                from,
                route,
                body,
            } => self.arrive_call(to, call, from, route, body),
            Arrival::Answer { call, result } => {
                if let Some(calling) = self.calls.remove(&call) {
                    let _ = calling.answer.send(result);
                }
            }
            Arrival::Request {
                to,
                client,
                id,
                request,
            } => self.arrive_request(to, client, id, request),
            Arrival::Reply { id, reply } => {
                if let Some((client, from)) = self.requests.remove(&id) {
                    self.field
                        .trace
                        .note("reply", &[id.0], || format!("{} from {from}: {reply:?}", id.0));
                    self.with_client(client, |client, hands| client.hear(id, reply, hands));
                }
            }
            Arrival::Pushed { from, client, pushed } => {
                let now_ms = self.field.now_ms;
                let acks = self.clients[client].pushed(from, &pushed, now_ms);
                let target = match pushed.connection {
                    Some(id) => Target::Connection {
                        id,
                        peer: ([10, 8, 0, 1], 1_000).into(),
                    },
                    None => Target::Udp(([10, 8, 0, 1], crate::clients::subscriber_port(client)).into()),
                };
                let run = self
                    .field
                    .node(from)
                    .and_then(|node| node.running.as_ref())
                    .map(|running| running.run);
                let lost_per_mille = match pushed.connection {
                    Some(_) => 0,
                    None => self.plan.datagrams_lost_per_mille,
                };
                if let (true, Some(to)) = (acks, run)
                    && !self.datagrams.chance(lost_per_mille)
                    && let Some(at_ms) = self.arrival_ms(client, from)
                {
                    let token = pushed.token;
                    self.travelling.send(at_ms, Arrival::Ack { to, token, target });
                }
            }
            Arrival::Ack { to, token, target } => {
                let node = self.field.node(to.member);
                if let Some(running) = node.and_then(Node::moves).filter(|running| running.run == to) {
                    running.within(|parts| match target {
                        Target::Udp(from) => parts.core.push.acked(token, from),
                        Target::Connection { id, .. } => parts.core.push.acked_by(token, id),
                    });
                }
            }
            Arrival::Detects {
                from,
                client,
                connection,
            } => {
                if self.clients[client].asked(from, connection) {
                    let id = self.next_request();
                    let request = Request::Alive(connection);
                    self.send_request(client, id, from, request, 0);
                }
            }
            Arrival::Closes {
                from,
                client,
                connection,
            } => {
                let now_ms = self.field.now_ms;
                self.clients[client].closed(from, connection, now_ms);
            }
        }
    }

    fn arrive_call(&mut self, to: MemberId, call: u64, from: MemberId, route: Route, body: Bytes) {
        self.field
            .trace
            .note("call", &[from.0, to.0, route as u64, call, hash_of(&body)], || {
                format!("{from} -> {to} {route:?} #{call}, {} bytes", body.len())
            });
        let Some(running) = self.field.node(to).and_then(Node::moves) else {
            // A machine that runs refuses for a process that does not; one that is off says nothing.
            if self.field.random.chance(500) {
                let result = Err(Error::Unreachable {
                    member: to,
                    reason: "connection refused".into(),
                });
                self.send_answer(to, call, result);
            }
            return;
        };
        let wire = self.field.wire.clone();
        running.serve_call(from, route, body, move |result| {
            let result = result.map_err(|error| match error {
                HandlerError::NotReady => Error::NotReady(to),
                HandlerError::Failed(text) => Error::Failed { member: to, text },
            });
            wire.post(Posted::Answered { call, result });
        });
    }

    fn arrive_request(&mut self, to: MemberId, client: usize, id: RequestId, request: Request) {
        self.field.trace.note("request", &[client as u64, to.0, id.0], || {
            format!("client {client} -> {to} {} {request:?}", id.0)
        });
        match self.field.node(to).and_then(Node::moves) {
            Some(running) => running.serve_request(id, request),
            None => {
                if self.field.random.chance(700) {
                    self.send_reply(to, id, Reply::NoListener);
                }
            }
        }
    }

    /// Lets clients act that want to.
    fn act(&mut self) {
        let now_ms = self.field.now_ms;
        for index in 0..=self.clients.len() {
            let wakes_ms = match index == self.operator_index {
                true => self.operator.wakes_ms(),
                false => self.clients[index].wakes_ms(),
            };
            if wakes_ms <= now_ms {
                self.with_client(index, |client, hands| client.act(hands));
            }
        }
        for change in std::mem::take(&mut self.operator.done) {
            self.nemesis.changed(&mut self.field, change);
        }
    }

    fn with_client(&mut self, index: usize, call: impl FnOnce(&mut dyn Client, &mut Hands<'_>)) {
        let mut sent = Vec::new();
        let mut hands = Hands {
            now_ms: self.field.now_ms,
            random: &mut self.clients_random[index],
            facts: &mut self.facts,
            servers: &self.servers,
            sent: &mut sent,
            next_request: &mut self.requests_made,
            calm: self.calm_ms.is_some(),
        };
        match index == self.operator_index {
            true => call(&mut self.operator, &mut hands),
            false => call(&mut *self.clients[index], &mut hands),
        }
        for (id, to, request, late_ms) in sent {
            self.send_request(index, id, to, request, late_ms);
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.requests_made += 1;
        RequestId(self.requests_made)
    }

    fn send_request(&mut self, client: usize, id: RequestId, to: MemberId, request: Request, late_ms: u64) {
        self.requests.insert(id, (client, to));
        let Some(mut at_ms) = self.arrival_ms(client, to) else {
            return;
        };
        at_ms += late_ms;
        if request.is_streamed() {
            let last = self.streams.entry((client, to)).or_default();
            at_ms = at_ms.max(*last);
            *last = at_ms;
        }
        self.travelling.send(
            at_ms,
            Arrival::Request {
                to,
                client,
                id,
                request,
            },
        );
    }

    /// When something that a client sends now arrives, if it does.
    fn arrival_ms(&mut self, client: usize, to: MemberId) -> Option<u64> {
        match self.field.links.fate(Place::Client(client), Place::Member(to)) {
            Fate::Arrives { after_ms, .. } => Some(self.field.now_ms + after_ms),
            Fate::Lost => None,
        }
    }

    fn send_reply(&mut self, from: MemberId, id: RequestId, reply: Reply) {
        let Some(&(client, _)) = self.requests.get(&id) else {
            return;
        };
        if let Reply::Connected(connection) = &reply {
            self.connections.insert((from, *connection), client);
        }
        if let Fate::Arrives { after_ms, .. } = self.field.links.fate(Place::Member(from), Place::Client(client)) {
            self.travelling
                .send(self.field.now_ms + after_ms, Arrival::Reply { id, reply });
        }
    }

    fn send_answer(&mut self, from: MemberId, call: u64, result: Result<Bytes, Error>) {
        let Some(calling) = self.calls.get(&call) else { return };
        let fate = self
            .field
            .links
            .fate(Place::Member(from), Place::Member(calling.caller));
        if let Fate::Arrives { after_ms, .. } = fate {
            self.travelling
                .send(self.field.now_ms + after_ms, Arrival::Answer { call, result });
        }
    }

    /// Runs every node that moves for a millisecond.
    fn step(&mut self) {
        let mut order: Vec<usize> = (0..self.field.nodes.len()).collect();
        self.order.shuffle(&mut order);
        for index in order {
            let Some(running) = self.field.nodes[index].moves() else {
                continue;
            };
            let run = running.run;
            running.step(TURN_MS);
            for posted in self.field.wire.take() {
                self.posted(run, posted);
            }
        }
    }

    fn posted(&mut self, run: Run, posted: Posted) {
        let now_ms = self.field.now_ms;
        match posted {
            Posted::Call {
                from,
                to,
                route,
                body,
                within,
                answer,
            } => {
                self.calls_made += 1;
                let call = self.calls_made;
                let calling = Calling {
                    caller: from,
                    callee: to,
                    answer,
                    made_ms: now_ms,
                    gone_ms: now_ms + within.as_millis() as u64 + 10,
                };
                self.calls.insert(call, calling);
                if let Fate::Arrives {
                    after_ms,
                    again_after_ms,
                } = self.field.links.fate(Place::Member(from), Place::Member(to))
                {
                    let arrival = || Arrival::Call {
                        to,
                        call,
                        from,
                        route,
                        body: body.clone(),
                    };
                    self.travelling.send(now_ms + after_ms, arrival());
                    if let Some(again_after_ms) = again_after_ms {
                        self.travelling.send(now_ms + again_after_ms, arrival());
                    }
                }
            }
            Posted::Answered { call, result } => self.send_answer(run.member, call, result),
            Posted::Replied { request, reply } => self.send_reply(run.member, request, reply),
            Posted::Pushed { delivery } => self.push(run, *delivery),
            Posted::Detects { connection } => {
                self.tell_client(run.member, connection, |from, client| Arrival::Detects {
                    from,
                    client,
                    connection,
                });
            }
            Posted::Closes { connection } => {
                self.tell_client(run.member, connection, |from, client| Arrival::Closes {
                    from,
                    client,
                    connection,
                });
                self.connections.remove(&(run.member, connection));
            }
            Posted::Noted(fact) => {
                self.field
                    .trace
                    .note("fact", &[run.member.0], || format!("at {}: {fact:?}", run.member));
                self.facts.take(run, fact, now_ms);
            }
        }
    }

    fn tell_client(&mut self, from: MemberId, connection: ConnectionId, arrival: impl Fn(MemberId, usize) -> Arrival) {
        let Some(&client) = self.connections.get(&(from, connection)) else {
            return;
        };
        if let Fate::Arrives { after_ms, .. } = self.field.links.fate(Place::Member(from), Place::Client(client)) {
            self.travelling
                .send(self.field.now_ms + after_ms, arrival(from, client));
        }
    }

    fn push(&mut self, run: Run, delivery: muster_push::Delivery) {
        let Some(service) = self.plan.service_of(&delivery.key.service) else {
            return;
        };
        let list = list_of(service, &delivery.snapshot);
        let target = delivery.key.target;
        self.facts.take(
            run,
            Fact::Shown {
                to: target,
                list: list.clone(),
            },
            self.field.now_ms,
        );
        let (client, connection) = match target {
            Target::Udp(address) => (crate::clients::subscriber_of(address.port()), None),
            Target::Connection { id, .. } => match self.connections.get(&(run.member, id)) {
                Some(client) => (*client, Some(id)),
                None => return,
            },
        };
        let pushed = PushedList {
            list,
            token: delivery.token,
            connection,
        };
        let copies = match connection {
            Some(_) => 1,
            None if self.datagrams.chance(self.plan.datagrams_lost_per_mille) => 0,
            None if self.datagrams.chance(self.plan.datagrams_lost_per_mille) => 2,
            None => 1,
        };
        for _ in 0..copies {
            let fate = self.field.links.fate(Place::Member(run.member), Place::Client(client));
            let Fate::Arrives { after_ms, .. } = fate else { continue };
            let mut at_ms = self.field.now_ms + after_ms;
            if connection.is_none() && self.datagrams.chance(self.plan.datagrams_lost_per_mille) {
                at_ms += self.datagrams.between(20, 400);
            }
            self.travelling.send(
                at_ms,
                Arrival::Pushed {
                    from: run.member,
                    client,
                    pushed: Box::new(pushed.clone()),
                },
            );
        }
    }

    /// Reads what every node that answers lists.
    fn list(&mut self) {
        self.listings.clear();
        for running in self.field.nodes.iter().filter_map(Node::serves) {
            let mut listing = BTreeMap::new();
            for service in self.plan.services() {
                let list = running.within(|parts| list_of(service, &parts.core.naming.snapshot(&service.key())));
                for (port, healthy, _) in list.into_iter().flat_map(|list| list.instances) {
                    listing.insert(Key { service, port }, healthy);
                }
            }
            self.listings.insert(running.run, listing);
        }
    }

    /// Whether a node that answers lists an instance to its clients, and as healthy.
    pub fn listed(&self, run: Run, key: Key) -> Option<bool> {
        self.listings.get(&run)?.get(&key).copied()
    }

    /// Ends calls whose connection is broken: by a link that is bad or was, or by an end that stopped or stands still.
    fn expire(&mut self) {
        let now_ms = self.field.now_ms;
        if !now_ms.is_multiple_of(100) {
            return;
        }
        self.calls.retain(|_, calling| calling.gone_ms > now_ms);
        let field = &self.field;
        let broken = |calling: &Calling| {
            let ends = (Place::Member(calling.caller), Place::Member(calling.callee));
            let sound = field.links.sound_since(ends.0, ends.1);
            let stopped = field
                .node(calling.callee)
                .is_none_or(|node| node.moves().is_none() || node.changed_ms > calling.made_ms);
            stopped || sound.is_none_or(|since_ms| since_ms > calling.made_ms)
        };
        let due = |calling: &Calling| now_ms >= calling.made_ms + BROKEN_AFTER_MS && broken(calling);
        let ended: Vec<(u64, MemberId)> = self
            .calls
            .iter()
            .filter(|(_, calling)| due(calling))
            .map(|(call, calling)| (*call, calling.callee))
            .collect();
        for (call, member) in ended {
            let result = Err(Error::NoAnswer {
                member,
                reason: "the connection broke".into(),
            });
            self.arrive(Arrival::Answer { call, result });
        }
    }
}

/// Who uses the cluster.
fn population(plan: &Plan, servers: &[MemberId], random: &mut Random) -> Vec<Box<dyn Client>> {
    let mut clients: Vec<Box<dyn Client>> = Vec::new();
    let server = |random: &mut Random| *random.pick(servers);
    for number in 0..plan.beaters {
        let service = Service::Ephemeral((number % plan.ephemeral_services) as u16);
        let (stays, light) = (random.chance(350), random.chance(400));
        clients.push(Box::new(Beater::new(
            clients.len(),
            service,
            server(random),
            stays,
            light,
        )));
    }
    for number in 0..plan.connected {
        let service = Service::Ephemeral((number % plan.ephemeral_services) as u16);
        let stays = random.chance(400);
        clients.push(Box::new(Connected::new(clients.len(), service, server(random), stays)));
    }
    for number in 0..plan.subscribers {
        let service = match number % 3 {
            2 => Service::Persistent((number % plan.persistent_services) as u16),
            _ => Service::Ephemeral((number % plan.ephemeral_services) as u16),
        };
        clients.push(Box::new(Subscriber::new(clients.len(), service, server(random))));
    }
    for number in 0..plan.writers {
        let service = Service::Persistent((number % plan.persistent_services) as u16);
        clients.push(Box::new(Writer::new(clients.len(), service, server(random))));
    }
    clients
}
