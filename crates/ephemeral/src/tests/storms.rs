//! Whatever connections, clients that beat, operators and the network do: in the end all list what lives, and no more.

use super::cluster::*;
use crate::{Beat, Config, Ending};
use muster_model::{ConnectionId, InstanceEdit, MemberId, Weight};
use muster_transport::memory::Network;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

const NODES: usize = 3;
const PORTS: u16 = 5;
const CONNECTIONS: u64 = 6;

#[derive(Clone, Debug)]
enum Act {
    /// A connection of the node its number names; after its end its place is taken by a new one.
    Publish {
        place: u64,
        ports: BTreeSet<u16>,
        weight: u8,
    },
    Withdraw {
        place: u64,
        named: u16,
    },
    End {
        place: u64,
        how: Ending,
    },
    /// A client's node is cut off; it publishes at another one, and its first connection is found dead before the healing.
    Flee {
        from: u64,
        to: u64,
        port: u16,
        how: Ending,
    },
    /// A client's connection breaks unseen; it publishes over another, and leaves.
    Return {
        from: u64,
        to: u64,
        port: u16,
    },
    /// A client begins to beat at a node.
    Begin {
        port: u16,
        node: usize,
    },
    /// It falls silent.
    Silence {
        port: u16,
    },
    /// It leaves by name, or an operator throws it out.
    Deregister {
        port: u16,
        node: usize,
    },
    Edit {
        port: u16,
        node: usize,
        weight: u8,
    },
    /// A node dies with its connections and starts again; its clients that beat go to the next one.
    Restart {
        node: usize,
    },
    Isolate {
        node: usize,
    },
    Heal,
    Wait {
        ms: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let (place, port, node) = (0..CONNECTIONS, 1..=PORTS, 0..NODES);
    let ports = prop::collection::btree_set(1..=PORTS, 0..4);
    let how = prop_oneof![Just(Ending::Closed), Just(Ending::Silent), Just(Ending::Evicted)];
    prop_oneof![
        6 => (place.clone(), ports, 1u8..3).prop_map(|(place, ports, weight)| Act::Publish { place, ports, weight }),
        1 => (place.clone(), port.clone()).prop_map(|(place, named)| Act::Withdraw { place, named }),
        3 => (place.clone(), how.clone()).prop_map(|(place, how)| Act::End { place, how }),
        2 => (place.clone(), place.clone(), port.clone(), how)
            .prop_map(|(from, to, port, how)| Act::Flee { from, to, port, how }),
        1 => (place.clone(), place, port.clone()).prop_map(|(from, to, port)| Act::Return { from, to, port }),
        2 => (port.clone(), node.clone()).prop_map(|(port, node)| Act::Begin { port, node }),
        1 => port.clone().prop_map(|port| Act::Silence { port }),
        1 => (port.clone(), node.clone()).prop_map(|(port, node)| Act::Deregister { port, node }),
        1 => (port, node.clone(), 3u8..9).prop_map(|(port, node, weight)| Act::Edit { port, node, weight }),
        1 => node.clone().prop_map(|node| Act::Restart { node }),
        1 => node.prop_map(|node| Act::Isolate { node }),
        1 => Just(Act::Heal),
        2 => prop_oneof![3 => 1u64..100, 1 => Just(7_000u64), 1 => Just(40_000u64)].prop_map(|ms| Act::Wait { ms }),
    ]
}

/// The acts that an act is made of.
fn simple(act: Act) -> Vec<Act> {
    let publish = |place, port| Act::Publish {
        place,
        ports: [port].into(),
        weight: 1,
    };
    let wait = |ms| Act::Wait { ms };
    match act {
        Act::Flee { from, to, port, how } => {
            let node = from as usize % NODES;
            let fled = [
                publish(from, port),
                wait(1_500),
                Act::Isolate { node },
                publish(to, port),
            ];
            let healed = [
                wait(2_000),
                Act::End { place: from, how },
                wait(500),
                Act::Heal,
                wait(3_000),
            ];
            fled.into_iter().chain(healed).collect()
        }
        Act::Return { from, to, port } => {
            let withdraw = Act::Withdraw { place: to, named: port };
            vec![
                publish(from, port),
                wait(1_000),
                publish(to, port),
                wait(1_500),
                withdraw,
            ]
        }
        act => vec![act],
    }
}

struct World {
    network: Network,
    began: Instant,
    nodes: Vec<TestNode>,
    /// The number of the connection that is in each place now; numbers are never used again.
    connections: Vec<u64>,
    /// What the connection in each place said last.
    published: Vec<BTreeSet<u16>>,
    /// Of that, what was deregistered by name since: who was cut off may have missed it and hold on to it.
    ordered_out: Vec<BTreeSet<u16>>,
    /// Clients that beat, and where.
    beating: BTreeMap<u16, usize>,
    model: Model,
}

/// Who must be listed where, as far as that can be told for certain from what was done.
struct Model {
    /// The connection whose registration is the newest, and since when. Of a port that is in doubt there is none, until
    /// somebody publishes it again.
    owners: BTreeMap<u16, (u64, Instant)>,
    /// When something else was said of a port last.
    said: BTreeMap<u16, Instant>,
    /// Ports of which somebody who was cut off may hear such a thing late.
    doubted: BTreeSet<u16>,
    cut: BTreeSet<usize>,
    /// When each node was last cut off, healed or restarted.
    changed: Vec<Instant>,
}

impl Model {
    /// A change is on all nodes after some milliseconds.
    const COPIED: Duration = Duration::from_secs(1);
    /// After a healing stores are equal again within ten seconds.
    const REPAIRED: Duration = Duration::from_secs(12);

