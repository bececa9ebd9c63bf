//! The rules of leases that are connections. Synchronous; time comes in.
//!
//! - The newest registration of a key owns its lease, be it a connection's or one that beats renew.
//! - When the connection that owns it goes, the record goes at once: unless another connection of this node publishes it,
//!   which then owns it, or the record belongs to somebody newer by now.
//! - While a connection of this node publishes a key, nobody's silence and no other connection's end removes it: this node
//!   takes it back with a newer write. A deregistration by name is an order, and is not answered so; it ends the
//!   publishing of that key, and the same client may publish it again.

use crate::answers::Error;
use crate::leaf::Leaf;
use crate::moment::Moment;
use crate::record::{Body, Gone, Holder, Record, State, key_hash};
use crate::store::{Applied, Store};
use muster_model::{ConnectionId, Instance, InstanceKey, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What becomes of a record whose connection has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parting {
    /// It goes too.
    Release,
    /// It has a last lease: this node is leaving, and its clients are on their way to another.
    Linger,
}

impl Store {
    /// Makes these all that the connection publishes under the service; of an address named twice the last holds. When
    /// there is no room, nothing stays that was not published before.
    pub(crate) fn publish(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        instances: Vec<Instance>,
        now: Moment,
    ) -> (Vec<Applied>, Result<(), Error>) {
        let Some(turn) = self.holds.turn(connection) else {
            return (Vec::new(), Err(Error::ConnectionEnded { connection }));
        };
        let _turn = turn.lock();
        if self.holds.has_ended(connection) {
            return (Vec::new(), Err(Error::ConnectionEnded { connection }));
        }
        let wanted: BTreeMap<InstanceKey, Instance> = instances
            .into_iter()
            .map(|instance| (instance.key.clone(), instance))
            .collect();
        let service = &self.listings.shared_key(service);
        let listed_before = self.holds.published(connection, service);
        let opens = listed_before.is_none();
        let before: BTreeSet<InstanceKey> = listed_before
            .iter()
            .flatten()
            .map(|instance| instance.key.clone())
            .collect();
        let more = wanted.keys().filter(|key| !before.contains(*key)).count();
        if !self.holds.open(connection, service, more) {
            return (Vec::new(), Err(self.full()));
        }
        let (mut applied, mut written) = (Vec::new(), BTreeSet::new());
        let mut answer = Ok(());
        for (key, instance) in wanted {
            match self.write(service, instance, Some(connection), now) {
                Ok((_, change)) => applied.extend(change),
                Err(error) => {
                    answer = Err(error);
                    break;
                }
            }
            written.insert(key);
        }
        let (superfluous, of) = match &answer {
            Ok(()) => (before, written),
            Err(_) => (written, before),
        };
        for key in superfluous.difference(&of) {
            self.holds.remove(connection, service, key);
            applied.extend(self.part(connection, service, key, Parting::Release, now));
        }
        if answer.is_err() && opens {
            self.holds.take(connection, service);
        }
        (applied, answer)
    }

    /// Ends what the connection publishes under the service. One that publishes nothing there ends what is listed at
    /// `named` by some connection's lease and by none of this node: its own former one, of before it came here.
    pub(crate) fn withdraw(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        named: &InstanceKey,
        now: Moment,
    ) -> Vec<Applied> {
        if let Some(turn) = self.holds.turn_of_publisher(connection) {
            let _turn = turn.lock();
            if let Some(instances) = self.holds.take(connection, service) {
                return instances
                    .iter()
                    .filter_map(|instance| self.part(connection, service, &instance.key, Parting::Release, now))
                    .collect();
            }
        }
        self.release_orphan(service, named, now).into_iter().collect()
    }

    /// The connection is gone, and with it all that it owns.
    pub(crate) fn end(&self, connection: ConnectionId, parting: Parting, now: Moment) -> Vec<Applied> {
        let turn = self.holds.turn_of_publisher(connection);
        let _turn = turn.as_ref().map(|turn| turn.lock());
        let mut applied = Vec::new();
        for (service, instances) in self.holds.end(connection) {
            let parted = instances
                .iter()
                .filter_map(|instance| self.part(connection, &service, &instance.key, parting, now));
            applied.extend(parted);
        }
        applied
    }

    pub(crate) fn here(&self) -> Option<Holder> {
        Holder::new(self.local)
    }

    /// The connection publishes the record, and is the newest that does. Called under the lock of the leaf.
    pub(crate) fn hold(&self, record: &Record, connection: ConnectionId, instance: Arc<Instance>) {
        let newest = record.lease.connection();
        if newest != Some(connection) {
            self.holds.remove_earlier(record.hash, connection);
            if let Some(earlier) = newest {
                self.holds.push_earlier(record.hash, earlier);
            }
            record.lease.set_connection(Some(connection));
        }
        self.holds.put(connection, &record.service, instance);
    }

    /// The record is gone, whoever publishes it. Called under the lock of the leaf.
    pub(crate) fn drop_holds(&self, record: &Record) {
        if let Some(newest) = record.lease.connection() {
            record.lease.set_connection(None);
            self.holds.drop_key(record.hash, newest, &record.service, &record.key);
        }
    }

    /// Writes the record anew as what this connection publishes, against somebody who thought it gone or unhealthy. What
    /// others made of a record that was this node's all along is kept, such as an edit.
    pub(crate) fn reclaim(
        &self,
        leaf: &mut Leaf,
        record: &Arc<Record>,
        connection: ConnectionId,
        now: Moment,
    ) -> Applied {
        let current = record.state();
        let own = || self.holds.content(connection, &record.service, &record.key);
        let body = if current.held_by == self.here() {
            current.body
        } else {
            own().map_or(current.body, Body::Listed)
        };
        record.lease.beat(now);
        let state = self.next_state(body, self.here());
        self.replace(leaf, record, state)
    }

    /// A connection publishes a key no more.
    fn part(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        key: &InstanceKey,
        parting: Parting,
        now: Moment,
    ) -> Option<Applied> {
        let hash = key_hash(service, key);
        let mut leaf = self.leaf(hash);
        let record = self.record(hash).filter(|record| record.is(service, key))?;
        if record.lease.connection() != Some(connection) {
            self.holds.remove_earlier(hash, connection);
            return None;
        }
        let heir = self.holds.pop_earlier(hash);
        record.lease.set_connection(heir);
        let state = record.state();
        let listed = state.listed()?;
        if state.held_by != self.here() {
            return None;
        }
        record.lease.beat(now);
        match (heir, parting) {
            (Some(heir), _) => {
                let own = self.holds.content(heir, service, key)?;
                (own != *listed).then(|| {
                    let state = self.next_state(Body::Listed(own), self.here());
                    self.replace(&mut leaf, &record, state)
                })
            }
            (None, Parting::Linger) => None,
            (None, Parting::Release) => Some(self.release(&mut leaf, record.clone(), now)),
        }
    }

    fn release_orphan(&self, service: &ServiceKey, key: &InstanceKey, now: Moment) -> Option<Applied> {
        let hash = key_hash(service, key);
        let mut leaf = self.leaf(hash);
        let record = self.record(hash).filter(|record| record.is(service, key))?;
        let orphan = record.is_listed() && record.held_by().is_some() && record.lease.connection().is_none();
        orphan.then(|| self.release(&mut leaf, record.clone(), now))
    }

    fn release(&self, leaf: &mut Leaf, record: Arc<Record>, now: Moment) -> Applied {
        let (service, key, hash) = (record.service.clone(), record.key.clone(), record.hash);
        let state: State = self.next_state(Body::Gone(Gone::Released), None);
        self.put(leaf, Some(record), &service, key, hash, state, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cluster::{instance, key, service};
    use muster_model::MemberId;
    use muster_runtime::{Clock, HybridClock};
    use std::time::Duration;

    const NOW: Moment = Moment(1 << 40);

    /// Locks are taken in one order by all, so this ends; and what is noted beside the records agrees with them.
    #[test]
    fn threads_that_publish_withdraw_and_end_the_same_keys_leave_nothing_behind() {
        let hybrid = HybridClock::new(Clock::system());
        let store = Store::new(MemberId(1), hybrid, 1_000, Duration::from_secs(600));
        let s = service("a");
        let ended = |number| store.end(ConnectionId(number), Parting::Release, NOW);
        std::thread::scope(|threads| {
            for nth in 0..4u64 {
                let (store, s) = (&store, &s);
                threads.spawn(move || {
                    for round in 0..500u64 {
                        // Two threads share each connection's number.
                        let connection = ConnectionId(round * 2 + nth % 2);
                        let port = (round % 3) as u16;
                        let list = vec![instance(port), instance(port + 1)];
                        let _ = store.publish(connection, s, list, NOW);
                        let _ = store.publish(connection, s, vec![instance(port + 1)], NOW);
                        match nth {
                            0 => drop(store.withdraw(connection, s, &key(port), NOW)),
                            1 => drop(store.deregister(s, &key(port), NOW)),
                            _ => drop(store.end(connection, Parting::Release, NOW)),
                        }
                    }
                });
            }
        });
        for number in 0..1_000 {
            ended(number);
        }
        assert!(store.holds.is_empty());
        assert!(store.instances(&s).is_empty());
    }

    /// The first thing that a connection publishes, and its end, on two threads.
    #[test]
    fn a_first_list_that_races_the_end_of_its_connection_is_held_by_nobody_afterwards() {
        let hybrid = HybridClock::new(Clock::system());
        let store = Store::new(MemberId(1), hybrid, 1_000, Duration::from_secs(600));
        let s = service("a");
        let gate = std::sync::Barrier::new(2);
        let rounds = 20_000u64;
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for round in 0..rounds {
                    gate.wait();
                    let _ = store.publish(
                        ConnectionId(round),
                        &s,
                        vec![instance(1), instance(2), instance(3)],
                        NOW,
                    );
                    gate.wait();
                }
            });
            for round in 0..rounds {
                gate.wait();
                for _ in 0..round % 300 {
                    std::hint::spin_loop();
                }
                store.end(ConnectionId(round), Parting::Release, NOW);
                gate.wait();
            }
        });
        assert!(store.instances(&s).is_empty(), "left: {:?}", store.instances(&s).len());
        assert!(store.holds.is_empty());
    }
}
