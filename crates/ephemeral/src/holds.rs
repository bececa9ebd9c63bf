//! What each connection of this node publishes. Never leaves the node: peers are told who holds a record, not by which
//! connection.
//!
//! ```text
//! publishers:  connection ──► service ──► instances, sorted          what it published, as it published it
//! a lease:     key        ──► the newest connection that publishes it
//! shared:      key        ──► the earlier ones, where there are several
//! beating:     key        ──► when a client's own beat came for it last, where one does
//! ```
//!
//! The lease, `shared` and `beating` change under the lock of the key's leaf, and are there only while a connection of this
//! node publishes it; `publishers` is what ends with a
//! connection. Locks are taken in this order: a connection's turn, a leaf, the table; the table for a few lines.

use crate::moment::Moment;
use muster_model::{ConnectionId, Instance, InstanceKey, ServiceKey};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Ended connections remembered, so that a call that was on its way when its connection ended brings nothing back. Calls
/// are seconds late at most; this many end in six seconds at 10,000 a second.
const ENDED_KEPT: usize = 65_536;

/// Sorted by key.
type Instances = Vec<Arc<Instance>>;

#[derive(Default)]
struct Publisher {
    /// Held by whoever changes what the connection publishes, over all keys of the change.
    turn: Arc<Mutex<()>>,
    /// An empty list is kept: the client said that it has nothing there.
    services: HashMap<ServiceKey, Instances>,
}

#[derive(Default)]
struct Table {
    publishers: HashMap<ConnectionId, Publisher>,
    /// By key hash, oldest first.
    shared: HashMap<u64, Vec<ConnectionId>>,
    /// By key hash.
    beating: HashMap<u64, Moment>,
    /// Lists and instances in them.
    rows: usize,
    instances: usize,
    ended: HashSet<ConnectionId>,
    ended_order: VecDeque<ConnectionId>,
}

pub(crate) struct Holds {
    /// Lists and instances in them, over all connections.
    rows_max: usize,
    table: Mutex<Table>,
}

impl Holds {
    /// As many lists again as instances: mostly a client publishes one instance per service.
    pub(crate) fn new(instances_max: usize) -> Self {
        Self {
            rows_max: instances_max.saturating_mul(2),
            table: Mutex::default(),
        }
    }

    /// The right to change what a connection publishes; `None` once it has ended, which is to be asked again when the turn
    /// has come.
    pub(crate) fn turn(&self, connection: ConnectionId) -> Option<Arc<Mutex<()>>> {
        let mut table = self.table.lock();
        if table.ended.contains(&connection) {
            return None;
        }
        Some(table.publishers.entry(connection).or_default().turn.clone())
    }

    /// As [`Holds::turn`], of a connection that has published something.
    pub(crate) fn turn_of_publisher(&self, connection: ConnectionId) -> Option<Arc<Mutex<()>>> {
        let table = self.table.lock();
        table
            .publishers
            .get(&connection)
            .map(|publisher| publisher.turn.clone())
    }

    pub(crate) fn has_ended(&self, connection: ConnectionId) -> bool {
        self.table.lock().ended.contains(&connection)
    }

    /// What a connection publishes under a service; `None` when it has said nothing of it.
    pub(crate) fn published(&self, connection: ConnectionId, service: &ServiceKey) -> Option<Vec<Arc<Instance>>> {
        let table = self.table.lock();
        table.publishers.get(&connection)?.services.get(service).cloned()
    }

