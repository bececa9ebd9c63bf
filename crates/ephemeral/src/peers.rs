//! What is kept per peer: the keys it has not been told of yet. Never what to say of them: that is looked up when said.

use crate::metrics;
use crate::moment::Moment;
use muster_model::MemberId;
use parking_lot::{Mutex, RwLock};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
struct Pending {
    keys: HashSet<u64>,
    /// Too many keys were noted; the digests must find what this peer lacks.
    overflowed: bool,
}

pub(crate) struct Peer {
    pub(crate) id: MemberId,
    keys_max: usize,
    pending: Mutex<Pending>,
    /// There is something to copy.
    pub(crate) wake: Notify,
    /// Compare digests now.
    pub(crate) compare: Notify,
    /// Held while a batch is on its way, so that draining can wait for it.
    pub(crate) sending: tokio::sync::Mutex<()>,
    /// When the stores were last found equal.
    equal: AtomicU64,
    pub(crate) seen_in_flight: AtomicUsize,
    /// Not a member any more: its tasks end.
    pub(crate) left: AtomicBool,
}

impl Peer {
    fn new(id: MemberId, keys_max: usize, now: Moment) -> Self {
        Self {
            id,
            keys_max,
            pending: Mutex::default(),
            wake: Notify::new(),
            compare: Notify::new(),
            sending: tokio::sync::Mutex::new(()),
            equal: AtomicU64::new(now.0),
            seen_in_flight: AtomicUsize::new(0),
            left: AtomicBool::new(false),
        }
    }

    /// Notes keys and wakes who copies them.
    pub(crate) fn note(&self, hashes: impl IntoIterator<Item = u64>) {
        self.note_quietly(hashes);
        self.wake.notify_one();
    }

    /// Notes keys; when they are too many, forgets them all and leaves it to the digests.
    pub(crate) fn note_quietly(&self, hashes: impl IntoIterator<Item = u64>) {
        let mut pending = self.pending.lock();
        if !pending.overflowed {
            for hash in hashes {
                pending.keys.insert(hash);
            }
            if pending.keys.len() > self.keys_max {
                pending.keys = HashSet::new();
                pending.overflowed = true;
                metrics::COPIES_OVERFLOWED.inc();
                self.compare.notify_one();
            }
        }
    }

    /// Takes up to `count` keys out, in no order.
    pub(crate) fn take(&self, count: usize) -> Vec<u64> {
        let mut pending = self.pending.lock();
        if pending.keys.len() <= count {
            return std::mem::take(&mut pending.keys).into_iter().collect();
        }
        let taken: Vec<u64> = pending.keys.iter().copied().take(count).collect();
        for hash in &taken {
            pending.keys.remove(hash);
        }
        taken
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.lock().keys.len()
    }

    /// Whether notes were dropped since this was last asked. Asked before comparing, so that what is dropped during the
    /// comparison asks for another one.
    pub(crate) fn take_overflowed(&self) -> bool {
        std::mem::take(&mut self.pending.lock().overflowed)
    }

    pub(crate) fn has_overflowed(&self) -> bool {
        self.pending.lock().overflowed
    }

    pub(crate) fn set_overflowed(&self) {
        self.pending.lock().overflowed = true;
    }

    pub(crate) fn set_equal(&self, now: Moment) {
        self.equal.fetch_max(now.0, Ordering::AcqRel);
    }

    pub(crate) fn equal(&self) -> Moment {
        Moment(self.equal.load(Ordering::Acquire))
    }
}

/// The peers of this moment.
#[derive(Default)]
pub(crate) struct Peers(RwLock<Arc<Vec<Arc<Peer>>>>);

impl Peers {
    pub(crate) fn all(&self) -> Arc<Vec<Arc<Peer>>> {
        self.0.read().clone()
    }

    pub(crate) fn note(&self, hash: u64) {
        for peer in self.0.read().iter() {
            peer.note([hash]);
        }
    }

    /// Takes the list of members over; answers with those that are new.
    pub(crate) fn set(&self, ids: &[MemberId], keys_max: usize, now: Moment) -> Vec<Arc<Peer>> {
        let mut peers = self.0.write();
        for peer in peers.iter().filter(|peer| !ids.contains(&peer.id)) {
            peer.left.store(true, Ordering::Release);
            peer.wake.notify_one();
            peer.compare.notify_one();
        }
        let mut new = Vec::new();
        let next = ids
            .iter()
            .map(|id| match peers.iter().find(|peer| peer.id == *id) {
                Some(peer) => peer.clone(),
                None => {
                    let peer = Arc::new(Peer::new(*id, keys_max, now));
                    new.push(peer.clone());
                    peer
                }
            })
            .collect();
        *peers = Arc::new(next);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_notes_are_dropped_and_left_to_the_digests() {
        let peer = Peer::new(MemberId(2), 10, Moment(0));
        peer.note(0..11);
        assert_eq!((peer.pending(), peer.has_overflowed()), (0, true));
        peer.note([1]);
        assert_eq!(peer.pending(), 0, "nothing is noted until the digests were asked");
        assert!(peer.take_overflowed());
        peer.note([1]);
        assert_eq!(peer.take(5), [1]);
    }
}
