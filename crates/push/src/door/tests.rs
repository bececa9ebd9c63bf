use super::*;
use crate::{Delivery, Handed, Target};
use muster_model::{GroupName, NamespaceId, Renders, ServiceName};
use muster_runtime::Shutdown;
use std::collections::HashMap;

/// Lists by hand.
#[derive(Default)]
struct Lists(Mutex<HashMap<ServiceKey, u64>>);

impl Lists {
    fn set(&self, service: &ServiceKey, revision: u64) {
        self.0.lock().insert(service.clone(), revision);
    }
}

impl Snapshots for Lists {
    fn newest(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        let revision = *self.0.lock().entry(service.clone()).or_insert(1);
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
}

/// Keeps what it is given.
struct Recorder {
    taken: Mutex<Vec<Delivery>>,
    outcome: Mutex<Handed>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
            outcome: Mutex::new(Handed::Sent),
        }
    }
}

impl Recorder {
    fn taken(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.taken.lock())
    }

    /// What it answers from now on.
    fn set(&self, outcome: Handed) {
        *self.outcome.lock() = outcome;
    }
}

impl Sink for Recorder {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        self.taken.lock().push(delivery.clone());
        *self.outcome.lock()
    }
}

struct Node {
    push: Push,
    lists: Arc<Lists>,
    sink: Arc<Recorder>,
    shutdown: Shutdown,
}

fn node(config: Config) -> Node {
    let (lists, sink, shutdown) = (Arc::<Lists>::default(), Arc::<Recorder>::default(), Shutdown::new());
    let tasks = Tasks::new(shutdown.clone());
    let push = Push::start(
        config,
        lists.clone(),
        sink.clone(),
        Clock::manual(1_700_000_000_000),
        &tasks,
    );
    Node {
        push,
        lists,
        sink,
        shutdown,
    }
}

impl Node {
    fn poll(&self, service: &ServiceKey, target: &str) -> Subscribed {
        let key = SubscriptionKey {
            service: service.clone(),
            clusters: "".into(),
            target: Target::Udp(target.parse().unwrap()),
        };
        let info = SubscriptionInfo {
            agent: "Nacos-Java-Client:v1.4.6".into(),
            app: "".into(),
            datagram_bytes_max: 65_507,
        };
        self.push.subscribe(key, info, &self.lists.newest(service))
    }

    fn subscribe(&self, service: &ServiceKey, number: u64, clusters: &str) -> Subscribed {
        let key = SubscriptionKey {
            service: service.clone(),
            clusters: clusters.into(),
            target: Target::Connection {
                id: ConnectionId(number),
                peer: SocketAddr::from(([10, 0, 0, 1], number as u16)),
            },
        };
        let info = SubscriptionInfo {
            agent: "Nacos-Java-Client:v2.4.3".into(),
            app: "".into(),
            datagram_bytes_max: 0,
        };
        self.push.subscribe(key, info, &self.lists.newest(service))
    }

    /// Acks what was sent.
    fn answer(&self, sent: &[Delivery]) {
        for delivery in sent {
            match delivery.key.target {
                Target::Udp(address) => self.push.acked(delivery.token, address),
                Target::Connection { id, .. } => self.push.acked_by(delivery.token, id),
            }
        }
    }

    fn change(&self, service: &ServiceKey, revision: u64) {
        self.lists.set(service, revision);
        self.push.changed(service);
    }
}

