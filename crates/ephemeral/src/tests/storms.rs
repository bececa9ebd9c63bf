//! Whatever connections, clients that beat, operators and the network do: in the end all list what lives, and no more.

use super::cluster::*;
use crate::{Beat, Config};
use muster_model::{ConnectionId, InstanceEdit, MemberId, Weight};
use muster_transport::memory::Network;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
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
    prop_oneof![
        6 => (place.clone(), ports, 1u8..3).prop_map(|(place, ports, weight)| Act::Publish { place, ports, weight }),
        1 => (place.clone(), port.clone()).prop_map(|(place, named)| Act::Withdraw { place, named }),
        3 => place.prop_map(|place| Act::End { place }),
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
        match act {
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
            Act::End { place } => {
                self.node_of(place).store.end(self.connection(place));
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
    async fn wait(&self, ms: u64) {
        const BEAT_MS: u64 = 5_000;
        let mut left = ms;
        loop {
            for (port, node) in &self.beating {
                let store = &self.nodes[*node].store;
                if store.beat(&service("a"), &key(*port)) == Beat::Unknown {
                    store.register(&service("a"), instance(*port)).unwrap();
                }
            }
            millis(left.min(BEAT_MS)).await;
            left = left.saturating_sub(BEAT_MS);
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
    };
    for act in acts {
        world.play(act).await;
    }
    world.network.heal();
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
        world.play(Act::End { place }).await;
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
        acts in prop::collection::vec(act(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(storm(acts));
    }
}
