//! What can be set of the AP store.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    /// Least pause between two rounds of copies to a peer: a change after a quiet time goes at once, a storm is gathered.
    pub copy_delay: Duration,
    pub digest_every: Duration,
    pub seen_every: Duration,
    pub tombstone_kept: Duration,
    /// Instances kept, over all services; more are refused with [`Error::Full`](crate::Error::Full). As many tombstones
    /// again are kept beside them.
    pub instances_max: usize,
    /// Changed keys noted per peer until they are copied. When a peer is further behind than this, the notes are dropped
    /// and the digests find what it lacks.
    pub copies_pending_max: usize,
    /// Where a copy of the store is kept for the restart of the whole cluster; none keeps no copy.
    pub warm_dir: Option<PathBuf>,
    /// A starting node waits for its peers' copies for as long as it takes; readiness says why. An operator's flag opens
    /// the node all the same.
    pub force_open: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            copy_delay: Duration::from_millis(5),
            digest_every: Duration::from_secs(2),
            seen_every: Duration::from_secs(1),
            tombstone_kept: Duration::from_secs(600),
            instances_max: 4_000_000,
            copies_pending_max: 100_000,
            warm_dir: None,
            force_open: false,
        }
    }
}

/// The switches that this store heeds; set by `naming` from the replicated ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `healthCheckEnabled`: off, nothing is marked or removed.
    pub expiry: bool,
}
