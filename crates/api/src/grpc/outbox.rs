//! What waits to be sent on one stream.

use super::frame::Status;
use crate::metrics::GRPC_QUEUED;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Messages that wait for one client. A client subscribes to some hundred services at most; what is over waits in push.
const MESSAGES_MAX: usize = 256;

/// Their bytes; one message may be longer.
const BYTES_MAX: usize = 16 << 20;

/// Room kept by a queue that has run empty.
const KEPT_MAX: usize = 8;

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
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// When the oldest message became the oldest.
    waiting_since: Option<Instant>,
    end: Option<Status>,
    /// The stream's two tasks, of which one sends and the other reads.
    sender: Option<Waker>,
    reader: Option<Waker>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Queue {
            messages: VecDeque::new(),
            bytes: 0,
            waiting_since: None,
            end: None,
            sender: None,
            reader: None,
        }))
    }

    pub(super) fn put(&self, message: Bytes, now: Instant) -> Result<(), Refusal> {
        let mut queue = self.0.lock();
        if queue.end.is_some() {
            return Err(Refusal::Ended);
        }
        let fits = queue.messages.len() < MESSAGES_MAX && queue.bytes + message.len() <= BYTES_MAX;
        if !fits && !queue.messages.is_empty() {
            return Err(Refusal::Full);
        }
        queue.bytes += message.len();
        queue.messages.push_back(message);
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
        let Some(message) = queue.messages.pop_front() else {
            queue.sender = Some(context.waker().clone());
            return Poll::Pending;
        };
        GRPC_QUEUED.dec();
        queue.bytes -= message.len();
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
    fn clear(&mut self) {
        GRPC_QUEUED.sub(self.messages.len() as i64);
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
        let (outbox, now) = (Outbox::new(), Clock::system().now());
        for _ in 0..MESSAGES_MAX {
            outbox.put(Bytes::from_static(b"x"), now).unwrap();
        }
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Err(Refusal::Full));
        assert!(take(&outbox, now).is_ready());
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Ok(()));
    }

    #[test]
    fn one_message_longer_than_all_room_is_taken_alone() {
        let (outbox, now) = (Outbox::new(), Clock::system().now());
        outbox.put(Bytes::from(vec![0; BYTES_MAX + 1]), now).unwrap();
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Err(Refusal::Full));
    }

    #[test]
    fn an_end_drops_what_waits_and_nothing_more_is_taken() {
        let (outbox, now) = (Outbox::new(), Clock::system().now());
        outbox.put(Bytes::from_static(b"x"), now).unwrap();
        outbox.end(GONE);
        outbox.end(Status::OK);
        assert_eq!(take(&outbox, now), Poll::Ready(Err(GONE)));
        assert_eq!(outbox.put(Bytes::from_static(b"x"), now), Err(Refusal::Ended));
    }

    #[test]
    fn a_queue_is_blocked_since_its_last_message_was_taken() {
        let (outbox, start) = (Outbox::new(), Clock::system().now());
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
