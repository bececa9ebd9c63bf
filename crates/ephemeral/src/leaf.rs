//! A part of the key space: its records, and their digest kept up to date with every change.

use crate::record::{Record, State};
use muster_model::Stamp;
use std::sync::Arc;

/// Leaves of the key space. A leaf that differs costs the list of its records, so there are many: of a million instances
/// each holds 244, and the changes in flight at any moment touch few of them.
pub(crate) const LEAVES: usize = 4_096;

/// The leaf of a key, by its hash's upper bits: leaves in order are keys in the order of their hashes.
pub(crate) fn leaf_of(hash: u64) -> usize {
    (hash >> 52) as usize
}

/// Tombstones are counted and forgotten by the minute they were made in. Members compare only minutes that both still
/// have, so it never matters who forgets first.
pub(crate) fn minute_of(stamp: Stamp) -> u64 {
    stamp.millis() / 60_000
}

/// Guarded by one lock; every change of a record in this leaf happens under it.
#[derive(Default)]
pub(crate) struct Leaf {
    pub(crate) records: Vec<Arc<Record>>,
    listed: u64,
    /// Minute and digest of the tombstones made in it; few, so a list.
    gone: Vec<(u64, u64)>,
}

impl Leaf {
    /// Adds a state to the digest, or takes it out again: the two are the same.
    pub(crate) fn toggle(&mut self, hash: u64, state: &State) {
        let digest = state.digest(hash);
        if !state.is_gone() {
            self.listed ^= digest;
            return;
        }
        let minute = minute_of(state.version.stamp);
        match self.gone.iter().position(|(at, _)| *at == minute) {
            Some(index) => {
                self.gone[index].1 ^= digest;
                if self.gone[index].1 == 0 {
                    self.gone.swap_remove(index);
                }
            }
            None => self.gone.push((minute, digest)),
        }
    }

    /// The digest of what is listed.
    pub(crate) fn listed(&self) -> u64 {
        self.listed
    }

    /// The digest of what is listed and of the tombstones made in `from_minute` or later.
    pub(crate) fn digest(&self, from_minute: u64) -> u64 {
        self.gone
            .iter()
            .filter(|(minute, _)| *minute >= from_minute)
            .fold(self.listed, |sum, (_, digest)| sum ^ digest)
    }

    /// Whether there are tombstones made before `minute`.
    pub(crate) fn has_gone_before(&self, minute: u64) -> bool {
        self.gone.iter().any(|(at, _)| *at < minute)
    }
}
