//! Answers that wait until their clients take them.
//!
//! HTTP/2 holds an answer until its client gives it room. Small ones are bounded by the calls of a transport; long lists
//! are counted here, because a client that asks for a hundred of them and reads none would hold as many.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of long answers that one transport, and all together, may leave unread before further calls are refused. One
/// answer more may come on top.
const TRANSPORT_BYTES_MAX: usize = 32 << 20;
const BYTES_MAX: usize = 512 << 20;

/// Shorter answers are not counted.
const COUNTED_BYTES_MIN: usize = 16 * 1_024;

/// Unread answers: of all transports, and of one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsent {
    all: Arc<AtomicUsize>,
    own: Arc<AtomicUsize>,
}

impl Unsent {
    /// The account of a further transport.
    pub(super) fn of_another(&self) -> Self {
        Self {
            all: self.all.clone(),
            own: Arc::default(),
        }
    }

    /// Whether another call may be answered.
    pub(super) fn has_room(&self) -> bool {
        self.own.load(Ordering::Relaxed) < TRANSPORT_BYTES_MAX && self.all.load(Ordering::Relaxed) < BYTES_MAX
    }

    /// Counts an answer until the last of its bytes is let go.
    pub(super) fn count(&self, answer: Bytes) -> Bytes {
        if answer.len() < COUNTED_BYTES_MIN {
            return answer;
        }
        self.own.fetch_add(answer.len(), Ordering::Relaxed);
        self.all.fetch_add(answer.len(), Ordering::Relaxed);
        Bytes::from_owner(Counted {
            answer,
            account: self.clone(),
        })
    }
}

struct Counted {
    answer: Bytes,
    account: Unsent,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.account.own.fetch_sub(self.answer.len(), Ordering::Relaxed);
        self.account.all.fetch_sub(self.answer.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_that_takes_no_answers_is_refused_further_ones_and_others_are_not() {
        let (one, long) = (Unsent::default(), Bytes::from(vec![0; 8 << 20]));
        let other = one.of_another();
        let mut held = Vec::new();
        while one.has_room() {
            held.push(one.count(long.clone()));
        }
        assert_eq!(held.len(), 4);
        assert!(other.has_room());
        held.pop();
        assert!(one.has_room());
    }

    #[test]
    fn all_together_have_a_bound() {
        let (all, long) = (Unsent::default(), Bytes::from(vec![0; 32 << 20]));
        let held: Vec<_> = (0..16).map(|_| all.of_another().count(long.clone())).collect();
        assert!(!all.of_another().has_room());
        drop(held);
        assert!(all.of_another().has_room());
    }
}
