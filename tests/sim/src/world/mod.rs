//! The world: time, the order of all things, and who is in it.
//!
//! A turn is two milliseconds: the nemesis acts, what has arrived is handed over, clients act, every node that moves is run
//! for as long in its own time in an order that the seed draws, and what nodes posted is sent on its way.

mod assembly;
mod field;
mod node;
pub mod plan;
mod population;
mod traffic;

pub use assembly::Parts;
pub use field::Field;
pub use node::{Node, Running};
pub use plan::{Plan, Weights};

use crate::clients::{Client, Hands, Operator};
use crate::doors::list_of;
use crate::facts::{Facts, Run};
use crate::invariants::{Invariant, Violation, all};
use crate::names::Key;
use crate::nemesis::Nemesis;
use crate::network::{Links, Wire};
use crate::random::Random;
use crate::trace::Trace;
use muster_model::{Member, MemberId};
use population::population;
use std::collections::BTreeMap;
use traffic::Traffic;

/// How far time moves at a turn: not more than the shortest way over the network takes.
const TURN_MS: u64 = 2;
/// How often the invariants look.
const LOOK_EVERY_MS: u64 = 40;
/// Nodes must answer within this after the start of the world.
const FOUNDED_WITHIN_MS: u64 = 20_000;

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
    traffic: Traffic,
    nemesis: Nemesis,
    /// What the nodes that answer list, as of this look.
    listings: BTreeMap<Run, BTreeMap<Key, bool>>,
    order: Random,
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
            traffic: Traffic::new(Random::new(seed, "datagrams")),
            listings: BTreeMap::new(),
            order: Random::new(seed, "order"),
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
            next_request: &mut self.traffic.requests_made,
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

    /// Runs every node that moves for a turn.
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
}
