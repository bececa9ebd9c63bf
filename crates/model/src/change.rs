//! A change on its way from the door to the subscribers.

use crate::{MemberId, ServiceKey};
use std::fmt;
use std::time::Instant;

/// A point in hybrid time: wall milliseconds in the upper 48 bits, a counter in the lower 16. Larger is later; a node
/// never issues one that is not larger than every stamp it has issued or seen (`runtime::HybridClock`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The first stamp of a millisecond.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis << 16)
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }
}

/// Names one change, for the push trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChangeId {
    /// Committed by Raft at this index.
    Raft { index: u64 },
    /// Accepted by one node of the AP half.
    Ephemeral { stamp: Stamp, origin: MemberId },
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeId::Raft { index } => write!(f, "raft-{index}"),
            ChangeId::Ephemeral { stamp, origin } => write!(f, "eph-{}-{:x}", origin, stamp.0),
        }
    }
}

/// Where a change has been, and when on this node's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    pub id: ChangeId,
    /// Hybrid time of the change itself; what a snapshot that holds it may not be older than.
    pub stamp: Stamp,
    /// When this node first heard of it.
    pub received: Instant,
    /// When this node's store held it.
    pub applied: Instant,
}

/// Told by a store, once per service, of every batch of changes it has applied. The store already answers with the new
/// state when this is called. Called from apply paths: an implementation notes it down and returns at once.
pub trait ChangeSink: Send + Sync + 'static {
    fn changed(&self, service: &ServiceKey, trace: Trace);
}
