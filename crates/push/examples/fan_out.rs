//! How long until the last of many connections' messages is handed to the sink, from one change of one service.
//!
//! `cargo run --release -p muster-push --example fan_out -- 10000`

#![allow(clippy::print_stdout, reason = "what it measured is all it is run for")]

use muster_model::{ConnectionId, GroupName, NamespaceId, Renders, ServiceKey, ServiceName, ServiceSnapshot};
use muster_push::{Config, Delivery, Handed, Push, Sink, Snapshots, SubscriptionInfo, SubscriptionKey, Target};
use muster_runtime::{Clock, Shutdown, Tasks};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

struct Lists {
    service: ServiceKey,
    revision: AtomicU64,
}

impl Lists {
    fn list(&self) -> Arc<ServiceSnapshot> {
        let revision = self.revision.load(Ordering::SeqCst);
        Arc::new(ServiceSnapshot {
            key: self.service.clone(),
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

impl Snapshots for Lists {
    fn newest(&self, _: &ServiceKey) -> Arc<ServiceSnapshot> {
        self.list()
    }
}

/// Counts, and keeps which tokens there were: each is one encoding.
#[derive(Default)]
struct Count {
    taken: AtomicUsize,
    tokens: Mutex<BTreeSet<u64>>,
}

impl Sink for Count {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(delivery.token);
        self.taken.fetch_add(1, Ordering::SeqCst);
        Handed::Sent
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let connections: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000);
    let name = ServiceName::parse("svc").expect("a name");
    let service = ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name);
    let lists = Arc::new(Lists {
        service: service.clone(),
        revision: AtomicU64::new(1),
    });
    let (sink, clock, shutdown) = (Arc::new(Count::default()), Clock::system(), Shutdown::new());
    let tasks = Tasks::new(shutdown.clone());
    let push = Push::start(Config::default(), lists.clone(), sink.clone(), clock.clone(), &tasks);
    push.open();
    let began = clock.now();
    for number in 0..connections {
        let key = SubscriptionKey {
            service: service.clone(),
            clusters: "".into(),
            target: Target::Connection {
                id: ConnectionId(number),
                peer: SocketAddr::from(([10, 0, 0, 1], 1)),
            },
        };
        let info = SubscriptionInfo {
            agent: "".into(),
            app: "".into(),
            datagram_bytes_max: 0,
        };
        push.subscribe(key, info, &lists.list());
    }
    println!("subscribed {connections}: {:?}", clock.now() - began);
    for round in 0..6 {
        let began = clock.now();
        if round > 0 {
            lists.revision.fetch_add(1, Ordering::SeqCst);
            push.changed(&service);
        }
        while sink.taken.load(Ordering::SeqCst) < connections as usize {
            tokio::task::yield_now().await;
        }
        let handed = clock.now() - began;
        sink.taken.store(0, Ordering::SeqCst);
        let tokens: Vec<u64> = {
            let mut tokens = sink.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tokens).into_iter().collect()
        };
        let began = clock.now();
        for number in 0..connections {
            push.acked_by(tokens[0], ConnectionId(number));
        }
        let acked = clock.now() - began;
        println!("handed over: {handed:?}, tokens: {}, acked: {acked:?}", tokens.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let began = clock.now();
    for number in 0..connections {
        push.end(ConnectionId(number));
    }
    println!(
        "ended: {:?}, left: {}",
        clock.now() - began,
        push.counts().subscriptions
    );
    shutdown.begin();
}
