//! The store itself: a map in which the highest write to each key holds. Synchronous; time comes in.

use crate::answers::{Beat, Error};
use crate::holds::Holds;
use crate::leaf::{LEAVES, Leaf, leaf_of, minute_of};
use crate::lease::{Due, Lease, timings};
use crate::listing::Listings;
use crate::moment::Moment;
use crate::overtaken::Overtaken;
use crate::record::{Body, Gone, Holder, Phase, Record, State, Version, key_hash};
use crate::room::{Promise, Room};
use muster_membership::View;
use muster_model::{
    BeatTimings, ChangeId, ClientId, ConnectionId, Instance, InstanceEdit, InstanceKey, MemberId, ServiceKey, Stamp,
};
use muster_runtime::HybridClock;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// After a deregistration beats are swallowed for one beat interval and this: they were in flight (reference D5).
const IN_FLIGHT_BEAT_MS: u64 = 1_000;
/// Tombstones are kept two minutes longer than members compare them, so that all have what any compares.
const TOMBSTONE_SPARE_MINUTES: u64 = 2;

/// A write that the store has taken over.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Applied {
    pub(crate) service: ServiceKey,
    pub(crate) hash: u64,
    pub(crate) version: Version,
    /// Whether what is listed reads differently now; a mere new version does not.
    pub(crate) visible: bool,
}

/// What became of a record whose time was over.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expiry {
    Ended(Due, Applied),
    /// A connection of this node publishes it, and owns it again.
    Reclaimed(Applied),
}

pub(crate) struct Store {
    pub(crate) local: MemberId,
    pub(crate) hybrid: HybridClock,
    pub(crate) room: Room,
    tombstone_kept: Duration,
    /// For beats and merges: no lock. Every record of `leaves` and no other.
    index: papaya::HashMap<u64, Arc<Record>>,
    /// The owners of the records: all changes to a key happen under its leaf's lock, held for a few lines.
    leaves: Box<[Mutex<Leaf>]>,
    pub(crate) listings: Listings,
    pub(crate) holds: Holds,
    pub(crate) overtaken: Overtaken,
    /// Counts changes, for whoever writes copies.
    writes: AtomicU64,
}

impl Store {
    pub(crate) fn new(local: MemberId, hybrid: HybridClock, instances_max: usize, tombstone_kept: Duration) -> Self {
        Self {
            local,
            hybrid,
            room: Room::new(instances_max),
            tombstone_kept,
            index: papaya::HashMap::new(),
            leaves: (0..LEAVES).map(|_| Mutex::default()).collect(),
            listings: Listings::default(),
            holds: Holds::new(instances_max),
            overtaken: Overtaken::default(),
            writes: AtomicU64::new(0),
        }
    }

    // What clients ask for.

    pub(crate) fn register(
        &self,
        service: &ServiceKey,
        instance: Instance,
        now: Moment,
    ) -> Result<(ChangeId, Option<Applied>), Error> {
        self.write(service, instance, None, None, now)
    }

    /// Registers for a connection, or for a client that will beat. Whoever comes newest owns the lease: where only the
    /// owner differs, the others hear of it by a new version and readers do not.
    pub(crate) fn write(
        &self,
        service: &ServiceKey,
        mut instance: Instance,
        by: Option<ConnectionId>,
        promised: Option<&Promise<'_>>,
        now: Moment,
    ) -> Result<(ChangeId, Option<Applied>), Error> {
        let held_by = by.and_then(|_| self.here());
        let mut same = None;
        let hash = key_hash(service, &instance.key);
        let mut leaf = self.leaf(hash);
        let known = self.record(hash);
        if let Some(record) = &known {
            if !record.is(service, &instance.key) {
                tracing::error!(%service, key = %instance.key, "two keys share a hash: the later one is refused");
                return Err(self.full());
            }
            let state = record.state();
            same = state.listed().filter(|listed| ***listed == instance).cloned();
            let same_owner = state.held_by == held_by && (by.is_none() || by == record.lease.connection());
            if same.is_some() && same_owner {
                record.lease.beat(now);
                record.set_registered(self.hybrid.tick());
                if let (Some(connection), Some(listed)) = (by, same) {
                    self.hold(record, connection, listed);
                }
                return Ok((state.version.id(), None));
            }
        }
        let adds = known.as_ref().is_none_or(|record| !record.is_listed());
        let has_room = || promised.is_some_and(Promise::holds) || self.room.has(known.is_none());
        if adds && !has_room() {
            return Err(self.full());
        }
        let key = instance.key.clone();
        let listed = same.unwrap_or_else(|| {
            self.listings.share_with_sibling(service, &mut instance);
            Arc::new(instance)
        });
        let state = self.next_state(Body::Listed(listed.clone()), held_by);
        let id = state.version.id();
        let applied = self.put(&mut leaf, known, service, key, hash, state, now);
        if let Some(promised) = promised.filter(|_| adds) {
            promised.use_one();
        }
        if let Some(record) = self.record(hash) {
            record.lease.beat(now);
            if let Some(connection) = by {
                self.hold(&record, connection, listed);
            }
        }
        Ok((id, Some(applied)))
    }

