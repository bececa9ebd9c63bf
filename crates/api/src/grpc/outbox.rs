//! What waits to be sent on one stream.

use super::frame::Status;
use crate::metrics::GRPC_QUEUED;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Messages that wait for one client. A client subscribes to some hundred services at most; what is over waits in push.
const MESSAGES_MAX: usize = 256;

/// Their bytes; one message may be longer.
const BYTES_MAX: usize = 16 << 20;

/// Bytes that wait in all queues of the node. Over it, only an empty queue takes a message: whoever reads is told all.
const NODE_BYTES_MAX: usize = 512 << 20;

/// Messages of one queue about the same: a client that did not read three lists of a service has no use for a fourth.
const ABOUT_ONE_MAX: usize = 3;

/// Room kept by a queue that has run empty.
const KEPT_MAX: usize = 8;

/// Bytes that wait in the queues of all streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Queued(Arc<AtomicUsize>);

/// Why a message was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Full,
    Ended,
}

/// The queue of one stream: filled by push and by handlers, emptied by the stream itself as fast as the client reads.
///
/// A lock held for a few lines, because fillers are on other threads than the stream.
pub(super) struct Outbox(Mutex<Queue>);

struct Queue {
    messages: VecDeque<Waiting>,
    bytes: usize,
    of_all: Queued,
    /// When the oldest message became the oldest.
    waiting_since: Option<Instant>,
    end: Option<Status>,
    /// The stream's two tasks, of which one sends and the other reads.
    sender: Option<Waker>,
    reader: Option<Waker>,
}

struct Waiting {
    message: Bytes,
    about: Option<u64>,
}

impl Outbox {
    pub(super) fn new(of_all: Queued) -> Self {
        Self(Mutex::new(Queue {
            messages: VecDeque::new(),
            bytes: 0,
            of_all,
            waiting_since: None,
            end: None,
            sender: None,
            reader: None,
        }))
    }

    pub(super) fn put(&self, message: Bytes, now: Instant) -> Result<(), Refusal> {
        self.put_about(None, message, now)
    }

    /// Takes a message of which the client needs the newest alone: `about` tells which ones those are.
    pub(super) fn put_about(&self, about: Option<u64>, message: Bytes, now: Instant) -> Result<(), Refusal> {
        let mut queue = self.0.lock();
        if queue.end.is_some() {
            return Err(Refusal::Ended);
        }
        if !queue.messages.is_empty() && !queue.fits(about, message.len()) {
            return Err(Refusal::Full);
        }
        queue.bytes += message.len();
        queue.of_all.0.fetch_add(message.len(), Ordering::Relaxed);
        queue.messages.push_back(Waiting { message, about });
        queue.waiting_since.get_or_insert(now);
        GRPC_QUEUED.inc();
        let sender = queue.sender.take();
        drop(queue);
        sender.inspect(Waker::wake_by_ref);
        Ok(())
    }

    /// Ends the stream: nothing more is taken, and what waits is dropped. The first end counts.
    pub(super) fn end(&self, status: Status) {
        let mut queue = self.0.lock();
        if queue.end.is_some() {
            return;
        }
        queue.end = Some(status);
        queue.clear();
        let tasks = [queue.sender.take(), queue.reader.take()];
        drop(queue);
        tasks.into_iter().flatten().for_each(Waker::wake);
    }

    /// The next message, or the stream's end.
    pub(super) fn poll_take(&self, context: &mut Context<'_>, now: Instant) -> Poll<Result<Bytes, Status>> {
        let mut queue = self.0.lock();
        if let Some(status) = queue.end {
            return Poll::Ready(Err(status));
        }
        let Some(Waiting { message, .. }) = queue.messages.pop_front() else {
            queue.sender = Some(context.waker().clone());
            return Poll::Pending;
        };
        GRPC_QUEUED.dec();
        queue.bytes -= message.len();
        queue.of_all.0.fetch_sub(message.len(), Ordering::Relaxed);
        queue.waiting_since = (!queue.messages.is_empty()).then_some(now);
        if queue.messages.is_empty() {
            queue.messages.shrink_to(KEPT_MAX);
        }
        Poll::Ready(Ok(message))
    }

    /// Whether the stream has ended; else wakes the reader when it does.
    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> bool {
        let mut queue = self.0.lock();
        if queue.end.is_none() {
            queue.reader = Some(context.waker().clone());
        }
        queue.end.is_some()
    }

