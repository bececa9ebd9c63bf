//! The read model: every service's newest snapshot, folded from both stores when somebody looks.

use crate::fold::{self, Content};
use crate::listing::Listing;
use crate::metrics;
use crate::news::News;
use crate::slot::{Folding, Marked, Slot};
use crate::stores::{Stores, Subscribers};
use crate::{Config, Error};
use muster_model::{ChangeSink, Renders, ServiceKey, ServiceSnapshot, Trace};
use muster_push::Snapshots;
use muster_runtime::HybridClock;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Takes the stores' changes before the stores exist: made first, handed to both stores and to `push`, and given to
/// [`Naming::start`](crate::Naming::start) in the end. Changes that come before are kept as dirty services.
#[derive(Clone)]
pub struct Changes(pub(crate) Arc<ReadModel>);

impl Changes {
    pub fn new(config: Config, hybrid: HybridClock) -> Self {
        Self(Arc::new(ReadModel {
            config,
            hybrid,
            slots: papaya::HashMap::new(),
            joined: OnceLock::new(),
            unfolded: Mutex::default(),
            batches: Mutex::default(),
            listing: Listing::default(),
            vacant: Mutex::default(),
            floor: Floor::default(),
            ephemeral_instances: AtomicI64::new(0),
            persistent_instances: AtomicI64::new(0),
            masked_services: AtomicI64::new(0),
            probed: Mutex::default(),
            probed_changed: Notify::new(),
            news: Arc::default(),
        }))
    }
}

impl ChangeSink for Changes {
    fn changed(&self, service: &ServiceKey, trace: Trace) {
        self.0.mark(service, Some(trace));
    }
}

impl Snapshots for Changes {
    fn newest(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        self.0.snapshot(service)
    }
}

/// What the read model needs once there are stores.
pub(crate) struct Joined {
    pub(crate) stores: Stores,
    pub(crate) push: Arc<dyn Subscribers>,
}

/// What every snapshot of a slot to come must be above, because a slot of its name may have been dropped or an answer
/// without a slot been given.
#[derive(Default)]
struct Floor {
    revision: AtomicU64,
    stamp_ms: AtomicU64,
}

impl Floor {
    fn raise(&self, revision: u64, stamp_ms: u64) {
        self.revision.fetch_max(revision, Ordering::SeqCst);
        self.stamp_ms.fetch_max(stamp_ms, Ordering::SeqCst);
    }
}

/// Slots by service, and what is kept about all of them together. Owned by nobody in particular: each field guards
/// itself. Locks are taken in this order and never the other way: `batches`, a slot's fold, then one of the others for a
/// few lines.
pub(crate) struct ReadModel {
    config: Config,
    pub(crate) hybrid: HybridClock,
    slots: papaya::HashMap<ServiceKey, Arc<Slot>>,
    joined: OnceLock<Joined>,
    /// Slots marked and not yet folded by the keeper; each at most once, so bounded by the slots.
    unfolded: Mutex<Vec<Arc<Slot>>>,
    /// Held while a batch is folded, so that a listing waits for slots that another thread has taken out of the list and
    /// not folded yet.
    batches: Mutex<()>,
    pub(crate) listing: Listing,
    /// Slots whose service neither store knows; they stay only while somebody subscribes.
    vacant: Mutex<HashSet<ServiceKey>>,
    floor: Floor,
    ephemeral_instances: AtomicI64,
    persistent_instances: AtomicI64,
    masked_services: AtomicI64,
    /// Services whose persistent instances or settings may have changed since the prober looked; a set of slots.
    probed: Mutex<HashSet<ServiceKey>>,
    pub(crate) probed_changed: Notify,
    /// Who watches the names come and go.
    pub(crate) news: Arc<News>,
}