    pub(crate) fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        let table = self.table.lock();
        let services = table
            .publishers
            .get(&connection)
            .into_iter()
            .flat_map(|publisher| &publisher.services);
        services
            .map(|(service, instances)| (service.clone(), instances.clone()))
            .collect()
    }

    /// Keeps a list of a service for the connection, empty if there was none; says whether there is room for it and
    /// `more` instances.
    pub(crate) fn open(&self, connection: ConnectionId, service: &ServiceKey, more: usize) -> bool {
        let mut table = self.table.lock();
        let table = &mut *table;
        let Some(publisher) = table.publishers.get_mut(&connection) else {
            return false;
        };
        let opens = !publisher.services.contains_key(service);
        if table.rows + usize::from(opens) + more > self.rows_max {
            return false;
        }
        if opens {
            publisher.services.insert(service.clone(), Vec::new());
            table.rows += 1;
        }
        true
    }

    /// Notes that the connection publishes this, in a list that was opened.
    pub(crate) fn put(&self, connection: ConnectionId, service: &ServiceKey, instance: Arc<Instance>) {
        let mut table = self.table.lock();
        let table = &mut *table;
        let publisher = table.publishers.get_mut(&connection);
        let Some(instances) = publisher.and_then(|publisher| publisher.services.get_mut(service)) else {
            return;
        };
        match instances.binary_search_by(|row| row.key.cmp(&instance.key)) {
            Ok(index) => instances[index] = instance,
            Err(index) => {
                instances.insert(index, instance);
                table.rows += 1;
                table.instances += 1;
            }
        }
    }

    /// Notes that the connection publishes these no more.
    pub(crate) fn remove(&self, connection: ConnectionId, service: &ServiceKey, keys: &BTreeSet<InstanceKey>) {
        let mut table = self.table.lock();
        let table = &mut *table;
        let publisher = table.publishers.get_mut(&connection);
        let Some(instances) = publisher.and_then(|publisher| publisher.services.get_mut(service)) else {
            return;
        };
        let before = instances.len();
        // In one go: one by one, the rest of a long list would be moved for each.
        instances.retain(|row| !keys.contains(&row.key));
        let removed = before - instances.len();
        table.rows -= removed;
        table.instances -= removed;
    }

    /// What a connection published at an address.
    pub(crate) fn content(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        key: &InstanceKey,
    ) -> Option<Arc<Instance>> {
        let table = self.table.lock();
        let instances = table.publishers.get(&connection)?.services.get(service)?;
        let index = instances.binary_search_by(|row| row.key.cmp(key)).ok()?;
        Some(instances[index].clone())
    }

    /// Takes the whole list of a service out.
    pub(crate) fn take(&self, connection: ConnectionId, service: &ServiceKey) -> Option<Vec<Arc<Instance>>> {
        let mut table = self.table.lock();
        let instances = table.publishers.get_mut(&connection)?.services.remove(service)?;
        table.rows -= 1 + instances.len();
        table.instances -= instances.len();
        Some(instances)
    }

    /// From now on nothing is taken in for the connection. The turn of whoever was let in before, if there is somebody:
    /// marked and looked for at once, or a first list could begin in between and be overlooked.
    pub(crate) fn mark_ended(&self, connection: ConnectionId) -> Option<Arc<Mutex<()>>> {
        let mut table = self.table.lock();
        if table.ended.insert(connection) {
            table.ended_order.push_back(connection);
            if table.ended_order.len() > ENDED_KEPT
                && let Some(oldest) = table.ended_order.pop_front()
            {
                table.ended.remove(&oldest);
            }
        }
        let publisher = table.publishers.get(&connection);
        publisher.map(|publisher| publisher.turn.clone())
    }

    /// Takes all out that the connection publishes.
    pub(crate) fn take_all(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        let mut table = self.table.lock();
        let services = table
            .publishers
            .remove(&connection)
            .map(|publisher| publisher.services)
            .unwrap_or_default();
        for instances in services.values() {
            table.rows -= 1 + instances.len();
            table.instances -= instances.len();
        }
        services.into_iter().collect()
    }

    // Keys that several connections publish; called under the lock of the key's leaf.

    /// A connection is no longer the newest of a key, but still publishes it.
    pub(crate) fn push_earlier(&self, hash: u64, connection: ConnectionId) {
        self.table.lock().shared.entry(hash).or_default().push(connection);
    }

    pub(crate) fn remove_earlier(&self, hash: u64, connection: ConnectionId) {
        let mut table = self.table.lock();
        if let Some(earlier) = table.shared.get_mut(&hash) {
            earlier.retain(|kept| *kept != connection);
            if earlier.is_empty() {
                table.shared.remove(&hash);
            }
        }
    }

    /// Takes out the newest of the earlier ones.
    pub(crate) fn pop_earlier(&self, hash: u64) -> Option<ConnectionId> {
        let mut table = self.table.lock();
        let earlier = table.shared.get_mut(&hash)?;
        let newest = earlier.pop();
        if earlier.is_empty() {
            table.shared.remove(&hash);
        }
        newest
    }

    /// Nobody publishes the key any more: somebody has deregistered it by name.
    pub(crate) fn drop_key(&self, hash: u64, newest: ConnectionId, service: &ServiceKey, key: &InstanceKey) {
        let mut table = self.table.lock();
        let earlier = table.shared.remove(&hash).unwrap_or_default();
        table.beating.remove(&hash);
        for connection in earlier.into_iter().chain([newest]) {
            table.remove(connection, service, key);
        }
    }

    // Clients that beat for what a connection publishes, too; called under the lock of the key's leaf.

    pub(crate) fn note_beating(&self, hash: u64, at: Moment) {
        let mut table = self.table.lock();
        let noted = table.beating.entry(hash).or_insert(at);
        *noted = at.max(*noted);
    }

    /// When a client's own beat came last, now that no connection publishes the key.
    pub(crate) fn take_beating(&self, hash: u64) -> Option<Moment> {
        self.table.lock().beating.remove(&hash)
    }

    // For the gauges.

    /// Connections that publish, and instances they hold.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let table = self.table.lock();
        (table.publishers.len(), table.instances)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table.lock();
        let noted = table.shared.len() + table.beating.len();
        table.publishers.is_empty() && noted == 0 && table.rows == 0 && table.instances == 0
    }
}

