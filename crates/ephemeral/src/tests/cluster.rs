//! What the tests build clusters from.

use crate::node::Node;
use crate::{Config, Ephemeral, Loading};
use muster_membership::Membership;
use muster_model::{
    ChangeSink, GroupName, Host, Instance, InstanceKey, Kind, Member, MemberId, NamespaceId, ServiceKey, ServiceName,
    Trace,
};
use muster_runtime::{Clock, HybridClock, Shutdown, Tasks};
use muster_storage::{Disk, RealDisk};
use muster_transport::memory::{MemoryTransport, Network};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Notes what it is told, and looks at each news whether somebody is missing who must not be.
#[derive(Default)]
pub(crate) struct Told {
    news: Mutex<Vec<(ServiceKey, Trace)>>,
    node: OnceLock<Weak<Node>>,
    guarded: Mutex<BTreeSet<u16>>,
    missed: Mutex<BTreeSet<u16>>,
}

impl ChangeSink for Told {
    fn changed(&self, service: &ServiceKey, trace: Trace) {
        self.news.lock().push((service.clone(), trace));
        let guarded = self.guarded.lock().clone();
        if let Some(node) = self.node.get().and_then(Weak::upgrade).filter(|_| !guarded.is_empty()) {
            let listed = node.store.instances(service).iter().map(|i| i.key.port).collect();
            self.missed.lock().extend(guarded.difference(&listed));
        }
    }
}

impl Told {
    pub(crate) fn count(&self) -> usize {
        self.news.lock().len()
    }

    /// From now on readers of this node must not see a list without these, of whatever service.
    pub(crate) fn guard(&self, ports: BTreeSet<u16>) {
        *self.guarded.lock() = ports;
    }

    /// Guarded ones that a reader has seen missing.
    pub(crate) fn missed(&self) -> BTreeSet<u16> {
        self.missed.lock().clone()
    }
}

pub(crate) struct TestNode {
    pub(crate) id: u64,
    pub(crate) store: Ephemeral,
    pub(crate) membership: Membership,
    pub(crate) clock: Clock,
    pub(crate) told: Arc<Told>,
    pub(crate) transport: Arc<MemoryTransport>,
    pub(crate) tasks: Tasks,
}

pub(crate) fn service(name: &str) -> ServiceKey {
    ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        ServiceName::parse(name).unwrap(),
    )
}

pub(crate) fn key(port: u16) -> InstanceKey {
    InstanceKey::new(Host::parse("10.1.0.1").unwrap(), port)
}

pub(crate) fn instance(port: u16) -> Instance {
    Instance::new(key(port), Kind::Ephemeral)
}

/// An instance whose metadata says these times, in milliseconds.
pub(crate) fn timed(port: u16, interval: u32, timeout: u32, delete: u32) -> Instance {
    let pairs = [
        ("preserved.heart.beat.interval", interval),
        ("preserved.heart.beat.timeout", timeout),
        ("preserved.ip.delete.timeout", delete),
    ];
    let mut instance = instance(port);
    instance.metadata = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_string()))
        .collect();
    instance
}

pub(crate) fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        client_address: format!("10.0.0.{id}:8848"),
        peer_address: format!("10.0.0.{id}:9849"),
    }
}

pub(crate) fn start(network: &Network, id: u64, of: u64, config: Config) -> TestNode {
    start_on(Arc::new(RealDisk), network, id, of, config)
}

pub(crate) fn start_on(disk: Arc<dyn Disk>, network: &Network, id: u64, of: u64, config: Config) -> TestNode {
    let clock = Clock::manual(1_700_000_000_000);
    let hybrid = HybridClock::new(clock.clone());
    let transport = network.join(MemberId(id));
    let tasks = Tasks::new(Shutdown::new());
    let membership = Membership::start(
        muster_membership::Config::default(),
        member(id),
        (1..=of).map(member).collect(),
        transport.clone(),
        hybrid.clone(),
        &tasks,
    );
    membership.set_members((1..=of).map(member).collect());
    let told = Arc::new(Told::default());
    let store = Ephemeral::start_on(
        disk,
        config,
        membership.clone(),
        transport.clone(),
        hybrid,
        told.clone(),
        &tasks,
    );
    let _ = told.node.set(Arc::downgrade(&store.node));
    TestNode {
        id,
        store,
        membership,
        clock,
        told,
        transport,
        tasks,
    }
}

pub(crate) async fn ready_cluster(network: &Network, of: u64) -> Vec<TestNode> {
    let nodes: Vec<_> = (1..=of).map(|id| start(network, id, of, Config::default())).collect();
    settle(&nodes).await;
    nodes
}

/// Waits until all are ready and see each other.
pub(crate) async fn settle(nodes: &[TestNode]) {
    eventually("all are ready and alive", Duration::from_secs(10), || {
        nodes
            .iter()
            .all(|node| node.is_ready() && node.membership.view().living_peers().count() == nodes.len() - 1)
    })
    .await;
}

impl TestNode {
    pub(crate) fn is_ready(&self) -> bool {
        *self.store.loading().borrow() == Loading::Ready
    }

    pub(crate) fn ports(&self, service: &ServiceKey) -> Vec<u16> {
        self.store.instances(service).iter().map(|i| i.key.port).collect()
    }

    pub(crate) fn healthy(&self, service: &ServiceKey, port: u16) -> Option<bool> {
        self.store
            .instance(service, &key(port))
            .map(|instance| instance.healthy)
    }

    /// Stops at once and says nothing, as a kill does.
    pub(crate) fn kill(self, network: &Network) {
        network.leave(MemberId(self.id));
        self.tasks.shutdown().begin();
    }
}

pub(crate) async fn millis(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

pub(crate) async fn seconds(seconds: u64) {
    millis(seconds * 1_000).await;
}

pub(crate) async fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + within;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "not within {within:?}: {what}");
        millis(10).await;
    }
}

/// Beats at one node every `every_ms` for so long; ends when the future is dropped.
pub(crate) async fn beats(store: Ephemeral, service: ServiceKey, ports: Vec<u16>, every_ms: u64) {
    loop {
        for port in &ports {
            store.beat(&service, &key(*port));
        }
        millis(every_ms).await;
    }
}

pub(crate) fn all_equal(nodes: &[TestNode]) -> bool {
    nodes
        .windows(2)
        .all(|pair| pair[0].store.digest() == pair[1].store.digest())
}