    fn new(began: Instant) -> Self {
        Self {
            owners: BTreeMap::new(),
            said: BTreeMap::new(),
            doubted: BTreeSet::new(),
            cut: BTreeSet::new(),
            changed: vec![began.checked_sub(Self::REPAIRED).unwrap(); NODES],
        }
    }

    fn change(&mut self, nodes: impl IntoIterator<Item = usize>) {
        for node in nodes {
            self.changed[node] = Instant::now();
        }
        let late = self.said.iter().filter(|(_, at)| at.elapsed() < Self::COPIED);
        self.doubted.extend(late.map(|(port, _)| *port));
    }

    /// Whether all have heard all that was said up to now.
    fn is_settled(&self) -> bool {
        self.cut.is_empty() && self.changed.iter().all(|at| at.elapsed() >= Self::REPAIRED)
    }

    fn disown(&mut self, port: u16) {
        self.owners.remove(&port);
        self.said.insert(port, Instant::now());
        if !self.is_settled() {
            self.doubted.insert(port);
        }
    }

    /// Whether the node has certainly heard of the newest registration of a port, and of nothing against it.
    fn knows(&self, node: usize, port: u16) -> bool {
        let Some((place, since)) = self.owners.get(&port) else {
            return false;
        };
        let owner = *place as usize % NODES;
        if self.doubted.contains(&port) {
            return false;
        }
        if node == owner {
            return true;
        }
        let reachable = [node, owner]
            .iter()
            .all(|end| !self.cut.contains(end) && self.changed[*end].elapsed() >= Self::REPAIRED);
        reachable && since.elapsed() >= Self::COPIED
    }
}

impl World {
    fn node_of(&self, place: u64) -> &TestNode {
        &self.nodes[place as usize % NODES]
    }

    fn connection(&self, place: u64) -> ConnectionId {
        ConnectionId(self.connections[place as usize])
    }

    async fn play(&mut self, act: Act) {
        let s = service("a");
        let gone = self.foresee(&act);
        self.guard();
        match act {
            Act::Flee { .. } | Act::Return { .. } => unreachable!("made of simple ones"),
            Act::Publish { place, ports, weight } => {
                let list = ports.iter().map(|port| {
                    let mut instance = instance(*port);
                    instance.weight = Weight::new(weight.into()).unwrap();
                    instance
                });
                let published = self
                    .node_of(place)
                    .store
                    .publish(self.connection(place), &s, list.collect());
                published.unwrap();
                self.ordered_out[place as usize].retain(|port| !ports.contains(port));
                self.published[place as usize] = ports;
            }
            Act::Withdraw { place, named } => {
                let store = &self.node_of(place).store;
                store.withdraw(self.connection(place), &s, &key(named));
                self.published[place as usize].clear();
            }
            Act::End { place, how } => {
                self.node_of(place).store.end_by(self.connection(place), how);
                self.connections[place as usize] += CONNECTIONS;
                self.published[place as usize].clear();
            }
            Act::Begin { port, node } => {
                self.nodes[node].store.register(&s, instance(port)).unwrap();
                self.beating.insert(port, node);
            }
            Act::Silence { port } => drop(self.beating.remove(&port)),
            Act::Deregister { port, node } => {
                self.beating.remove(&port);
                self.ordered_out.iter_mut().for_each(|out| {
                    out.insert(port);
                });
                self.nodes[node].store.deregister(&s, &key(port));
            }
            Act::Edit { port, node, weight } => {
                let edit = InstanceEdit {
                    weight: Some(Weight::new(weight.into()).unwrap()),
                    ..InstanceEdit::default()
                };
                // Nobody may be there.
                let _ = self.nodes[node].store.edit(&s, &key(port), edit);
            }
            Act::Restart { node } => self.restart(node).await,
            Act::Isolate { node } => self.network.isolate(MemberId(node as u64 + 1)),
            Act::Heal => self.network.heal(),
            Act::Wait { ms } => self.wait(ms).await,
        }
        // The next act is later on every clock.
        millis(1).await;
        if !gone.is_empty() {
            millis(100).await;
            for node in &self.nodes {
                let back: Vec<_> = node.ports(&s).into_iter().filter(|port| gone.contains(port)).collect();
                assert!(
                    back.is_empty(),
                    "{back:?} was taken away by its owner, and is listed at {}",
                    node.id
                );
            }
        }
        self.guard();
    }

