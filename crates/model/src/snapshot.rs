//! The list of a service at one moment, as readers and subscribers get it.

use crate::{Instance, ServiceKey, ServiceSettings, Trace};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

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
pub struct Renders(Mutex<Vec<(RenderKey, Bytes)>>);

impl Renders {
    pub const KEPT_MAX: usize = 16;

    /// The kept bytes for `key`, or those of `render`, kept if there is room. `render` runs outside the lock.
    pub fn get_or_render(&self, key: &RenderKey, render: impl FnOnce() -> Bytes) -> Bytes {
        let find = |kept: &[(RenderKey, Bytes)]| kept.iter().find(|(k, _)| k == key).map(|(_, bytes)| bytes.clone());
        if let Some(bytes) = find(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return bytes;
        }
        let bytes = render();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = find(&kept) {
            return earlier;
        }
        if kept.len() < Self::KEPT_MAX {
            kept.push((key.clone(), bytes.clone()));
        }
        bytes
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