impl Table {
    fn remove(&mut self, connection: ConnectionId, service: &ServiceKey, key: &InstanceKey) {
        let publisher = self.publishers.get_mut(&connection);
        let Some(instances) = publisher.and_then(|publisher| publisher.services.get_mut(service)) else {
            return;
        };
        if let Ok(index) = instances.binary_search_by(|row| row.key.cmp(key)) {
            instances.remove(index);
            self.rows -= 1;
            self.instances -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cluster::{instance, key, service};

    const ONE: ConnectionId = ConnectionId(1);

    #[test]
    fn lists_and_instances_are_bounded_and_leave_nothing() {
        let holds = Holds::new(2);
        assert!(holds.turn(ONE).is_some());
        assert!(holds.open(ONE, &service("a"), 1));
        holds.put(ONE, &service("a"), Arc::new(instance(1)));
        holds.put(ONE, &service("a"), Arc::new(instance(1)));
        assert_eq!(holds.counts(), (1, 1));
        assert!(!holds.open(ONE, &service("a"), 3), "four rows, two are taken");
        assert!(holds.open(ONE, &service("b"), 1), "an empty list takes a row");
        assert!(!holds.open(ONE, &service("c"), 1));
        holds.remove(ONE, &service("a"), &[key(1)].into());
        holds.mark_ended(ONE);
        assert_eq!(holds.take_all(ONE).len(), 2);
        assert!(holds.is_empty());
    }

    #[test]
    fn a_connection_that_has_ended_gets_no_turn_and_the_oldest_are_forgotten() {
        let holds = Holds::new(2);
        for number in 0..=ENDED_KEPT as u64 {
            holds.mark_ended(ConnectionId(number));
        }
        assert!(holds.turn(ConnectionId(ENDED_KEPT as u64)).is_none());
        assert!(!holds.has_ended(ConnectionId(0)));
        assert_eq!(holds.table.lock().ended.len(), ENDED_KEPT);
    }

    #[test]
    fn whoever_was_let_in_before_the_end_is_waited_for_and_nobody_is_let_in_after() {
        let holds = Holds::new(2);
        let first = holds.turn(ONE).unwrap();
        let last = holds
            .mark_ended(ONE)
            .expect("it has published nothing yet, and may be about to");
        assert!(Arc::ptr_eq(&first, &last));
        assert!(holds.has_ended(ONE) && holds.turn(ONE).is_none());
        assert!(holds.take_all(ONE).is_empty() && holds.is_empty());
        assert!(holds.mark_ended(ConnectionId(2)).is_none() && holds.turn(ConnectionId(2)).is_none());
    }

    #[test]
    fn of_several_connections_the_newest_of_the_earlier_ones_comes_next() {
        let holds = Holds::new(2);
        for number in 1..=3 {
            holds.push_earlier(7, ConnectionId(number));
        }
        holds.remove_earlier(7, ConnectionId(3));
        assert_eq!(holds.pop_earlier(7), Some(ConnectionId(2)));
        holds.remove_earlier(7, ConnectionId(1));
        assert_eq!(holds.pop_earlier(7), None);
        assert!(holds.is_empty());
    }
}
