//! The list of a service at one moment, as readers and subscribers get it.

use crate::{Instance, ServiceKey, ServiceSettings, Trace};
use bytes::Bytes;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Names one rendering of a snapshot: which dialect, which filter. Chosen by whoever renders.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RenderKey {
    pub dialect: u16,
    /// Whatever else the bytes depend on, such as the cluster filter verbatim.
    pub filter: Box<str>,
}

/// Bytes rendered from one snapshot, kept as long as the snapshot. Holds at most [`Renders::KEPT_MAX`] variants; what
/// comes later is rendered and not kept, so that a peer who invents cluster filters costs time but no memory.
#[derive(Default)]
pub struct Renders(Mutex<Vec<(RenderKey, Arc<OnceLock<Bytes>>)>>);

impl Renders {
    pub const KEPT_MAX: usize = 16;

    /// The kept bytes for `key`, or those of `render`, kept if there is room. `render` runs outside the lock; whoever asks
    /// for the same meanwhile waits for it, which takes no longer than rendering once more would.
    pub fn get_or_render(&self, key: &RenderKey, render: impl FnOnce() -> Bytes) -> Bytes {
        match self.place(key) {
            Some(place) => place.get_or_init(render).clone(),
            None => render(),
        }
    }

    /// Where the bytes for `key` are kept, or will be; none if there is no room.
    fn place(&self, key: &RenderKey) -> Option<Arc<OnceLock<Bytes>>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = kept.iter().find(|(k, _)| k == key) {
            return Some(place.clone());
        }
        if kept.len() >= Self::KEPT_MAX {
            return None;
        }
        let place = Arc::<OnceLock<Bytes>>::default();
        kept.push((key.clone(), place.clone()));
        Some(place)
    }
}

impl std::fmt::Debug for Renders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renders")
    }
}

/// The list of a service at one moment. Immutable: a change makes the next one.
#[derive(Debug)]
pub struct ServiceSnapshot {
    pub key: ServiceKey,
    /// Counts this node's snapshots of this service; only grows.
    pub revision: u64,
    /// Milliseconds since the epoch in hybrid time: strictly increasing per service over this node's snapshots, and not
    /// below any change the snapshot holds. Clients see it as `lastRefTime`.
    pub stamp_ms: u64,
    /// False for a service nobody has created or registered in; such a snapshot is empty.
    pub exists: bool,
    /// All instances of both kinds, disabled and unhealthy ones too, sorted by address and then kind.
    pub instances: Box<[Arc<Instance>]>,
    pub settings: Arc<ServiceSettings>,
    /// The latest change that this snapshot holds; none for the first look at an unknown service.
    pub trace: Option<Trace>,
    pub renders: Renders,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn key(filter: &str) -> RenderKey {
        RenderKey {
            dialect: 1,
            filter: filter.into(),
        }
    }

    #[test]
    fn threads_that_ask_at_once_render_once_and_share_the_bytes() {
        for _ in 0..200 {
            let (renders, count, start) = (Renders::default(), AtomicUsize::new(0), Barrier::new(8));
            let ask = || {
                start.wait();
                renders.get_or_render(&key(""), || {
                    count.fetch_add(1, Ordering::SeqCst);
                    (0..100).for_each(|_| std::thread::yield_now());
                    Bytes::from(vec![0; 100])
                })
            };
            let places: Vec<_> = std::thread::scope(|scope| {
                let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                asking
                    .into_iter()
                    .map(|it| it.join().unwrap().as_ptr() as usize)
                    .collect()
            });
            assert_eq!(count.load(Ordering::SeqCst), 1);
            assert!(places.iter().all(|place| *place == places[0]));
        }
    }

    #[test]
    fn what_finds_no_room_is_rendered_and_not_kept() {
        let renders = Renders::default();
        for n in 0..Renders::KEPT_MAX {
            renders.get_or_render(&key(&n.to_string()), || Bytes::from_static(b"kept"));
        }
        for bytes in ["once", "again"] {
            assert_eq!(renders.get_or_render(&key("more"), || Bytes::from(bytes)), bytes);
        }
        assert_eq!(
            renders.get_or_render(&key("0"), || Bytes::from_static(b"not this")),
            "kept"
        );
    }
}
