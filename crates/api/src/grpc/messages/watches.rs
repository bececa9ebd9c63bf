//! Who watches names of services by pattern: a task per watching connection.
//!
//! The task owns what its client was told. It hears of each service that comes or goes, and tells the client one thing after
//! the other, each acked before the next; if so many events come meanwhile that some are dropped, it looks at the whole
//! listing again and tells the difference. A client that does not ack after [`TRIES`] is left to its next renewal, three
//! minutes later at most, which says what it has.

use super::watch::matching;
use super::watching::{Sync, Watching};
use crate::grpc::connection::{AskError, Connection};
use bytes::Bytes;
use muster_model::ConnectionId;
use muster_naming::{Naming, ServiceEvent, ServiceNews};
use muster_runtime::{TaskKind, Tasks};
use muster_wire::grpc::{
    FuzzyPattern, NAMING_FUZZY_WATCH_CHANGE_NOTIFY_REQUEST, NAMING_FUZZY_WATCH_SYNC_REQUEST, fuzzy_change_members,
    fuzzy_sync_members,
};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// Patterns of one connection; Nacos's own number, there of a whole server.
const PATTERNS_MAX: usize = 20;
/// Patterns of all connections. With 500 services each, 40 MiB.
const NODE_PATTERNS_MAX: usize = 1_000;
/// Orders that wait for a client's task. A client renews all its patterns in one go.
const ORDERS_MAX: usize = 2 * PATTERNS_MAX;
/// How long an ack may take, as for pushes.
const ACK_WITHIN: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
/// Between two tries, as for pushes.
const PAUSE: Duration = Duration::from_secs(1);

/// The fuzzy watches of this node's connections. One per node.
pub(in crate::grpc) struct Watches {
    tasks: Tasks,
    watchers: Mutex<HashMap<ConnectionId, Watcher>>,
}

struct Watcher {
    orders: mpsc::Sender<Order>,
    patterns: HashSet<Box<str>>,
}

enum Order {
    Watch {
        pattern: FuzzyPattern,
        received: HashSet<String>,
        initializing: bool,
    },
    Cancel(FuzzyPattern),
}

/// Why a watch is not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("no more than {PATTERNS_MAX} patterns for a connection and {NODE_PATTERNS_MAX} for a node are watched")]
    Patterns,
    #[error("what this connection asked before is not told yet")]
    Busy,
}

impl Watches {
    pub(in crate::grpc) fn new(tasks: Tasks) -> Self {
        Self {
            tasks,
            watchers: Mutex::default(),
        }
    }

    /// Begins or renews a watch.
    pub(super) fn watch(
        &self,
        naming: &Naming,
        connection: &Arc<Connection>,
        pattern: FuzzyPattern,
        received: HashSet<String>,
        initializing: bool,
    ) -> Result<(), Refused> {
        let mut watchers = self.watchers.lock();
        if watchers
            .get(&connection.id)
            .is_some_and(|watcher| watcher.orders.is_closed())
        {
            // Its stream broke, and another one is there by now.
            watchers.remove(&connection.id);
        }
        let of_all: usize = watchers.values().map(|watcher| watcher.patterns.len()).sum();
        let watcher = watchers.get(&connection.id);
        let known = watcher.is_some_and(|watcher| watcher.patterns.contains(pattern.as_str()));
        let of_it = watcher.map_or(0, |watcher| watcher.patterns.len());
        if !known && (of_it >= PATTERNS_MAX || of_all >= NODE_PATTERNS_MAX) {
            return Err(Refused::Patterns);
        }
        let watcher = watchers.entry(connection.id).or_insert_with(|| {
            let (orders, receiver) = mpsc::channel(ORDERS_MAX);
            let driver = Driver {
                naming: naming.clone(),
                // Its end ends the task; the task does not keep it.
                connection: Arc::downgrade(connection),
                watching: Watching::default(),
                // Before the listing is looked at, so that nothing falls between.
                news: naming.watch_services(),
                orders: receiver,
            };
            self.tasks.spawn("fuzzy watch", TaskKind::Contained, driver.run());
            Watcher {
                orders,
                patterns: HashSet::new(),
            }
        });
        let name = pattern.as_str().into();
        let order = Order::Watch {
            pattern,
            received,
            initializing,
        };
        watcher.orders.try_send(order).map_err(|_| Refused::Busy)?;
        watcher.patterns.insert(name);
        Ok(())
    }

