//! The rules of leases that are connections. Synchronous; time comes in.
//!
//! - The newest registration of a key owns its lease, be it a connection's or one that beats renew.
//! - When the connection that owns it goes, the record goes at once: unless another connection of this node publishes it,
//!   which then owns it, or a client beats for it, or the record belongs to somebody newer by now.
//! - While a connection of this node publishes a key, nobody's silence and no other connection's end removes it: this node
//!   takes it back with a newer write. A deregistration is an order, and is not answered so, be it by name or that of the
//!   client whose registration is the newest; it ends the publishing of that key, by all, and whoever is there may publish
//!   it again.

use crate::answers::Error;
use crate::leaf::Leaf;
use crate::moment::{Moment, ms};
use crate::record::{Body, Gone, Holder, Record, State, Version, key_hash};
use crate::room::Promise;
use crate::store::{Applied, Store};
use muster_model::{ConnectionId, Instance, InstanceKey, ServiceKey};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What becomes of a record that its connection publishes no more.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Parting {
    /// Its client says so: it goes, whoever else publishes it. One who reconnects leaves a broken connection behind, whose
    /// word would bring back what the client has taken away.
    Order,
    /// The connection has ended: it goes, too.
    Release,
    /// It has a last lease: its client is likely to be on the way to another node.
    Linger,
    /// It was taken over by a list that could not be taken in: it is again what it was.
    GiveBack(State),
}

/// What an ended connection published, and what of it has not been parted with yet.
pub(crate) struct Departure {
    connection: ConnectionId,
    lists: Vec<(ServiceKey, Vec<Arc<Instance>>)>,
}

