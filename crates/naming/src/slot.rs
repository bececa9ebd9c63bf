//! The place of one service in the read model.

use arc_swap::ArcSwap;
use muster_model::{Renders, ServiceKey, ServiceSnapshot, Stamp, Trace};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One service: its newest snapshot, and whether stores have said anything since it was folded.
///
/// `folded <= marked`; equal means that `published` shows what the stores hold. Two locks, never taken the other way
/// round: `folding` is held over reads of the stores, `marks` for a few lines and never over a call, because stores
/// report changes from their apply paths.
pub(crate) struct Slot {
    pub(crate) key: ServiceKey,
    published: ArcSwap<ServiceSnapshot>,
    /// Counts what stores have reported; moves under `marks`.
    marked: AtomicU64,
    /// The count that `published` covers; moves under `folding`.
    folded: AtomicU64,
    marks: Mutex<Marks>,
    folding: Mutex<()>,
}

#[derive(Default)]
struct Marks {
    /// The latest change since the last fold.
    trace: Option<Trace>,
    /// The latest change ever.
    newest: Stamp,
    /// In the list of slots to be folded.
    queued: bool,
    /// Taken out of the map; whoever still holds it must look again.
    retired: bool,
}

/// What came of reporting a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Marked {
    Noted,
    /// Noted, and the caller is to put the slot into the list of those to be folded.
    Enqueue,
    /// The slot is on its way out: the change belongs into a new one.
    Retired,
}

/// The right to fold a slot, and what was reported until it was taken.
pub(crate) struct Folding<'a> {
    slot: &'a Slot,
    marked: u64,
    pub(crate) trace: Option<Trace>,
    pub(crate) newest: Stamp,
    _guard: MutexGuard<'a, ()>,
}

impl Slot {
    /// A slot that has never been folded; its snapshot has revision 0 and is never handed out.
    pub(crate) fn new(key: ServiceKey) -> Self {
        let blank = ServiceSnapshot {
            key: key.clone(),
            revision: 0,
            stamp_ms: 0,
            exists: false,
            instances: Box::default(),
            settings: crate::fold::no_settings(),
            trace: None,
            renders: Renders::default(),
        };
        Self {
            key,
            published: ArcSwap::from_pointee(blank),
            marked: AtomicU64::new(1),
            folded: AtomicU64::new(0),
            marks: Mutex::default(),
            folding: Mutex::default(),
        }
    }

    /// Notes that a store has changed.
    pub(crate) fn mark(&self, trace: Option<Trace>) -> Marked {
        let mut marks = self.marks.lock();
        if marks.retired {
            return Marked::Retired;
        }
        if let Some(trace) = trace {
            marks.newest = marks.newest.max(trace.stamp);
            if marks.trace.is_none_or(|earlier| earlier.stamp <= trace.stamp) {
                marks.trace = Some(trace);
            }
        }
        self.marked.fetch_add(1, Ordering::AcqRel);
        if std::mem::replace(&mut marks.queued, true) {
            Marked::Noted
        } else {
            Marked::Enqueue
        }
    }

    /// Says that the slot has left the list of those to be folded.
    pub(crate) fn dequeued(&self) {
        self.marks.lock().queued = false;
    }

    /// The snapshot, if it shows all that was reported before this call.
    pub(crate) fn fresh(&self) -> Option<Arc<ServiceSnapshot>> {
        let marked = self.marked.load(Ordering::Acquire);
        (self.folded.load(Ordering::Acquire) >= marked).then(|| self.published.load_full())
    }

    pub(crate) fn published(&self) -> Arc<ServiceSnapshot> {
        self.published.load_full()
    }

    /// Takes the right to fold; `None` if another thread has folded meanwhile and `published` is fresh.
    pub(crate) fn begin_fold(&self) -> Option<Folding<'_>> {
        let guard = self.folding.lock();
        let mut marks = self.marks.lock();
        let marked = self.marked.load(Ordering::Acquire);
        if self.folded.load(Ordering::Acquire) >= marked {
            return None;
        }
        Some(Folding {
            slot: self,
            marked,
            trace: marks.trace.take(),
            newest: marks.newest,
            _guard: guard,
        })
    }

    /// Ends the slot, if it is fresh and `vacant` says that its snapshot holds nothing worth keeping.
    pub(crate) fn retire(&self, vacant: impl FnOnce(&ServiceSnapshot) -> bool) -> bool {
        let _guard = self.folding.lock();
        let mut marks = self.marks.lock();
        let fresh = self.folded.load(Ordering::Acquire) >= self.marked.load(Ordering::Acquire);
        marks.retired = marks.retired || (fresh && vacant(&self.published.load()));
        marks.retired
    }
}

impl Folding<'_> {
    /// Ends the fold: with the next snapshot, or with `None` where the published one shows it all.
    pub(crate) fn finish(self, next: Option<ServiceSnapshot>) -> Arc<ServiceSnapshot> {
        if let Some(next) = next {
            debug_assert!({
                let last = self.slot.published.load();
                next.revision > last.revision && next.stamp_ms > last.stamp_ms
            });
            self.slot.published.store(Arc::new(next));
        }
        self.slot.folded.store(self.marked, Ordering::Release);
        self.slot.published.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{service, trace};

    fn fold(slot: &Slot) {
        if let Some(folding) = slot.begin_fold() {
            folding.finish(None);
        }
    }

    #[test]
    fn a_mark_during_a_fold_leaves_the_slot_stale() {
        let slot = Slot::new(service("s"));
        let folding = slot.begin_fold().unwrap();
        slot.mark(None);
        folding.finish(None);
        assert!(slot.fresh().is_none());
        fold(&slot);
        assert!(slot.fresh().is_some());
    }

    #[test]
    fn a_reader_is_never_told_fresh_while_another_folds() {
        let slot = Slot::new(service("s"));
        let folding = slot.begin_fold().unwrap();
        assert!(slot.fresh().is_none());
        folding.finish(None);
        assert!(slot.fresh().is_some());
    }

    #[test]
    fn the_latest_trace_is_kept_whatever_the_order() {
        let slot = Slot::new(service("s"));
        for stamp in [3, 9, 5] {
            slot.mark(Some(trace(stamp)));
        }
        let folding = slot.begin_fold().unwrap();
        assert_eq!(folding.trace.unwrap().stamp, trace(9).stamp);
        assert_eq!(folding.newest, trace(9).stamp);
    }

    #[test]
    fn a_slot_is_queued_once_until_it_is_taken_out() {
        let slot = Slot::new(service("s"));
        assert_eq!(slot.mark(None), Marked::Enqueue);
        assert_eq!(slot.mark(None), Marked::Noted);
        slot.dequeued();
        assert_eq!(slot.mark(None), Marked::Enqueue);
    }

    #[test]
    fn a_marked_slot_does_not_retire_and_a_retired_one_takes_no_mark() {
        let slot = Slot::new(service("s"));
        assert!(!slot.retire(|_| true));
        fold(&slot);
        assert!(!slot.retire(|_| false));
        assert!(slot.retire(|_| true));
        assert_eq!(slot.mark(None), Marked::Retired);
    }
}
