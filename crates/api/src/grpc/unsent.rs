//! Answers that wait until their clients take them.
//!
//! HTTP/2 holds an answer until its client gives it room. Small ones are bounded by the calls of a transport; long lists
//! are counted here, because a client that asks for a hundred of them and reads none would hold as many.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes of long answers that one transport may leave unread before further calls are refused. One answer more may come
/// on top.
const TRANSPORT_BYTES_MAX: usize = 32 << 20;

/// Those of all transports together. Over it, who leaves anything unread is refused, and nobody else.
const BYTES_MAX: usize = 512 << 20;

/// Shorter answers are not counted.
const COUNTED_BYTES_MIN: usize = 16 * 1_024;

/// Unread answers: of all transports, and of one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsent {
    all: Arc<AtomicUsize>,
    /// Locked for a few lines, because answers are let go by whichever task holds them last.
    own: Arc<Mutex<Own>>,
}

#[derive(Debug, Default)]
struct Own {
    bytes: usize,
    /// Numbers in the order of their counting, since when; as many as a transport may have calls.
    unread: VecDeque<(u64, Instant)>,
    last: u64,
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
        match self.own.lock().bytes {
            0 => true,
            own => own < TRANSPORT_BYTES_MAX && self.all.load(Ordering::Relaxed) < BYTES_MAX,
        }
    }

    /// How long the oldest answer has been waiting.
    pub(super) fn unread_for(&self, now: Instant) -> Duration {
        let own = self.own.lock();
        let oldest = own.unread.front();
        oldest.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since))
    }

    /// Counts an answer until the last of its bytes is let go.
    pub(super) fn count(&self, answer: Bytes, now: Instant) -> Bytes {
        if answer.len() < COUNTED_BYTES_MIN {
            return answer;
        }
        self.all.fetch_add(answer.len(), Ordering::Relaxed);
        let mut own = self.own.lock();
        own.bytes += answer.len();
        own.last += 1;
        let number = own.last;
        own.unread.push_back((number, now));
        drop(own);
        Bytes::from_owner(Counted {
            answer,
            number,
            account: self.clone(),
        })
    }
}

struct Counted {
    answer: Bytes,
    number: u64,
    account: Unsent,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.account.all.fetch_sub(self.answer.len(), Ordering::Relaxed);
        let mut own = self.account.own.lock();
        own.bytes -= self.answer.len();
        own.unread.retain(|(number, _)| *number != self.number);
        if own.unread.is_empty() {
            // A transport that has once asked for long lists keeps nothing of them.
            own.unread = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_runtime::Clock;

    #[test]
    fn a_transport_that_takes_no_answers_is_refused_further_ones_and_others_are_not() {
        let (one, long, now) = (Unsent::default(), Bytes::from(vec![0; 8 << 20]), Clock::system().now());
        let other = one.of_another();
        let mut held = Vec::new();
        while one.has_room() {
            held.push(one.count(long.clone(), now));
        }
        assert_eq!(held.len(), 4);
        assert!(other.has_room());
        held.pop();
        assert!(one.has_room());
    }

    #[test]
    fn all_together_have_a_bound_that_refuses_only_those_who_do_not_read() {
        let (all, now) = (Unsent::default(), Clock::system().now());
        let slow = all.of_another();
        let slow_answer = slow.count(Bytes::from(vec![0; COUNTED_BYTES_MIN]), now);
        let long = Bytes::from(vec![0; 32 << 20]);
        let held: Vec<_> = (0..16).map(|_| all.of_another().count(long.clone(), now)).collect();
        assert!(!slow.has_room());
        assert!(all.of_another().has_room());
        drop(held);
        assert!(slow.has_room());
        drop(slow_answer);
        assert_eq!(all.all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_answer_waits_until_it_is_let_go_whichever_is_first() {
        let (account, start) = (Unsent::default(), Clock::system().now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let long = || Bytes::from(vec![0; COUNTED_BYTES_MIN]);
        assert_eq!(account.unread_for(at(9)), Duration::ZERO);
        let first = account.count(long(), at(10));
        let second = account.count(long(), at(20));
        let part = first.slice(5..);
        drop(first);
        assert_eq!(account.unread_for(at(30)), Duration::from_secs(20));
        drop(part);
        assert_eq!(account.unread_for(at(30)), Duration::from_secs(10));
        drop(second);
        assert_eq!(account.unread_for(at(30)), Duration::ZERO);
    }
}