    /// Leaves a tombstone for an unknown instance too: its registration may be on the way from another node.
    pub(crate) fn deregister(&self, service: &ServiceKey, key: &InstanceKey, now: Moment) -> Option<Applied> {
        let hash = key_hash(service, key);
        let mut leaf = self.leaf(hash);
        let known = self.record(hash);
        match &known {
            Some(record) if !record.is(service, key) || !record.is_listed() => return None,
            None if !self.room.has(true) => return None,
            _ => {}
        }
        let state = self.next_state(Body::Gone(Gone::Deregistered), None);
        Some(self.put(&mut leaf, known, service, key.clone(), hash, state, now))
    }

    /// The hot path: a look-up and two stores for a healthy instance.
    pub(crate) fn beat(&self, service: &ServiceKey, key: &InstanceKey, now: Moment) -> (Beat, Option<Applied>) {
        let hash = key_hash(service, key);
        let pinned = self.index.pin();
        let Some(record) = pinned.get(&hash).filter(|record| record.is(service, key)) else {
            return (Beat::Unknown, None);
        };
        let renewed = || Beat::Renewed {
            interval: Duration::from_millis(record.lease.interval_ms().into()),
        };
        if record.lease.is_held() {
            self.note_client(record, now);
        }
        if record.phase() == Phase::Healthy {
            record.lease.beat(now);
            // Looked at again, for somebody may have ended the lease in between.
            if record.phase() == Phase::Healthy {
                return (renewed(), None);
            }
        }
        match record.phase() {
            Phase::Healthy => (renewed(), None),
            Phase::Unhealthy => match self.revive(record, now) {
                Some(applied) => (renewed(), applied),
                None => (Beat::Unknown, None),
            },
            Phase::Deregistered => {
                let swallowed_ms = u64::from(record.lease.interval_ms()) + IN_FLIGHT_BEAT_MS;
                if now.since_ms(record.lease.seen()) <= swallowed_ms {
                    (Beat::JustDeregistered, None)
                } else {
                    (Beat::Unknown, None)
                }
            }
            Phase::Expired | Phase::Released => (Beat::Unknown, None),
        }
    }

    /// Makes an unhealthy instance healthy; `None` when it has gone meanwhile.
    fn revive(&self, record: &Arc<Record>, now: Moment) -> Option<Option<Applied>> {
        let mut leaf = self.leaf(record.hash);
        let listed = record.listed()?;
        record.lease.beat(now);
        // The health of what a connection holds is what its client said: silence has not made it so.
        if listed.healthy || record.held_by().is_some() {
            return Some(None);
        }
        let mut instance = (*listed).clone();
        instance.healthy = true;
        let state = self.next_state(Body::Listed(Arc::new(instance)), None);
        Some(Some(self.replace(&mut leaf, record, state)))
    }

    pub(crate) fn edit(
        &self,
        service: &ServiceKey,
        key: &InstanceKey,
        edit: &InstanceEdit,
    ) -> Result<(ChangeId, Option<Applied>), Error> {
        let hash = key_hash(service, key);
        let mut leaf = self.leaf(hash);
        let found = self
            .record(hash)
            .filter(|record| record.is(service, key))
            .and_then(|record| record.listed().map(|listed| (record, listed)));
        let Some((record, listed)) = found else {
            return Err(Error::InstanceNotFound {
                service: service.clone(),
                key: key.clone(),
            });
        };
        let mut edited = edit.apply(&listed);
        if edited == *listed {
            return Ok((record.version().id(), None));
        }
        self.listings.share_with_sibling(service, &mut edited);
        let state = self.next_state(Body::Listed(Arc::new(edited)), record.held_by());
        let applied = self.replace(&mut leaf, &record, state);
        Ok((applied.version.id(), Some(applied)))
    }