    /// What the act means for who must be listed; of these, those that must be gone right after it.
    fn foresee(&mut self, act: &Act) -> BTreeSet<u16> {
        let mut gone = BTreeSet::new();
        match act {
            Act::Publish { place, ports, .. } => {
                let left_out = &self.published[*place as usize] - ports;
                gone = self.take_away(*place, &left_out);
                let node = *place as usize % NODES;
                for port in ports {
                    let owner = self.model.owners.get(port).map(|(owner, _)| *owner);
                    let heard =
                        owner.is_some_and(|owner| owner as usize % NODES == node || self.model.knows(node, *port));
                    // Saying the same again is no newer registration for who has not heard of another one meanwhile.
                    if self.published[*place as usize].contains(port) && !heard {
                        self.model.disown(*port);
                    } else {
                        self.model.owners.insert(*port, (*place, Instant::now()));
                    }
                }
            }
            Act::Withdraw { place, named } => {
                let all = self.published[*place as usize].clone();
                gone = self.take_away(*place, &all);
                // One that publishes nothing ends a claim that may be somebody's, who takes it back.
                self.model.disown(*named);
            }
            Act::End { place, .. } => {
                let contested = self.published[*place as usize].clone();
                for port in contested
                    .into_iter()
                    .filter(|port| self.is_contested(*port))
                    .collect::<Vec<_>>()
                {
                    self.model.disown(port);
                }
                self.model.owners.retain(|_, (owner, _)| owner != place);
                self.bequeath(*place);
            }
            Act::Restart { node } => {
                self.model.change(0..NODES);
                self.model.cut.clear();
                let down = *node as u64;
                self.model.owners.retain(|_, (owner, _)| *owner % NODES as u64 != down);
            }
            Act::Begin { port, .. } | Act::Silence { port } | Act::Deregister { port, .. } => self.model.disown(*port),
            // Of what was there before the newest registration it says who held it then.
            Act::Edit { port, node, .. } if !self.model.knows(*node, *port) => self.model.disown(*port),
            Act::Isolate { node } => {
                self.model.change([*node]);
                self.model.cut.insert(*node);
            }
            Act::Heal => {
                let cut = std::mem::take(&mut self.model.cut);
                self.model.change(cut);
            }
            Act::Edit { .. } | Act::Wait { .. } | Act::Flee { .. } | Act::Return { .. } => {}
        }
        gone
    }

    /// Whether another living connection than the newest publishes the port, and members may have heard of them in another
    /// order: it takes back what it thinks gone, so either may hold the record now (ADR 007).
    fn is_contested(&self, port: u16) -> bool {
        let Some((owner, since)) = self.model.owners.get(&port) else {
            return false;
        };
        let others = (0..CONNECTIONS).filter(|place| place != owner);
        others
            .into_iter()
            .any(|place| self.published[place as usize].contains(&port))
            && self.model.changed.iter().any(|at| at >= since)
    }

    /// A connection ends, and its node lists what another one of its own publishes there. If the node had not heard of a
    /// newer registration elsewhere, its word is now the newest: whose the record is depends on who hears of whom.
    fn bequeath(&mut self, place: u64) {
        let node = place as usize % NODES;
        let heirs = (0..CONNECTIONS).filter(|heir| *heir != place && *heir as usize % NODES == node);
        let inherited: BTreeSet<u16> = heirs.flat_map(|heir| self.published[heir as usize].clone()).collect();
        let left = &self.published[place as usize] & &inherited;
        for port in left {
            if !self.model.knows(node, port) {
                self.model.disown(port);
            }
        }
    }

    /// A client takes these away. Those that it certainly owns, and all have heard so, must be gone for all.
    fn take_away(&mut self, place: u64, ports: &BTreeSet<u16>) -> BTreeSet<u16> {
        let node = place as usize % NODES;
        let mut gone = BTreeSet::new();
        for port in ports {
            let owner = self.model.owners.get(port).map(|(owner, _)| *owner);
            let newer_here = owner.is_some_and(|owner| owner != place && owner as usize % NODES == node);
            let newer_known = owner.is_some_and(|owner| owner != place) && self.model.knows(node, *port);
            if newer_here || newer_known {
                continue;
            }
            let all_know = (0..NODES).all(|node| self.model.knows(node, *port));
            if owner == Some(place) && all_know && !self.beating.contains_key(port) && !self.is_contested(*port) {
                gone.insert(*port);
            }
            self.model.disown(*port);
            for (other, out) in self.ordered_out.iter_mut().enumerate() {
                if other as u64 != place {
                    out.insert(*port);
                }
            }
        }
        gone
    }

