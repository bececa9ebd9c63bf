//! Connections of whose instances somebody newer has registered one: mostly their own clients, over a new connection.
//!
//! Such a connection may be broken without anybody knowing it yet, and would bring the instance back when the newer one
//! ends. So the door is told, and asks it whether it lives.

use muster_model::ConnectionId;
use parking_lot::Mutex;
use std::collections::HashSet;
use tokio::sync::Notify;

/// Connections remembered until the door asks; those beyond are found dead by their silence, as ever.
const WAITING_MAX: usize = 65_536;

#[derive(Default)]
pub(crate) struct Overtaken {
    waiting: Mutex<HashSet<ConnectionId>>,
    news: Notify,
}

impl Overtaken {
    pub(crate) fn note(&self, connection: ConnectionId) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX && waiting.insert(connection) {
            self.news.notify_one();
        }
    }

    /// Those since this was last asked, once there are some. For one who asks.
    pub(crate) async fn next(&self) -> HashSet<ConnectionId> {
        loop {
            let taken = std::mem::take(&mut *self.waiting.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.news.notified().await;
        }
    }
}
