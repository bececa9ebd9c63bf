//! What waits for the flusher.

use super::{Done, LogEntry, Position, Vote};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::io;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a commit mark waits for a write to travel with.
const COMMITTED_LINGER: Duration = Duration::from_millis(20);
/// A write is cut here, so that its callers are not kept waiting for later ones.
const BATCH_BYTES_MAX: usize = 8 << 20;

pub(super) enum Job {
    Append { entries: Vec<LogEntry>, done: Done },
    Vote { vote: Vote, done: Done },
    Truncate { after: Option<u64> },
    Purge { upto: Position },
    Flush { done: Done },
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Job::Append { entries, .. } => entries.iter().map(|entry| entry.payload.len() + 64).sum(),
            _ => 64,
        }
    }

    /// It takes entries away.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Job::Truncate { .. } | Job::Purge { .. })
    }

    /// Tells the caller.
    pub(super) fn finish(self, result: &io::Result<()>) {
        let done = match self {
            Job::Append { done, .. } | Job::Vote { done, .. } | Job::Flush { done } => done,
            Job::Truncate { .. } | Job::Purge { .. } => return,
        };
        done(match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        });
    }
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    bytes: usize,
    committed: Option<Position>,
    on_room: Vec<Box<dyn FnOnce() + Send>>,
    closed: bool,
    /// The first error of the disk.
    failed: Option<(io::ErrorKind, String)>,
}

/// What waits for the flusher. The owner waits for room beyond `bytes_max`; the bound is soft by one call.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// For the thread.
    changed: Condvar,
    /// For the task.
    notify: Notify,
    bytes_max: usize,
}

/// What goes to disk in one write.
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    pub(super) committed: Option<Position>,
}

/// What a look at the queue has found.
enum Look {
    Nothing,
    /// A commit mark alone: a write may come along within [`COMMITTED_LINGER`].
    Linger,
    Ready,
    End,
}

fn look(waiting: &Waiting, lingered: bool) -> Look {
    match (waiting.jobs.is_empty(), waiting.committed) {
        (false, _) => Look::Ready,
        (true, Some(_)) if waiting.closed || lingered => Look::Ready,
        (true, Some(_)) => Look::Linger,
        (true, None) if waiting.closed => Look::End,
        (true, None) => Look::Nothing,
    }
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            notify: Notify::new(),
            bytes_max,
        }
    }

    pub(super) fn check(&self) -> io::Result<()> {
        let waiting = self.waiting.lock();
        match &waiting.failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None if waiting.closed => Err(closed()),
            None => Ok(()),
        }
    }

    pub(super) fn push(&self, job: Job) {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            drop(waiting);
            return job.finish(&Err(closed()));
        }
        waiting.bytes += job.bytes();
        waiting.jobs.push(job);
        self.wake();
    }

    pub(super) fn set_committed(&self, upto: Position) {
        let mut waiting = self.waiting.lock();
        if waiting.committed.replace(upto).is_none() && waiting.jobs.is_empty() {
            self.wake();
        }
    }

    pub(super) fn when_room(&self, call: Box<dyn FnOnce() + Send>) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes < self.bytes_max || waiting.closed || waiting.failed.is_some() {
            drop(waiting);
            call();
        } else {
            waiting.on_room.push(call);
        }
    }

    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_one();
        self.notify.notify_one();
    }

    /// What waits; `None` at the end. Blocks.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut lingered = false;
        loop {
            let mut waiting = self.waiting.lock();
            match look(&waiting, lingered) {
                Look::Nothing => self.changed.wait(&mut waiting),
                Look::Linger => lingered = self.changed.wait_for(&mut waiting, COMMITTED_LINGER).timed_out(),
                Look::End => return None,
                Look::Ready => return Some(self.take_batch(waiting)),
            }
        }
    }

    /// As [`Queue::take`], for the task.
    pub(super) async fn taken(&self) -> Option<Batch> {
        let mut lingered = false;
        loop {
            let look = {
                let waiting = self.waiting.lock();
                match look(&waiting, lingered) {
                    Look::Ready => return Some(self.take_batch(waiting)),
                    look => look,
                }
            };
            match look {
                Look::Linger => {
                    let woken = tokio::time::timeout(COMMITTED_LINGER, self.notify.notified()).await;
                    lingered = woken.is_err();
                }
                Look::End => return None,
                _ => self.notify.notified().await,
            }
        }
    }

    fn take_batch(&self, mut waiting: MutexGuard<'_, Waiting>) -> Batch {
        let mut bytes = 0;
        let fit = waiting
            .jobs
            .iter()
            .take_while(|job| {
                let fits = bytes < BATCH_BYTES_MAX;
                bytes += job.bytes();
                fits
            })
            .count();
        let jobs: Vec<Job> = if fit == waiting.jobs.len() {
            std::mem::take(&mut waiting.jobs)
        } else {
            waiting.jobs.drain(..fit).collect()
        };
        // The mark may name an entry that is still queued; then it waits with it.
        let committed = if waiting.jobs.is_empty() {
            waiting.committed.take()
        } else {
            None
        };
        waiting.bytes -= jobs.iter().map(Job::bytes).sum::<usize>();
        let on_room = if waiting.bytes < self.bytes_max {
            std::mem::take(&mut waiting.on_room)
        } else {
            Vec::new()
        };
        drop(waiting);
        on_room.into_iter().for_each(|call| call());
        Batch { jobs, committed }
    }

    /// Keeps the first error of the disk; everything fails with it from now on.
    pub(super) fn fail(&self, error: &io::Error) {
        let mut waiting = self.waiting.lock();
        waiting.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        waiting.committed = None;
        let on_room = std::mem::take(&mut waiting.on_room);
        drop(waiting);
        on_room.into_iter().for_each(|call| call());
    }

    pub(super) fn check_failed(&self) -> Option<io::Error> {
        let waiting = self.waiting.lock();
        waiting
            .failed
            .as_ref()
            .map(|(kind, text)| io::Error::new(*kind, text.clone()))
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the raft log is closed")
}

#[cfg(test)]
impl Queue {
    pub(super) fn take_for_test(&self) {
        drop(self.take());
    }
}
