//! What is on its way, in the order of arrival.

use std::collections::BTreeMap;

/// Things by the millisecond of their arrival; of one millisecond, in the order in which they were sent off.
pub struct Travelling<T> {
    arrivals: BTreeMap<(u64, u64), T>,
    sent: u64,
}

impl<T> Default for Travelling<T> {
    fn default() -> Self {
        Self {
            arrivals: BTreeMap::new(),
            sent: 0,
        }
    }
}

impl<T> Travelling<T> {
    pub fn send(&mut self, arrives_ms: u64, what: T) {
        self.sent += 1;
        self.arrivals.insert((arrives_ms, self.sent), what);
    }

    /// The next that has arrived by `now_ms`.
    pub fn next(&mut self, now_ms: u64) -> Option<T> {
        let (&(arrives_ms, _), _) = self.arrivals.first_key_value()?;
        if arrives_ms > now_ms {
            return None;
        }
        self.arrivals.pop_first().map(|(_, what)| what)
    }
}