impl Departure {
    pub(crate) fn is_done(&self) -> bool {
        self.lists.is_empty()
    }
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
        let Some(promise) = self.promise(service, wanted.keys()) else {
            return (Vec::new(), Err(self.full()));
        };
        if !self.holds.open(connection, service, more) {
            return (Vec::new(), Err(self.full()));
        }
        let (mut applied, mut kept, mut earlier) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let mut answer = Ok(());
        for (key, instance) in wanted {
            if !before.contains(&key) {
                earlier.insert(key.clone(), self.listed_state(service, &key));
            }
            kept.insert(key);
            match self.write(service, instance, Some(connection), Some(&promise), now) {
                Ok((_, change)) => applied.extend(change),
                Err(error) => {
                    answer = Err(error);
                    break;
                }
            }
        }
        if answer.is_ok() {
            let gone: BTreeSet<InstanceKey> = before.difference(&kept).cloned().collect();
            applied.extend(self.part_all(connection, service, &gone, |_| Parting::Order, now));
        } else {
            let taken = earlier.keys().cloned().collect();
            let back = |key: &InstanceKey| match earlier.get(key) {
                Some(Some(state)) => Parting::GiveBack(state.clone()),
                _ => Parting::Release,
            };
            applied.extend(self.part_all(connection, service, &taken, back, now));
            if opens {
                self.holds.take(connection, service);
            }
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
                let parted = instances.iter().rev();
                return parted
                    .filter_map(|instance| self.part(connection, service, &instance.key, &Parting::Order, now))
                    .collect();
            }
        }
        self.release_orphan(service, named, now).into_iter().collect()
    }

    /// The connection is gone, and publishes nothing any more. What it has published is to be parted with.
    pub(crate) fn end(&self, connection: ConnectionId) -> Departure {
        let turn = self.holds.mark_ended(connection);
        self.depart(connection, turn)
    }

    /// As [`Store::end`], of a connection that goes on and may publish again.
    pub(crate) fn leave(&self, connection: ConnectionId) -> Departure {
        let turn = self.holds.turn_of_publisher(connection);
        self.depart(connection, turn)
    }

    fn depart(&self, connection: ConnectionId, turn: Option<Arc<Mutex<()>>>) -> Departure {
        let _turn = turn.as_ref().map(|turn| turn.lock());
        Departure {
            connection,
            lists: self.holds.take_all(connection),
        }
    }

    /// Parts with as many as `most` of what is left.
    pub(crate) fn part_some(
        &self,
        departure: &mut Departure,
        parting: &Parting,
        most: usize,
        now: Moment,
    ) -> Vec<Applied> {
        let mut applied = Vec::new();
        for _ in 0..most {
            let Some((service, instances)) = departure.lists.last_mut() else {
                break;
            };
            // From the end on: a list in order gives its last one away without moving the others.
            match instances.pop() {
                Some(instance) => {
                    let parted = self.part(departure.connection, service, &instance.key, parting, now);
                    applied.extend(parted);
                }
                None => drop(departure.lists.pop()),
            }
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
                self.overtaken.note(earlier);
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

    /// A client's own beat came for a record that a connection holds: here, or at a member that tells of it.
    pub(crate) fn note_client(&self, record: &Record, now: Moment) {
        record.lease.set_beaten_by_client();
        self.note_client_here(record, now);
    }

    pub(crate) fn note_client_here(&self, record: &Record, at: Moment) {
        if record.lease.connection().is_none() {
            return;
        }
        let _leaf = self.leaf(record.hash);
        if record.lease.connection().is_some() {
            self.holds.note_beating(record.hash, at);
        }
    }

    /// Room for what a list adds to what is listed.
    fn promise<'a>(&self, service: &ServiceKey, keys: impl Iterator<Item = &'a InstanceKey>) -> Option<Promise<'_>> {
        let (mut adds, mut new_keys) = (0, 0);
        for key in keys {
            let known = self.record(key_hash(service, key));
            new_keys += usize::from(known.is_none());
            adds += usize::from(known.is_none_or(|record| !record.is_listed()));
        }
        self.room.promise(adds, new_keys)
    }

    fn listed_state(&self, service: &ServiceKey, key: &InstanceKey) -> Option<State> {
        let record = self.record(key_hash(service, key));
        let state = record.filter(|record| record.is(service, key))?.state();
        (!state.is_gone()).then_some(state)
    }

    /// A connection publishes these keys no more.
    fn part_all(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        keys: &BTreeSet<InstanceKey>,
        parting: impl Fn(&InstanceKey) -> Parting,
        now: Moment,
    ) -> Vec<Applied> {
        self.holds.remove(connection, service, keys);
        let parted = keys.iter().rev();
        parted
            .filter_map(|key| self.part(connection, service, key, &parting(key), now))
            .collect()
    }

    /// A connection publishes a key no more.
    fn part(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        key: &InstanceKey,
        parting: &Parting,
        now: Moment,
    ) -> Option<Applied> {
        let hash = key_hash(service, key);
        let mut leaf = self.leaf(hash);
        let record = self.record(hash).filter(|record| record.is(service, key))?;
        if record.lease.connection() != Some(connection) {
            self.holds.remove_earlier(hash, connection);
            return None;
        }
        // One that left naming and is back already has published it anew.
        if self.holds.content(connection, service, key).is_some() {
            return None;
        }
        let state = record.state();
        let listed = state.listed().filter(|_| state.held_by == self.here());
        if listed.is_some() && *parting == Parting::Order {
            let order = self.next_state(Body::Gone(Gone::Deregistered), None);
            let (service, key) = (record.service.clone(), record.key.clone());
            return Some(self.put(&mut leaf, Some(record), &service, key, hash, order, now));
        }
        let heir = self.holds.pop_earlier(hash);
        record.lease.set_connection(heir);
        if let Some(heir) = heir {
            let listed = listed?;
            record.lease.beat(now);
            let own = self.holds.content(heir, service, key)?;
            let differs = own != *listed;
            return differs.then(|| {
                let state = self.next_state(Body::Listed(own), self.here());
                self.replace(&mut leaf, &record, state)
            });
        }
        let beaten = self.holds.take_beating(hash);
        let listed = listed?;
        let beats = beaten.is_some_and(|at| now.since_ms(at) <= ms(listed.timings().timeout));
        let next = match parting {
            Parting::GiveBack(earlier) => self.next_state(earlier.body.clone(), earlier.held_by),
            Parting::Linger => {
                record.lease.beat(now);
                return None;
            }
            // From here on it lives by those beats.
            Parting::Release if beats => self.next_state(Body::Listed(listed.clone()), None),
            Parting::Release | Parting::Order => return Some(self.release(&mut leaf, record, state.version, now)),
        };
        Some(self.replace(&mut leaf, &record, next))
    }

    fn release_orphan(&self, service: &ServiceKey, key: &InstanceKey, now: Moment) -> Option<Applied> {
        let hash = key_hash(service, key);
        let mut leaf = self.leaf(hash);
        let record = self.record(hash).filter(|record| record.is(service, key))?;
        let orphan = record.is_listed() && record.held_by().is_some() && record.lease.connection().is_none();
        orphan.then(|| self.release(&mut leaf, record.clone(), record.version(), now))
    }

    /// Ends a claim, and all before it: whoever has registered the key since, unheard of here, keeps it.
    pub(crate) fn release(&self, leaf: &mut Leaf, record: Arc<Record>, claim: Version, now: Moment) -> Applied {
        let (service, key, hash) = (record.service.clone(), record.key.clone(), record.hash);
        let state = self.next_state(Body::Gone(Gone::Released(Box::new(claim))), None);
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

    fn all_of(store: &Store, connection: ConnectionId) {
        let mut departure = store.end(connection);
        while !departure.is_done() {
            store.part_some(&mut departure, &Parting::Release, 2, NOW);
        }
    }

    /// Locks are taken in one order by all, so this ends; and what is noted beside the records agrees with them.
    #[test]
    fn threads_that_publish_withdraw_and_end_the_same_keys_leave_nothing_behind() {
        let hybrid = HybridClock::new(Clock::system());
        let store = Store::new(MemberId(1), hybrid, 1_000, Duration::from_secs(600));
        let s = service("a");
        let ended = |number| all_of(&store, ConnectionId(number));
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
                            _ => all_of(store, connection),
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

    #[test]
    fn what_a_list_had_taken_over_is_given_back_to_whom_it_belonged() {
        let hybrid = HybridClock::new(Clock::system());
        let store = Store::new(MemberId(1), hybrid, 1_000, Duration::from_secs(600));
        let (s, mine) = (service("a"), ConnectionId(1));
        let mut heavy = instance(1);
        heavy.weight = muster_model::Weight::new(9.0).unwrap();
        store.register(&s, heavy.clone(), NOW).unwrap();
        let earlier = store.listed_state(&s, &key(1)).unwrap();
        store.publish(mine, &s, vec![instance(1)], NOW).1.unwrap();
        let back = |_: &InstanceKey| Parting::GiveBack(earlier.clone());
        assert_eq!(store.part_all(mine, &s, &[key(1)].into(), back, NOW).len(), 1);
        let now = store.listed_state(&s, &key(1)).unwrap();
        assert_eq!((now.listed(), now.held_by), (Some(&Arc::new(heavy)), None));
        all_of(&store, mine);
        assert_eq!(store.instances(&s).len(), 1);
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
                all_of(&store, ConnectionId(round));
                gate.wait();
            }
        });
        assert!(store.instances(&s).is_empty(), "left: {:?}", store.instances(&s).len());
        assert!(store.holds.is_empty());
    }
}