    /// How long nothing was taken although something waits.
    pub(super) fn blocked_for(&self, now: Instant) -> Duration {
        let since = self.0.lock().waiting_since;
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Queue {
    fn fits(&self, about: Option<u64>, bytes: usize) -> bool {
        let about_the_same = || self.messages.iter().filter(|waiting| waiting.about == about).count();
        self.messages.len() < MESSAGES_MAX
            && self.bytes + bytes <= BYTES_MAX
            && self.of_all.0.load(Ordering::Relaxed) + bytes <= NODE_BYTES_MAX
            && (about.is_none() || about_the_same() < ABOUT_ONE_MAX)
    }

    fn clear(&mut self) {
        GRPC_QUEUED.sub(self.messages.len() as i64);
        self.of_all.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.messages = VecDeque::new();
        self.bytes = 0;
        self.waiting_since = None;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::frame::Code;
    use muster_runtime::Clock;

    const GONE: Status = Status::new(Code::Unavailable, "gone");

    fn take(outbox: &Outbox, now: Instant) -> Poll<Result<Bytes, Status>> {
        outbox.poll_take(&mut Context::from_waker(Waker::noop()), now)
    }

    #[test]
    fn a_full_queue_says_so_and_takes_again_once_one_is_gone() {
        let (outbox, now) = (Outbox::new(Queued::default()), Clock::system().now());
        for _ in 0..MESSAGES_MAX {
            outbox.put(Bytes::from_static(b"x"), now).unwrap();
        }
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Err(Refusal::Full));
        assert!(take(&outbox, now).is_ready());
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Ok(()));
    }

    #[test]
    fn one_message_longer_than_all_room_is_taken_alone() {
        let (outbox, now) = (Outbox::new(Queued::default()), Clock::system().now());
        outbox.put(Bytes::from(vec![0; BYTES_MAX + 1]), now).unwrap();
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Err(Refusal::Full));
    }

    #[test]
    fn clients_that_do_not_read_leave_the_queues_of_others_open() {
        let (all, now) = (Queued::default(), Clock::system().now());
        let (deaf, reading) = (Outbox::new(all.clone()), Outbox::new(all.clone()));
        let message = || Bytes::from_static(b"x");
        deaf.put(Bytes::from(vec![0; NODE_BYTES_MAX]), now).unwrap();
        for _ in 0..3 {
            assert_eq!(reading.put(message(), now), Ok(()));
            assert_eq!(reading.put(message(), now), Err(Refusal::Full));
            assert!(take(&reading, now).is_ready());
        }
        deaf.end(GONE);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
        assert_eq!([(); 2].map(|()| reading.put(message(), now)), [Ok(()), Ok(())]);
        drop(reading);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn of_one_subscription_a_few_messages_wait_and_of_others_as_many() {
        let (outbox, now) = (Outbox::new(Queued::default()), Clock::system().now());
        let put = |about| outbox.put_about(about, Bytes::from_static(b"x"), now);
        for about in [Some(1), Some(2)] {
            for _ in 0..ABOUT_ONE_MAX {
                assert_eq!(put(about), Ok(()));
            }
            assert_eq!(put(about), Err(Refusal::Full));
        }
        for _ in 0..2 * ABOUT_ONE_MAX {
            assert_eq!(put(None), Ok(()), "what the server asks is about nothing");
        }
        assert!(take(&outbox, now).is_ready());
        assert_eq!(put(Some(1)), Ok(()));
        assert_eq!(put(Some(2)), Err(Refusal::Full));
    }

    #[test]
    fn an_end_drops_what_waits_and_nothing_more_is_taken() {
        let (outbox, now) = (Outbox::new(Queued::default()), Clock::system().now());
        outbox.put(Bytes::from_static(b"x"), now).unwrap();
        outbox.end(GONE);
        outbox.end(Status::OK);
        assert_eq!(take(&outbox, now), Poll::Ready(Err(GONE)));
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Err(Refusal::Ended));
    }

    #[test]
    fn a_queue_is_blocked_since_its_last_message_was_taken() {
        let (outbox, start) = (Outbox::new(Queued::default()), Clock::system().now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(outbox.blocked_for(at(5)), Duration::ZERO);
        outbox.put(Bytes::from_static(b"x"), at(5)).unwrap();
        outbox.put(Bytes::from_static(b"x"), at(7)).unwrap();
        assert_eq!(outbox.blocked_for(at(9)), Duration::from_secs(4));
        assert!(take(&outbox, at(10)).is_ready());
        assert_eq!(outbox.blocked_for(at(13)), Duration::from_secs(3));
        assert!(take(&outbox, at(14)).is_ready());
        assert_eq!(outbox.blocked_for(at(60)), Duration::ZERO);
    }
}
