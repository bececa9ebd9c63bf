//! Whatever connections, clients that beat, operators and the network do: in the end all list what lives, and no more.

use super::cluster::*;
use crate::Beat;
use muster_model::{ConnectionId, MemberId, Weight};
use muster_transport::memory::Network;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

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
        1 => (port, node.clone()).prop_map(|(port, node)| Act::Deregister { port, node }),
        1 => node.prop_map(|node| Act::Isolate { node }),
        1 => Just(Act::Heal),
        2 => prop_oneof![3 => 1u64..100, 1 => Just(7_000u64), 1 => Just(40_000u64)].prop_map(|ms| Act::Wait { ms }),
    ]
}

struct World {
    network: Network,
    nodes: Vec<TestNode>,
    /// The number of the connection that is in each place now; numbers are never used again.
    connections: Vec<u64>,
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
            }
            Act::Withdraw { place, named } => {
                let store = &self.node_of(place).store;
                store.withdraw(self.connection(place), &s, &key(named));
            }
            Act::End { place } => {
                self.node_of(place).store.end(self.connection(place));
                self.connections[place as usize] += CONNECTIONS;
            }
            Act::Begin { port, node } => {
                self.nodes[node].store.register(&s, instance(port)).unwrap();
                self.beating.insert(port, node);
            }
            Act::Silence { port } => drop(self.beating.remove(&port)),
            Act::Deregister { port, node } => {
                self.beating.remove(&port);
                self.nodes[node].store.deregister(&s, &key(port));
            }
            Act::Isolate { node } => self.network.isolate(MemberId(node as u64 + 1)),
            Act::Heal => self.network.heal(),
            Act::Wait { ms } => self.wait(ms).await,
        }
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
        let published = (0..CONNECTIONS).flat_map(|place| {
            let by = self.node_of(place).store.published_by(self.connection(place));
            by.into_iter()
                .flat_map(|(_, list)| list)
                .map(|instance| instance.key.port)
        });
        let living: BTreeSet<u16> = published.chain(self.beating.keys().copied()).collect();
        living.into_iter().collect()
    }
}

async fn storm(acts: Vec<Act>) {
    let network = Network::new();
    let nodes = ready_cluster(&network, NODES as u64).await;
    let mut world = World {
        network,
        nodes,
        connections: (0..CONNECTIONS).collect(),
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