    /// Ends a watch, if there is one.
    pub(super) fn cancel(&self, connection: ConnectionId, pattern: FuzzyPattern) {
        let mut watchers = self.watchers.lock();
        let Some(watcher) = watchers.get_mut(&connection) else {
            return;
        };
        if !watcher.patterns.remove(pattern.as_str()) {
            return;
        }
        if watcher.patterns.is_empty() || watcher.orders.try_send(Order::Cancel(pattern)).is_err() {
            // The last one; or a client that acks nothing and asks all the time: it may begin anew.
            watchers.remove(&connection);
        }
    }

    /// The connection is gone, and its watches with it.
    pub(in crate::grpc) fn ended(&self, connection: ConnectionId) {
        self.watchers.lock().remove(&connection);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.watchers.lock().len()
    }
}

/// The task of one watching connection. Ends when its orders do, with the connection, or with the node.
struct Driver {
    naming: Naming,
    connection: Weak<Connection>,
    watching: Watching,
    news: ServiceNews,
    orders: mpsc::Receiver<Order>,
}

/// The client cannot be told anything more.
struct Gone;

impl Driver {
    async fn run(mut self) {
        while self.step().await.is_ok() {}
    }

    async fn step(&mut self) -> Result<(), Gone> {
        tokio::select! {
            biased;
            order = self.orders.recv() => self.follow(order.ok_or(Gone)?).await,
            event = self.news.next() => match event.ok_or(Gone)? {
                Ok(event) => self.tell(&event).await,
                Err(_lagged) => {
                    let naming = &self.naming;
                    for sync in self.watching.again(|pattern| matching(naming, pattern).collect()) {
                        self.send(sync).await?;
                    }
                    Ok(())
                }
            }
        }
    }

    async fn follow(&mut self, order: Order) -> Result<(), Gone> {
        match order {
            Order::Cancel(pattern) => {
                self.watching.cancel(&pattern);
                Ok(())
            }
            Order::Watch {
                pattern,
                received,
                initializing,
            } => {
                let listed = matching(&self.naming, &pattern);
                let sync = self.watching.watch(&pattern, received, initializing, listed);
                self.send(sync).await
            }
        }
    }

    async fn send(&self, sync: Sync) -> Result<(), Gone> {
        for batch in sync.batches {
            let members = fuzzy_sync_members(&sync.pattern, batch.sync, &batch.contexts, batch.number);
            if !self.ask(NAMING_FUZZY_WATCH_SYNC_REQUEST, members).await? {
                // Without the rest the client asks again.
                break;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, event: &ServiceEvent) -> Result<(), Gone> {
        let Some(change) = self.watching.heard(event) else {
            return Ok(());
        };
        let members = fuzzy_change_members(&event.service, change);
        self.ask(NAMING_FUZZY_WATCH_CHANGE_NOTIFY_REQUEST, members).await?;
        Ok(())
    }

    /// Says whether it was acked.
    async fn ask(&self, name: &'static str, members: Bytes) -> Result<bool, Gone> {
        for tried in 1..=TRIES {
            let connection = self.connection.upgrade().ok_or(Gone)?;
            match connection.ask(name, members.clone(), ACK_WITHIN).await {
                Ok(()) => return Ok(true),
                Err(AskError::Gone) => return Err(Gone),
                Err(error) => {
                    drop(connection);
                    tracing::debug!(name, tried, %error, "a fuzzy watch was not acked");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(false)
    }
}
