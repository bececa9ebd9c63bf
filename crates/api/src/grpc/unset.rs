//! Transports that were never set up, the longest wait first.

use muster_model::ConnectionId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// From its connection to a client's setup where places are scarce; where they are not, it has
/// [`UNSET`](super::life::UNSET). Clients take a check and a setup, with TLS five round trips, and two packets are lost on the
/// way; less, and clients that all come at once would drive each other out before any of them is set up.
const SETUP_SCARCE: Duration = Duration::from_secs(3);

/// Who keeps a place and has not said what for.
#[derive(Default)]
pub(super) struct Unset(Mutex<BTreeMap<ConnectionId, Instant>>);

impl Unset {
    /// Ids only grow, so that the first is the one that waits longest.
    pub(super) fn add(&self, id: ConnectionId, now: Instant) {
        self.0.lock().insert(id, now);
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        self.0.lock().remove(&id);
    }

    /// The longest wait, if it has had its time; it is counted no more.
    pub(super) fn take_longest(&self, now: Instant) -> Option<ConnectionId> {
        let mut unset = self.0.lock();
        let longest = unset.first_entry()?;
        let has_had_its_time = now.saturating_duration_since(*longest.get()) >= SETUP_SCARCE;
        has_had_its_time.then(|| longest.remove_entry().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_runtime::Clock;

    #[test]
    fn the_longest_wait_is_taken_when_it_has_had_its_time() {
        let (unset, begin) = (Unset::default(), Clock::manual(0).now());
        unset.add(ConnectionId(1), begin);
        unset.add(ConnectionId(2), begin);
        unset.add(ConnectionId(3), begin + Duration::from_secs(1));
        unset.remove(ConnectionId(1));
        assert_eq!(unset.take_longest(begin + SETUP_SCARCE / 2), None);
        assert_eq!(unset.take_longest(begin + SETUP_SCARCE), Some(ConnectionId(2)));
        assert_eq!(unset.take_longest(begin + SETUP_SCARCE), None, "the third came later");
        assert_eq!(unset.take_longest(begin + 2 * SETUP_SCARCE), Some(ConnectionId(3)));
    }
}
