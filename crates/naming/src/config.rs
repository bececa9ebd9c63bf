//! What the door is given: its settings, its parts, and what comes with each request.

use muster_consensus::Consensus;
use muster_ephemeral::Ephemeral;
use muster_membership::Membership;
use muster_model::Principal;
use muster_persistent::Persistent;
use muster_push::Push;
use std::time::Instant;

#[derive(Clone, Debug)]
pub struct Config {
    /// Names kept in the read model, those of unknown but subscribed services included. When full, registrations and
    /// creations of further names are refused with [`Error::Full`](crate::Error::Full) and subscriptions to them with
    /// `Subscribed::Refused`; what peers or the log bring is always kept, bounded by the stores' own limits.
    pub services_max: usize,
    /// Health probes under way at once; more wait for their turn in order of their due time.
    pub probes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            services_max: 2_000_000,
            // 20,000 targets of which 30 % swallow connections: 6,000 x 0.5 s deadline over 5 s is 600 at once.
            probes_max: 1_000,
        }
    }
}

/// What travels with each request from the door.
#[derive(Clone, Debug)]
pub struct Context {
    pub principal: Principal,
    pub received: Instant,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

/// Whether an edit of an instance may make it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upsert {
    No,
    Yes,
}

/// The parts that naming joins.
pub struct Parts {
    pub ephemeral: Ephemeral,
    pub persistent: Persistent,
    pub membership: Membership,
    pub consensus: Consensus,
    pub push: Push,
}
