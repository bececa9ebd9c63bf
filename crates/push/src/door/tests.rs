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
#[derive(Default)]
struct Recorder(Mutex<Vec<Delivery>>);

impl Recorder {
    fn taken(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Sink for Recorder {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        self.0.lock().push(delivery.clone());
        Handed::Sent
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