/// Lets the workers run as long as they have something to do now; paused time does not move.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn service(name: &str) -> ServiceKey {
    ServiceKey::new(
        NamespaceId::public(),
        GroupName::default_group(),
        ServiceName::parse(name).unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_subscribers_of_every_shard_without_time_passing() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    for host in 1..=40 {
        assert_eq!(node.poll(&a, &format!("10.0.0.{host}:5000")), Subscribed::Pushed);
    }
    settle().await;
    let before = tokio::time::Instant::now();
    node.change(&a, 2);
    settle().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    let sent = node.sink.taken();
    assert_eq!(sent.len(), 40);
    assert!(
        sent.iter().all(|delivery| delivery.token == sent[0].token),
        "the bytes can be shared"
    );
    assert_eq!(node.push.counts().deliveries, 40);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_before_open_and_while_disabled() {
    let (node, a) = (node(Config::default()), service("a"));
    node.poll(&a, "10.0.0.1:5000");
    node.change(&a, 2);
    settle().await;
    assert_eq!(node.sink.taken().len(), 0);
    node.push.set_enabled(false);
    node.push.open();
    settle().await;
    assert_eq!(node.sink.taken().len(), 0);
    node.push.set_enabled(true);
    settle().await;
    assert_eq!(node.sink.taken().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_datagram_is_sent_again_after_a_second_and_the_ack_ends_it() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    node.poll(&a, "10.0.0.1:5000");
    node.change(&a, 2);
    settle().await;
    let first = node.sink.taken();
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    settle().await;
    let again = node.sink.taken();
    assert_eq!((first.len(), again.len()), (1, 1));
    node.push.acked(again[0].token, "10.0.0.1:5000".parse().unwrap());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(node.sink.taken().len(), 0);
    assert_eq!(node.push.counts().acked, 1);
}

#[tokio::test(start_paused = true)]
async fn more_than_subscriptions_max_are_refused_until_some_end() {
    let config = Config {
        subscriptions_max: 3,
        ..Config::default()
    };
    let (node, a) = (node(config), service("a"));
    node.push.open();
    for host in 1..=3 {
        assert_eq!(node.poll(&a, &format!("10.0.0.{host}:1")), Subscribed::Pushed);
    }
    assert_eq!(node.poll(&a, "10.0.0.4:1"), Subscribed::Refused);
    assert_eq!(node.poll(&a, "10.0.0.3:1"), Subscribed::Pushed, "who is in stays in");
    settle().await;
    tokio::time::sleep(Duration::from_secs(91)).await;
    settle().await;
    assert_eq!(node.push.counts().subscriptions, 0);
    assert_eq!(node.push.0.shared.topics.shards_of(&a), 0);
    assert_eq!(node.poll(&a, "10.0.0.4:1"), Subscribed::Pushed);
}

#[tokio::test(start_paused = true)]
async fn an_ack_from_behind_nat_counts_if_one_alone_was_sent_the_token() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    node.poll(&a, "10.0.0.1:5000");
    settle().await;
    node.change(&a, 2);
    settle().await;
    let sent = node.sink.taken();
    node.push.acked(sent[0].token, "192.0.2.7:61000".parse().unwrap());
    assert_eq!(node.push.counts().acked, 1);
    node.push.acked(sent[0].token + 1, "192.0.2.7:61000".parse().unwrap());
    assert_eq!(node.push.counts().acked, 1);
}

#[tokio::test(start_paused = true)]
async fn drain_sends_what_waits_for_merging_also_after_shutdown_began() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    node.poll(&a, "10.0.0.1:5000");
    settle().await;
    node.change(&a, 2);
    settle().await;
    let sent = node.sink.taken();
    node.push.acked(sent[0].token, sent[0].key.target.address());
    node.shutdown.begin();
    settle().await;
    node.change(&a, 3);
    node.push.drain(Duration::from_secs(1)).await;
    assert_eq!(node.sink.taken()[0].snapshot.revision, 3);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_listed_by_service_with_canonical_addresses() {
    let (node, a, b) = (node(Config::default()), service("a"), service("b"));
    node.poll(&a, "[::ffff:10.0.0.1]:5000");
    node.poll(&b, "10.0.0.1:5000");
    let listed = node.push.subscriptions(&|key| *key == service("a"));
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key.target, Target::Udp("10.0.0.1:5000".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_pushed_its_first_list_ten_milliseconds_after_subscribing_and_changes_at_once() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    assert_eq!(node.subscribe(&a, 1, ""), Subscribed::Pushed);
    tokio::time::sleep(Duration::from_millis(8)).await;
    settle().await;
    assert_eq!(node.sink.taken().len(), 0);
    tokio::time::sleep(Duration::from_millis(3)).await;
    settle().await;
    let welcome = node.sink.taken();
    assert_eq!(welcome.len(), 1);
    node.answer(&welcome);
    let before = tokio::time::Instant::now();
    node.change(&a, 2);
    settle().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    let sent = node.sink.taken();
    assert_eq!(sent[0].snapshot.revision, 2);
    node.answer(&sent);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(node.sink.taken().len(), 0);
    assert_eq!(node.push.counts().acked, 2);
}

#[tokio::test(start_paused = true)]
async fn connections_of_one_host_fill_every_shard_and_all_that_get_one_list_share_its_token() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    for number in 1..=80 {
        node.subscribe(&a, number, "");
    }
    node.poll(&a, "10.0.0.1:5000");
    assert_eq!(node.push.0.shared.topics.shards_of(&a), (1 << SHARDS) - 1);
    for shard in &node.push.0.shards {
        assert!(shard.with_engine(|engine| engine.len()) >= 80 / SHARDS);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    settle().await;
    let welcome = node.sink.taken();
    node.answer(&welcome);
    node.change(&a, 2);
    settle().await;
    let sent = node.sink.taken();
    assert_eq!((welcome.len(), sent.len()), (80, 81));
    for shared in [welcome, sent] {
        assert!(shared.iter().all(|delivery| delivery.token == shared[0].token));
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_gives_its_place_back_and_its_service_is_forgotten_with_its_last_subscriber() {
    let config = Config {
        subscriptions_max: 3,
        ..Config::default()
    };
    let (node, a, b) = (node(config), service("a"), service("b"));
    node.push.open();
    node.subscribe(&a, 1, "");
    node.subscribe(&b, 1, "");
    node.subscribe(&a, 2, "");
    assert_eq!(node.subscribe(&b, 2, ""), Subscribed::Refused);
    assert_eq!(node.subscribe(&a, 2, "east"), Subscribed::Pushed, "who is in stays in");
    assert!(node.push.unsubscribe(&a, ConnectionId(2)));
    assert!(!node.push.unsubscribe(&a, ConnectionId(2)));
    assert_eq!(node.subscribe(&b, 2, ""), Subscribed::Pushed);
    node.push.end(ConnectionId(1));
    node.push.end(ConnectionId(1));
    assert_eq!(node.push.counts().subscriptions, 1);
    assert_eq!(node.push.0.shared.topics.shards_of(&a), 0);
    assert_ne!(node.push.0.shared.topics.shards_of(&b), 0);
    node.push.end(ConnectionId(2));
    assert_eq!(node.push.0.shared.topics.shards_of(&b), 0);
    for number in 3..=5 {
        assert_eq!(node.subscribe(&a, number, ""), Subscribed::Pushed);
    }
    assert_eq!(node.subscribe(&a, 6, ""), Subscribed::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_came_after_the_end_of_its_connection_gives_its_place_back() {
    let (node, a) = (node(Config::default()), service("a"));
    node.push.open();
    node.push.end(ConnectionId(1));
    node.subscribe(&a, 1, "");
    node.sink.set(Handed::Unreachable);
    tokio::time::sleep(Duration::from_millis(20)).await;
    settle().await;
    assert_eq!(node.sink.taken().len(), 1);
    assert_eq!(node.push.counts().subscriptions, 0);
    assert_eq!(node.push.0.subscriptions.load(Ordering::Relaxed), 0);
    assert_eq!(node.push.0.shared.topics.shards_of(&a), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_subscribes_to_is_listed_with_its_peer() {
    let (node, a, b) = (node(Config::default()), service("a"), service("b"));
    node.subscribe(&a, 1, "east");
    node.subscribe(&b, 1, "");
    node.subscribe(&b, 2, "");
    let of = |number| {
        let listed = node.push.subscriptions_of(ConnectionId(number));
        let mut services: Vec<_> = listed.into_iter().map(|listed| listed.key.service.clone()).collect();
        services.sort();
        services
    };
    assert_eq!(of(1), [a.clone(), b.clone()]);
    assert_eq!(of(2), [b]);
    assert_eq!(of(3), []);
    let listed = node.push.subscriptions(&|service| *service == a);
    assert_eq!(listed[0].key.target.address(), "10.0.0.1:1".parse().unwrap());
    assert_eq!(&*listed[0].key.clusters, "east");
}