impl ReadModel {
    /// Gives the model its stores; from here on it answers.
    pub(crate) fn join(&self, joined: Joined) {
        let stores = joined.stores.clone();
        assert!(
            self.joined.set(joined).is_ok(),
            "a read model is joined to its stores once"
        );
        for service in stores.ephemeral.services() {
            self.mark(&service, None);
        }
        for (service, _) in stores.persistent.services() {
            self.mark(&service, None);
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn slots_kept(&self) -> usize {
        self.slots.len()
    }

    /// Ephemeral and persistent instances, as last folded.
    pub(crate) fn instances(&self) -> (usize, usize) {
        let read = |count: &AtomicI64| usize::try_from(count.load(Ordering::Relaxed)).unwrap_or(0);
        (read(&self.ephemeral_instances), read(&self.persistent_instances))
    }

    /// Services whose protection shows somebody as healthy who is not, as last folded.
    pub(crate) fn masked_services(&self) -> i64 {
        self.masked_services.load(Ordering::Relaxed)
    }

    /// Notes that a store has changed. Calls no store: it is called from their apply paths.
    pub(crate) fn mark(&self, service: &ServiceKey, trace: Option<Trace>) {
        loop {
            let slot = self.slot(service);
            match slot.mark(trace) {
                Marked::Noted => break,
                Marked::Enqueue => {
                    self.unfolded.lock().push(slot);
                    self.news.wake();
                    break;
                }
                // Its remover is between retiring and removing; helping it along means that nobody waits.
                Marked::Retired => self.remove(&slot),
            }
        }
        if let Some(joined) = self.joined.get() {
            joined.push.changed(service);
        }
    }

    /// The list as the stores hold it now.
    pub(crate) fn snapshot(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        // The path of every query: no count of the slot is touched.
        if let Some(slot) = self.slots.pin().get(service) {
            return self.newest_of(slot);
        }
        self.unknown(service)
    }

    /// As [`ReadModel::snapshot`], and the service keeps a slot; `None` if there is no room for one.
    pub(crate) fn snapshot_kept(&self, service: &ServiceKey) -> Option<Arc<ServiceSnapshot>> {
        self.room_for(service).ok()?;
        let slot = self.slot(service);
        Some(self.newest_of(&slot))
    }

    /// Whether a door may make this name known.
    pub(crate) fn room_for(&self, service: &ServiceKey) -> Result<(), Error> {
        let services_max = self.config.services_max;
        if self.slots.len() >= services_max && self.find(service).is_none() {
            return Err(Error::Full(format!(
                "it keeps {services_max} services and takes no more"
            )));
        }
        Ok(())
    }

    /// Folds at most `slots_max` of the slots that were marked; says whether more wait.
    pub(crate) fn fold_some(&self, slots_max: usize) -> bool {
        let _guard = self.batches.lock();
        let (batch, more) = {
            let mut unfolded = self.unfolded.lock();
            let rest = unfolded.len().saturating_sub(slots_max);
            (unfolded.split_off(rest), rest > 0)
        };
        for slot in batch {
            slot.dequeued();
            self.newest_of(&slot);
        }
        more
    }

    /// Brings the listing and the counts up to date.
    pub(crate) fn fold_all(&self) {
        self.fold_some(usize::MAX);
    }

    /// Drops the slots that hold nothing and that nobody subscribes to.
    pub(crate) fn drop_vacant(&self) {
        let Some(joined) = self.joined.get() else { return };
        let mut vacant = self.vacant.lock().clone();
        if vacant.is_empty() {
            return;
        }
        let wanted = joined.push.wanted(&vacant);
        vacant.retain(|service| !wanted.contains(service));
        for service in vacant {
            let Some(slot) = self.find(&service) else { continue };
            let retired = slot.retire(|snapshot| !snapshot.exists && snapshot.instances.is_empty());
            if retired {
                self.remove(&slot);
            }
        }
    }

    /// Services for the prober to look at again.
    pub(crate) fn take_probed(&self) -> HashSet<ServiceKey> {
        std::mem::take(&mut *self.probed.lock())
    }

    fn find(&self, service: &ServiceKey) -> Option<Arc<Slot>> {
        self.slots.pin().get(service).cloned()
    }

    fn slot(&self, service: &ServiceKey) -> Arc<Slot> {
        let slots = self.slots.pin();
        slots
            .get_or_insert_with(service.clone(), || Arc::new(Slot::new(service.clone())))
            .clone()
    }

    fn remove(&self, slot: &Arc<Slot>) {
        // First the floor: whoever makes the next slot of this name reads it after the removal.
        let last = slot.published();
        self.floor.raise(last.revision, last.stamp_ms);
        self.vacant.lock().remove(&slot.key);
        let _ = self.slots.pin().remove_if(&slot.key, |_, kept| Arc::ptr_eq(kept, slot));
    }

    fn newest_of(&self, slot: &Slot) -> Arc<ServiceSnapshot> {
        slot.fresh().unwrap_or_else(|| self.fold(slot))
    }

    /// The answer about a name that no store has spoken of. Leaves nothing behind but the floor, so that a list that
    /// comes later is later by its stamp too.
    fn unknown(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        let absent = self.absent(service);
        // A slot made meanwhile may have read the floor before it was raised; then it is the one to answer.
        match self.find(service) {
            Some(slot) => self.newest_of(&slot),
            None => absent,
        }
    }

    fn absent(&self, service: &ServiceKey) -> Arc<ServiceSnapshot> {
        let stamp_ms = self.hybrid.now_ms().max(self.floor.stamp_ms.load(Ordering::SeqCst));
        self.floor.raise(0, stamp_ms);
        Arc::new(ServiceSnapshot {
            key: service.clone(),
            revision: self.floor.revision.load(Ordering::SeqCst),
            stamp_ms,
            exists: false,
            instances: Box::default(),
            settings: fold::no_settings(),
            trace: None,
            renders: Renders::default(),
        })
    }

    fn fold(&self, slot: &Slot) -> Arc<ServiceSnapshot> {
        let Some(joined) = self.joined.get() else {
            // Before the start there is nothing to fold from, and the slot stays marked.
            return self.absent(&slot.key);
        };
        let Some(folding) = slot.begin_fold() else {
            return slot.published();
        };
        let record = joined.stores.persistent.service(&slot.key);
        let content = Content::join(joined.stores.ephemeral.instances(&slot.key), record.as_deref());
        let last = slot.published();
        if last.revision > 0 && content.is_shown_by(&last) {
            metrics::FOLDS.equal.inc();
            self.note_vacancy(slot, &content);
            return folding.finish(None);
        }
        metrics::FOLDS.published.inc();
        let next = self.next(slot, &last, content, &folding);
        folding.finish(Some(next))
    }

    /// The next snapshot of a slot, noted in the listing and the counts.
    fn next(&self, slot: &Slot, last: &ServiceSnapshot, content: Content, folding: &Folding<'_>) -> ServiceSnapshot {
        let (revision, stamp_ms) = if last.revision == 0 {
            let floor = &self.floor;
            (
                floor.revision.load(Ordering::SeqCst),
                floor.stamp_ms.load(Ordering::SeqCst),
            )
        } else {
            (last.revision, last.stamp_ms)
        };
        match (last.exists, content.exists) {
            (false, true) => {
                self.listing.insert(&slot.key);
                self.news.tell(&slot.key, true);
            }
            (true, false) => {
                self.listing.remove(&slot.key);
                self.news.tell(&slot.key, false);
            }
            _ => {}
        }
        self.note_vacancy(slot, &content);
        let (before, after) = (fold::kinds(&last.instances), fold::kinds(&content.instances));
        let add =
            |count: &AtomicI64, from: usize, to: usize| count.fetch_add(to as i64 - from as i64, Ordering::Relaxed);
        add(&self.ephemeral_instances, before.0, after.0);
        add(&self.persistent_instances, before.1, after.1);
        let masks = |of: &[_], settings: &_| usize::from(fold::masks(of, settings));
        let masked = masks(&last.instances, &last.settings);
        add(
            &self.masked_services,
            masked,
            masks(&content.instances, &content.settings),
        );
        if before.1 + after.1 > 0 {
            self.probed.lock().insert(slot.key.clone());
            self.probed_changed.notify_one();
        }
        ServiceSnapshot {
            key: slot.key.clone(),
            revision: revision + 1,
            stamp_ms: fold::next_stamp_ms(self.hybrid.now_ms(), stamp_ms, folding.newest),
            exists: content.exists,
            instances: content.instances,
            settings: content.settings,
            trace: folding.trace,
            renders: Renders::default(),
        }
    }

    fn note_vacancy(&self, slot: &Slot, content: &Content) {
        let mut vacant = self.vacant.lock();
        if content.exists || content.recorded {
            vacant.remove(&slot.key);
        } else if !vacant.contains(&slot.key) {
            vacant.insert(slot.key.clone());
        }
    }
}
