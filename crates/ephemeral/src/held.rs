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
use std::collections::BTreeMap;
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
        let before = self.holds.published(connection, service);
        let was_published = |key: &InstanceKey| {
            let before = before.iter().flatten();
            before.into_iter().any(|instance| instance.key == *key)
        };
        let mut applied = Vec::new();
        let more = wanted.len().saturating_sub(before.as_ref().map_or(0, Vec::len));
        if !self.holds.open(connection, service, more) {
            return (applied, Err(self.full()));
        }
        let mut added = Vec::new();
        for (key, instance) in &wanted {
            match self.write(service, instance.clone(), Some(connection), now) {
                Ok((_, change)) => applied.extend(change),
                Err(error) => {
                    added.retain(|key| !was_published(key));
                    applied.extend(self.unpublish(connection, service, &added, now));
                    if before.is_none() {
                        self.holds.take(connection, service);
                    }
                    return (applied, Err(error));
                }
            }
            added.push(key.clone());
        }
        let gone = before
            .into_iter()
            .flatten()
            .map(|instance| instance.key.clone())
            .filter(|key| !wanted.contains_key(key))
            .collect::<Vec<_>>();
        applied.extend(self.unpublish(connection, service, &gone, now));
        (applied, Ok(()))
    }

    fn unpublish(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        keys: &[InstanceKey],
        now: Moment,
    ) -> Vec<Applied> {
        keys.iter()
            .filter_map(|key| {
                self.holds.remove(connection, service, key);
                self.part(connection, service, key, Parting::Release, now)
            })
            .collect()
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
