//! A push that writes down what it is told.

use crate::stores::Subscribers;
use muster_model::{ConnectionId, ServiceKey, ServiceSnapshot};
use muster_push::{Subscribed, SubscriptionInfo, SubscriptionKey, Target};
use parking_lot::Mutex;
use std::collections::HashSet;

#[derive(Default)]
pub struct Recorder(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    subscriptions: HashSet<SubscriptionKey>,
    changed: Vec<ServiceKey>,
    disabled: bool,
    on_subscribe: Option<Box<dyn FnOnce() + Send>>,
}

impl Recorder {
    /// Who has subscribed.
    pub fn subscriptions(&self) -> HashSet<SubscriptionKey> {
        self.0.lock().subscriptions.clone()
    }

    /// Which services were told as changed, in order; starts anew.
    pub fn take_changed(&self) -> Vec<ServiceKey> {
        std::mem::take(&mut self.0.lock().changed)
    }

    /// What `pushEnabled` says.
    pub fn enabled(&self) -> bool {
        !self.0.lock().disabled
    }

    /// Ends all subscriptions.
    pub fn forget_all(&self) {
        self.0.lock().subscriptions.clear();
    }

    /// Runs `change` in the middle of the next subscribing, before the subscription is known.
    pub fn on_next_subscribe(&self, change: impl FnOnce() + Send + 'static) {
        self.0.lock().on_subscribe = Some(Box::new(change));
    }
}

fn is_of(key: &SubscriptionKey, connection: ConnectionId) -> bool {
    matches!(key.target, Target::Connection { id, .. } if id == connection)
}

impl Subscribers for Recorder {
    fn changed(&self, service: &ServiceKey) {
        let mut recorded = self.0.lock();
        if recorded.subscriptions.iter().any(|key| key.service == *service) {
            recorded.changed.push(service.clone());
        }
    }

    fn subscribe(&self, key: SubscriptionKey, _info: SubscriptionInfo, _seen: &ServiceSnapshot) -> Subscribed {
        let change = self.0.lock().on_subscribe.take();
        if let Some(change) = change {
            change();
        }
        self.0.lock().subscriptions.insert(key);
        Subscribed::Pushed
    }

    fn unsubscribe(&self, service: &ServiceKey, connection: ConnectionId) -> bool {
        let mut recorded = self.0.lock();
        let before = recorded.subscriptions.len();
        recorded
            .subscriptions
            .retain(|key| key.service != *service || !is_of(key, connection));
        recorded.subscriptions.len() < before
    }

    fn end(&self, connection: ConnectionId) {
        self.0.lock().subscriptions.retain(|key| !is_of(key, connection));
    }

    fn wanted(&self, services: &HashSet<ServiceKey>) -> HashSet<ServiceKey> {
        let recorded = self.0.lock();
        let wanted = recorded.subscriptions.iter().map(|key| &key.service);
        wanted.filter(|service| services.contains(*service)).cloned().collect()
    }

    fn count(&self) -> usize {
        self.0.lock().subscriptions.len()
    }

    fn set_enabled(&self, enabled: bool) {
        self.0.lock().disabled = !enabled;
    }
}
