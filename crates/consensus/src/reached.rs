//! How far this member's own state machine has come, and who waits for it to come further.
//!
//! openraft's own wait looks at its metrics: each change of those, thousands a second, would wake everybody who waits.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The index of the last entry that was handed to the state machine. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Reached {
    progress: Arc<Mutex<Progress>>,
}

#[derive(Default)]
struct Progress {
    applied: u64,
    /// By the index they wait for; the number tells those apart who wait for the same.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    numbers: u64,
}

impl Reached {
    pub(crate) fn at(applied: u64) -> Self {
        let reached = Self::default();
        reached.advance(applied);
        reached
    }

    /// Everything up to `index` has been applied here.
    pub(crate) fn advance(&self, index: u64) {
        let arrived = {
            let mut progress = self.progress.lock();
            progress.applied = progress.applied.max(index);
            let next = (progress.applied.saturating_add(1), 0);
            let later = progress.waiting.split_off(&next);
            std::mem::replace(&mut progress.waiting, later)
        };
        for caller in arrived.into_values() {
            // Who has stopped waiting does not mind.
            let _ = caller.send(());
        }
    }

    /// Waits until the entry at `index` has been applied here. Whoever drops this waits no more and leaves nothing behind.
    pub(crate) async fn wait(&self, index: u64) {
        let (arrived, place) = {
            let mut progress = self.progress.lock();
            if progress.applied >= index {
                return;
            }
            let (caller, arrived) = oneshot::channel();
            progress.numbers += 1;
            let place = (index, progress.numbers);
            progress.waiting.insert(place, caller);
            (arrived, place)
        };
        let _place = Place { of: self, place };
        // The sender is dropped only with the member.
        let _ = arrived.await;
    }
}

struct Place<'a> {
    of: &'a Reached,
    place: (u64, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.of.progress.lock().waiting.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn who_waits_is_told_when_its_entry_is_applied_and_not_before() {
        let reached = Reached::at(3);
        assert!(reached.wait(3).now_or_never().is_some());
        let (mut fifth, mut sixth) = (Box::pin(reached.wait(5)), Box::pin(reached.wait(6)));
        assert!((&mut fifth).now_or_never().is_none() && (&mut sixth).now_or_never().is_none());
        reached.advance(4);
        assert!((&mut fifth).now_or_never().is_none());
        reached.advance(5);
        assert!((&mut fifth).now_or_never().is_some() && (&mut sixth).now_or_never().is_none());
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let reached = Reached::default();
        let mut waits = Box::pin(reached.wait(1));
        assert!((&mut waits).now_or_never().is_none());
        drop(waits);
        assert!(reached.progress.lock().waiting.is_empty());
    }
}
