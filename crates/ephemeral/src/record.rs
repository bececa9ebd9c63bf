//! One instance as the store keeps it, listed or a tombstone.

use crate::lease::Lease;
use muster_model::{ChangeId, Instance, InstanceKey, MemberId, ServiceKey, Stamp};
use parking_lot::Mutex;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Names a write: its hybrid time, and the member that made it. No two writes to a key share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Version {
    pub(crate) stamp: Stamp,
    pub(crate) origin: MemberId,
}

impl Version {
    pub(crate) fn id(self) -> ChangeId {
        ChangeId::Ephemeral {
            stamp: self.stamp,
            origin: self.origin,
        }
    }
}

/// How an instance went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// Somebody's order: an operator's, or a client's own.
    Deregistered,
    /// Its lease has ended.
    Expired,
    /// The connection that held it has ended. It ends the claim of this version and whatever is older, and says nothing
    /// against a newer one, or against a connection that still holds the instance elsewhere. Boxed, for it is rare and
    /// every record has room for it.
    Released(Box<Version>),
}

/// The order of all writes to a key: of two the higher one holds, at every member. A write ranks by its own version; a
/// release, whenever it was made, right behind the claim that it ends, so that it never beats a claim which its writer had
/// not heard of.
///
/// This is one total order over all writes, of values that never change, since no two writes share `made`; so the highest of
/// a set does not depend on the order, the grouping or the repetition in which its members arrive. (A rule by pairs, such
/// as "a release loses to any claim by another holder, else the later stamp holds", is no order: an old claim of B, a
/// newer one of A and the release of A's would each beat the next in a ring.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Rank {
    at: Version,
    releases: bool,
    made: Version,
}

/// The member whose client's open connection is the lease. Members are numbered from 1, so that nobody takes no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holder(NonZeroU64);

impl Holder {
    pub(crate) fn new(member: MemberId) -> Option<Self> {
        NonZeroU64::new(member.0).map(Self)
    }

    pub(crate) fn member(self) -> MemberId {
        MemberId(self.0.get())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Body {
    Listed(Arc<Instance>),
    Gone(Gone),
}

/// The replicated part of a record: of two, the one with the higher rank holds.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct State {
    pub(crate) version: Version,
    pub(crate) body: Body,
    /// Whose connection holds it; nobody's when beats renew it. The newest registration says.
    pub(crate) held_by: Option<Holder>,
    /// Somebody marked it unhealthy for its silence; whoever has seen a later beat may refute that.
    pub(crate) by_silence: bool,
}

impl State {
    pub(crate) fn listed(&self) -> Option<&Arc<Instance>> {
        match &self.body {
            Body::Listed(instance) => Some(instance),
            Body::Gone(_) => None,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.body, Body::Gone(_))
    }

    pub(crate) fn rank(&self) -> Rank {
        let (at, releases) = match &self.body {
            Body::Gone(Gone::Released(claim)) => (**claim, true),
            _ => (self.version, false),
        };
        Rank {
            at,
            releases,
            made: self.version,
        }
    }

    /// Whether it says no more than that nobody was seen: by no beat, or by no connection. A deregistration by name is an
    /// order, and holds even against a client that is there.
    pub(crate) fn rests_on_absence(&self) -> bool {
        match self.body {
            Body::Gone(Gone::Expired | Gone::Released(_)) => true,
            Body::Gone(Gone::Deregistered) => false,
            Body::Listed(_) => self.by_silence,
        }
    }

    fn phase(&self) -> Phase {
        match &self.body {
            Body::Listed(instance) if instance.healthy => Phase::Healthy,
            Body::Listed(_) => Phase::Unhealthy,
            Body::Gone(Gone::Deregistered) => Phase::Deregistered,
            Body::Gone(Gone::Expired) => Phase::Expired,
            Body::Gone(Gone::Released(_)) => Phase::Released,
        }
    }

    /// What this state adds to the digest of its leaf.
    pub(crate) fn digest(&self, hash: u64) -> u64 {
        let mut bytes = [0; 25];
        bytes[..8].copy_from_slice(&hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.version.stamp.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.version.origin.0.to_le_bytes());
        bytes[24] = self.is_gone().into();
        xxh3_64(&bytes)
    }
}

/// The state in one byte, for beats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    Healthy,
    Unhealthy,
    Deregistered,
    Expired,
    Released,
}

/// One key and all that is known of it. At most 152 bytes beside the instance itself.
///
/// `state` changes only while the lock of its leaf is held; its own lock is there for readers.
pub(crate) struct Record {
    pub(crate) service: ServiceKey,
    pub(crate) key: InstanceKey,
    /// [`key_hash`] of both.
    pub(crate) hash: u64,
    /// What decides who is responsible.
    pub(crate) client_hash: u64,
    pub(crate) lease: Lease,
    state: Mutex<Held>,
    phase: AtomicU8,
}

/// What the lock of a record guards.
struct Held {
    state: State,
    /// When it was last registered here without changing anything; a removal older than that was overtaken.
    registered: Stamp,
}

impl Record {
    pub(crate) fn new(
        service: ServiceKey,
        key: InstanceKey,
        hash: u64,
        client_hash: u64,
        lease: Lease,
        state: State,
    ) -> Self {
        Self {
            service,
            key,
            hash,
            client_hash,
            lease,
            phase: AtomicU8::new(state.phase() as u8),
            state: Mutex::new(Held {
                state,
                registered: Stamp(0),
            }),
        }
    }

    pub(crate) fn is(&self, service: &ServiceKey, key: &InstanceKey) -> bool {
        self.key == *key && self.service == *service
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().state.clone()
    }

    pub(crate) fn version(&self) -> Version {
        self.state.lock().state.version
    }

    pub(crate) fn held_by(&self) -> Option<Holder> {
        self.state.lock().state.held_by
    }

    pub(crate) fn listed(&self) -> Option<Arc<Instance>> {
        self.state.lock().state.listed().cloned()
    }

    /// Replaces the state and hands the earlier one back.
    pub(crate) fn replace(&self, state: State) -> State {
        let mut held = self.state.lock();
        self.phase.store(state.phase() as u8, Ordering::Release);
        std::mem::replace(&mut held.state, state)
    }

    pub(crate) fn registered(&self) -> Stamp {
        self.state.lock().registered
    }

    pub(crate) fn set_registered(&self, stamp: Stamp) {
        self.state.lock().registered = stamp;
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Healthy,
            1 => Phase::Unhealthy,
            2 => Phase::Deregistered,
            3 => Phase::Expired,
            _ => Phase::Released,
        }
    }

    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.phase(), Phase::Healthy | Phase::Unhealthy)
    }
}

/// Names a key among members in eight bytes. On the wire: never change it.
pub(crate) fn key_hash(service: &ServiceKey, key: &InstanceKey) -> u64 {
    let parts = [
        service.namespace().as_str(),
        service.group().as_str(),
        service.name().as_str(),
        key.host.as_str(),
    ];
    let names = parts
        .iter()
        .fold(0, |seed, part| xxh3_64_with_seed(part.as_bytes(), seed));
    xxh3_64_with_seed(&key.port.to_le_bytes(), names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_records_take_less_than_170_megabytes() {
        let counted_by_arc = 2 * size_of::<usize>();
        assert!(size_of::<Record>() + counted_by_arc <= 168, "{}", size_of::<Record>());
    }
}