    // What is listed.

    pub(crate) fn instance(&self, service: &ServiceKey, key: &InstanceKey) -> Option<Arc<Instance>> {
        self.record(key_hash(service, key))
            .filter(|record| record.is(service, key))?
            .listed()
    }

    pub(crate) fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        self.listings.instances(service)
    }

    pub(crate) fn services(&self) -> Vec<ServiceKey> {
        self.listings.services()
    }

    pub(crate) fn services_count(&self) -> usize {
        self.listings.len()
    }

    pub(crate) fn instances_count(&self) -> usize {
        self.room.instances()
    }

    pub(crate) fn tombstones_count(&self) -> usize {
        self.room.tombstones()
    }

    /// Moves with every change.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Over all that is listed.
    pub(crate) fn digest(&self) -> u64 {
        self.leaves.iter().fold(0, |sum, leaf| sum ^ leaf.lock().listed())
    }

    // What peers ask for and say.

    /// The digest of every leaf, tombstones made before `from_minute` left out.
    pub(crate) fn leaf_digests(&self, from_minute: u64) -> Vec<u64> {
        self.leaves.iter().map(|leaf| leaf.lock().digest(from_minute)).collect()
    }

    /// The first minute whose tombstones members compare now.
    pub(crate) fn first_compared_minute(&self) -> u64 {
        let kept_ms = crate::moment::ms(self.tombstone_kept);
        minute_of(Stamp::from_millis(self.hybrid.now_ms().saturating_sub(kept_ms))) + 1
    }

    pub(crate) fn record(&self, hash: u64) -> Option<Arc<Record>> {
        self.index.pin().get(&hash).cloned()
    }

    pub(crate) fn records_of_leaf(&self, index: usize) -> Vec<Arc<Record>> {
        self.leaves
            .get(index)
            .map_or_else(Vec::new, |leaf| leaf.lock().records.clone())
    }

    /// Looks at each record of a leaf, without copying; `look` must be short.
    pub(crate) fn for_each_of_leaf(&self, index: usize, mut look: impl FnMut(&Arc<Record>)) {
        for record in &self.leaves[index].lock().records {
            look(record);
        }
    }

    /// A peer has seen the instance then.
    pub(crate) fn seen(&self, hash: u64, seen: Moment) {
        if let Some(record) = self.index.pin().get(&hash).filter(|record| record.is_listed()) {
            record.lease.renew_to(seen);
        }
    }

    // What silence does.

    /// Marks or removes what is due, if it still is. The caller is responsible for it and has asked the others.
    pub(crate) fn expire(&self, record: &Arc<Record>, now: Moment) -> Option<Expiry> {
        let mut leaf = self.leaf(record.hash);
        let listed = record.listed()?;
        let due = record.lease.due(now)?;
        if let Some(connection) = record.lease.connection() {
            return Some(Expiry::Reclaimed(self.reclaim(&mut leaf, record, connection, now)));
        }
        let mut state = match due {
            Due::Remove => self.next_state(Body::Gone(Gone::Expired), None),
            Due::Mark if !listed.healthy => return None,
            Due::Mark => {
                let mut instance = (*listed).clone();
                instance.healthy = false;
                self.next_state(Body::Listed(Arc::new(instance)), record.held_by())
            }
        };
        state.by_silence = due == Due::Mark;
        Some(Expiry::Ended(due, self.replace(&mut leaf, record, state)))
    }

    /// Forgets the tombstones of a leaf that are older than any member compares.
    pub(crate) fn forget_old_tombstones(&self, index: usize) {
        let before = self.first_compared_minute().saturating_sub(TOMBSTONE_SPARE_MINUTES);
        let mut leaf = self.leaves[index].lock();
        if !leaf.has_gone_before(before) {
            return;
        }
        let mut forgotten = Vec::new();
        leaf.records.retain(|record| {
            let state = record.state();
            let old = state.is_gone() && minute_of(state.version.stamp) < before;
            if old {
                forgotten.push((record.hash, state));
            }
            !old
        });
        leaf.records.shrink_to_fit();
        for (hash, state) in &forgotten {
            leaf.toggle(*hash, state);
            self.index.pin().remove(hash);
        }
        self.room.forgotten(forgotten.len());
    }

    // How a state is replaced.

    pub(crate) fn leaf(&self, hash: u64) -> MutexGuard<'_, Leaf> {
        self.leaves[leaf_of(hash)].lock()
    }

    pub(crate) fn next_version(&self) -> Version {
        Version {
            stamp: self.hybrid.tick(),
            origin: self.local,
        }
    }

    pub(crate) fn next_state(&self, body: Body, held_by: Option<Holder>) -> State {
        State {
            version: self.next_version(),
            body,
            held_by,
            by_silence: false,
        }
    }

    pub(crate) fn full(&self) -> Error {
        Error::Full {
            instances_max: self.room.instances_max,
        }
    }

    /// Puts a state under a key, known or new. `seen` begins a lease that has not been running, and is what a removal
    /// rests on.
    #[allow(clippy::too_many_arguments, reason = "the parts of one record")]
    pub(crate) fn put(
        &self,
        leaf: &mut Leaf,
        known: Option<Arc<Record>>,
        service: &ServiceKey,
        key: InstanceKey,
        hash: u64,
        state: State,
        seen: Moment,
    ) -> Applied {
        if let Some(record) = known {
            if record.is_listed() && !state.is_gone() {
                record.lease.renew_to(seen);
            } else {
                record.lease.reset_to(seen);
            }
            return self.replace(leaf, &record, state);
        }
        let service = self.listings.shared_key(service);
        let timings = state
            .listed()
            .map_or_else(BeatTimings::default, |listed| timings(listed, state.held_by.is_some()));
        let client_hash = View::hash_of(ClientId::of_address(&key).as_str());
        let lease = Lease::new(timings, seen);
        lease.set_held(state.held_by.is_some());
        let record = Arc::new(Record::new(
            service.clone(),
            key,
            hash,
            client_hash,
            lease,
            state.clone(),
        ));
        leaf.toggle(hash, &state);
        leaf.records.push(record.clone());
        self.index.pin().insert(hash, record);
        self.writes.fetch_add(1, Ordering::AcqRel);
        let visible = match &state.body {
            Body::Listed(instance) => {
                self.room.listed_new();
                self.listings.put(&service, instance.clone());
                true
            }
            Body::Gone(_) => {
                self.room.gone_new();
                false
            }
        };
        Applied {
            service,
            hash,
            version: state.version,
            visible,
        }
    }

    /// Replaces the state of a record in its leaf, whose lock is held.
    pub(crate) fn replace(&self, leaf: &mut Leaf, record: &Arc<Record>, state: State) -> Applied {
        let (hash, version) = (record.hash, state.version);
        leaf.toggle(hash, &state);
        let before = record.replace(state.clone());
        leaf.toggle(hash, &before);
        self.writes.fetch_add(1, Ordering::AcqRel);
        if state.is_gone() {
            self.drop_holds(record);
        }
        let visible = match (before.listed(), &state.body) {
            (earlier, Body::Listed(instance)) => {
                record.lease.set_timings(timings(instance, state.held_by.is_some()));
                record.lease.set_held(state.held_by.is_some());
                let here = self.here();
                if let Some(connection) = record.lease.connection()
                    && before.held_by == here
                    && state.held_by != here
                {
                    self.overtaken.note(connection);
                }
                if earlier.is_none() {
                    self.room.listed_again();
                }
                let visible = earlier.is_none_or(|earlier| earlier != instance);
                if visible {
                    self.listings.put(&record.service, instance.clone());
                }
                visible
            }
            (Some(_), Body::Gone(_)) => {
                self.room.gone();
                self.listings.remove(&record.service, &record.key);
                true
            }
            (None, Body::Gone(_)) => false,
        };
        Applied {
            service: record.service.clone(),
            hash,
            version,
            visible,
        }
    }
}