    /// Has all nodes watch over those that they must list.
    fn guard(&mut self) {
        if self.model.is_settled() {
            self.model.doubted.clear();
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let known = (1..=PORTS).filter(|port| self.model.knows(index, *port));
            node.told.guard(known.collect());
            let missed = node.told.missed();
            assert!(
                missed.is_empty(),
                "readers at {} missed {missed:?}, which live",
                node.id
            );
        }
    }

    async fn restart(&mut self, node: usize) {
        // Or it would have to wait for its peers.
        self.network.heal();
        seconds(4).await;
        self.nodes.remove(node).kill(&self.network);
        let again = start(&self.network, node as u64 + 1, NODES as u64, Config::default());
        let since_began = self.began.elapsed().as_millis();
        again.clock.set_skew_ms(since_began as i64);
        self.nodes.insert(node, again);
        for place in (0..CONNECTIONS).filter(|place| *place as usize % NODES == node) {
            self.connections[place as usize] += CONNECTIONS;
            self.published[place as usize].clear();
        }
        for at in self.beating.values_mut().filter(|at| **at == node) {
            *at = (*at + 1) % NODES;
        }
        settle(&self.nodes).await;
    }

    /// Lets time pass, in which clients beat, and register again where they are told to.
    async fn wait(&mut self, ms: u64) {
        const BEAT_MS: u64 = 5_000;
        let mut left = ms;
        loop {
            for (port, node) in &self.beating {
                let store = &self.nodes[*node].store;
                if store.beat(&service("a"), &key(*port)) == Beat::Unknown {
                    self.model.disown(*port);
                    self.nodes.iter().for_each(|node| node.told.guard(BTreeSet::new()));
                    store.register(&service("a"), instance(*port)).unwrap();
                }
            }
            millis(left.min(BEAT_MS)).await;
            left = left.saturating_sub(BEAT_MS);
            self.guard();
            if left == 0 {
                return;
            }
        }
    }

    fn living(&self) -> Vec<u16> {
        let mut living: BTreeSet<u16> = self.beating.keys().copied().collect();
        for place in 0..CONNECTIONS {
            let by = self.node_of(place).store.published_by(self.connection(place));
            let held: BTreeSet<u16> = by
                .iter()
                .flat_map(|(_, list)| list)
                .map(|instance| instance.key.port)
                .collect();
            let (said, out) = (&self.published[place as usize], &self.ordered_out[place as usize]);
            assert!(held.is_subset(said), "{held:?} of {said:?}");
            let lost: Vec<_> = said.difference(&held).filter(|port| !out.contains(port)).collect();
            assert!(lost.is_empty(), "a connection lost {lost:?} and nobody ordered it");
            living.extend(held);
        }
        living.into_iter().collect()
    }
}

async fn storm(acts: Vec<Act>) {
    let network = Network::new();
    let began = Instant::now();
    let nodes = ready_cluster(&network, NODES as u64).await;
    let mut world = World {
        network,
        began,
        nodes,
        connections: (0..CONNECTIONS).collect(),
        published: vec![BTreeSet::new(); CONNECTIONS as usize],
        ordered_out: vec![BTreeSet::new(); CONNECTIONS as usize],
        beating: BTreeMap::new(),
        model: Model::new(began),
    };
    for act in acts.into_iter().flat_map(simple) {
        world.play(act).await;
    }
    world.play(Act::Heal).await;
    // 10 s to repair, 35 s for whoever fell silent.
    world.wait(50_000).await;
    let living = world.living();
    for node in &world.nodes {
        assert_eq!(node.ports(&service("a")), living, "at {}", node.id);
        assert!(node.store.instances(&service("a")).iter().all(|i| i.healthy));
    }
    assert!(all_equal(&world.nodes));
    world.beating.clear();
    for place in 0..CONNECTIONS {
        let how = Ending::Closed;
        world.play(Act::End { place, how }).await;
    }
    world.wait(36_000).await;
    for node in &world.nodes {
        assert_eq!(node.ports(&service("a")), [0u16; 0], "at {}", node.id);
        assert!(node.store.node.store.holds.is_empty());
    }
}

proptest! {
    // Each case is two minutes and more of three nodes.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn after_healing_and_silence_all_list_what_living_connections_hold_and_who_beats(
        acts in prop::collection::vec(act(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(storm(acts));
    }
}
