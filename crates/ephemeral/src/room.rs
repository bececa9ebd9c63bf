//! How many instances and tombstones there are, and may be.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Room {
    pub(crate) instances_max: usize,
    instances: AtomicUsize,
    tombstones: AtomicUsize,
    /// Instances that lists on their way in may add yet.
    promised: AtomicUsize,
}

/// Room for what a list adds, so that a list which is begun is not refused in its middle. What is left of it is given back
/// at its end.
pub(crate) struct Promise<'a> {
    room: &'a Room,
    left: Cell<usize>,
}

impl Room {
    pub(crate) fn new(instances_max: usize) -> Self {
        Self {
            instances_max,
            instances: AtomicUsize::new(0),
            tombstones: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
        }
    }

    pub(crate) fn instances(&self) -> usize {
        self.instances.load(Ordering::Relaxed)
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.tombstones.load(Ordering::Relaxed)
    }

    pub(crate) fn records(&self) -> usize {
        self.instances() + self.tombstones()
    }

    /// As many tombstones again are kept beside the instances.
    pub(crate) fn records_max(&self) -> usize {
        self.instances_max.saturating_mul(2)
    }

    /// Whether one instance more may be listed, of a key that is new or known.
    pub(crate) fn has(&self, new_key: bool) -> bool {
        self.fits(self.promised.load(Ordering::Acquire) + 1, usize::from(new_key))
    }

    /// Room for so many more instances, some of them of new keys; `None` when there is not so much.
    pub(crate) fn promise(&self, instances: usize, new_keys: usize) -> Option<Promise<'_>> {
        let promised = self.promised.fetch_add(instances, Ordering::AcqRel) + instances;
        let promise = Promise {
            room: self,
            left: Cell::new(instances),
        };
        (instances == 0 || self.fits(promised, new_keys)).then_some(promise)
    }

    fn fits(&self, instances: usize, new_keys: usize) -> bool {
        self.instances() + instances <= self.instances_max
            && (new_keys == 0 || self.records() + new_keys <= self.records_max())
    }

    // What has become of a record.

    pub(crate) fn listed_new(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn gone_new(&self) {
        self.tombstones.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn listed_again(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
        self.tombstones.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn gone(&self) {
        self.tombstones.fetch_add(1, Ordering::Relaxed);
        self.instances.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn forgotten(&self, tombstones: usize) {
        self.tombstones.fetch_sub(tombstones, Ordering::Relaxed);
    }
}

impl Promise<'_> {
    /// Whether there is room for one more.
    pub(crate) fn holds(&self) -> bool {
        self.left.get() > 0
    }

    /// One of it is listed now.
    pub(crate) fn use_one(&self) {
        if let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            self.room.promised.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.room.promised.fetch_sub(self.left.get(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_to_one_is_not_given_to_another_and_what_is_left_comes_back() {
        let room = Room::new(3);
        let promise = room.promise(2, 2).unwrap();
        assert!(room.has(true));
        assert!(room.promise(2, 2).is_none(), "and a refusal takes nothing");
        room.listed_new();
        promise.use_one();
        assert!(promise.holds() && room.promise(1, 1).is_some());
        assert!(room.promise(2, 2).is_none());
        drop(promise);
        assert!(room.promise(2, 2).is_some());
        room.listed_new();
        room.listed_new();
        assert!(!room.has(false) && room.promise(1, 0).is_none());
        assert!(room.promise(0, 0).is_some(), "who adds nothing needs no room");
    }
}
