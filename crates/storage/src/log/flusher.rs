//! The one thread that writes.

use super::record::Encoder;
use super::table::{Place, Segment, Table};
use super::{Done, LogConfig, LogEntry, OnFatal, Position, Sync, Vote, random_id, segment_name};
use crate::disk::{Disk, DiskFile};
use crate::metrics;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a commit mark waits for a write to travel with.
const COMMITTED_LINGER: Duration = Duration::from_millis(20);
/// A write is cut here, so that its callers are not kept waiting for later ones.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// A buffer that a large batch has blown up beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

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
    changed: Condvar,
    bytes_max: usize,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
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
        self.changed.notify_one();
    }

    pub(super) fn set_committed(&self, upto: Position) {
        let mut waiting = self.waiting.lock();
        if waiting.committed.replace(upto).is_none() && waiting.jobs.is_empty() {
            self.changed.notify_one();
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
        self.changed.notify_one();
    }

    /// What waits; `None` at the end.
    fn take(&self) -> Option<(Vec<Job>, Option<Position>)> {
        let mut waiting = self.waiting.lock();
        loop {
            if !waiting.jobs.is_empty() {
                break;
            }
            if waiting.closed {
                return waiting.committed.take().map(|committed| (Vec::new(), Some(committed)));
            }
            if waiting.committed.is_some() {
                // Nothing else to write: give a write a moment to come along.
                if self.changed.wait_for(&mut waiting, COMMITTED_LINGER).timed_out() {
                    break;
                }
            } else {
                self.changed.wait(&mut waiting);
            }
        }
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
        Some((jobs, committed))
    }

    fn fail(&self, error: &io::Error) {
        let mut waiting = self.waiting.lock();
        waiting.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        waiting.committed = None;
        let on_room = std::mem::take(&mut waiting.on_room);
        drop(waiting);
        on_room.into_iter().for_each(|call| call());
    }
}

struct Active {
    number: u64,
    id: u64,
    file: Arc<dyn DiskFile>,
    /// Where the next record goes. Invariant: `synced <= length`.
    length: u64,
    synced: u64,
}

pub(super) struct Flusher {
    config: LogConfig,
    disk: Arc<dyn Disk>,
    table: Arc<Mutex<Table>>,
    queue: Arc<Queue>,
    on_fatal: Option<OnFatal>,
    active: Option<Active>,
    /// What is in the segments so far, for the head of the next one; the table is ahead of it.
    vote: Option<Vote>,
    purged: Option<Position>,
    buffer: Vec<u8>,
}

impl Flusher {
    pub(super) fn new(
        config: LogConfig,
        disk: Arc<dyn Disk>,
        table: Arc<Mutex<Table>>,
        queue: Arc<Queue>,
        on_fatal: OnFatal,
    ) -> Self {
        let state = table.lock().state();
        Self {
            vote: state.vote,
            purged: state.purged,
            config,
            disk,
            table,
            queue,
            on_fatal: Some(on_fatal),
            active: None,
            buffer: Vec::new(),
        }
    }

    /// Creates segment `number` and writes into its head what must not go with older segments. On the disk before anything
    /// is appended to it.
    pub(super) fn begin_segment(&mut self, number: u64) -> io::Result<()> {
        let path = self.config.folder.join(segment_name(number));
        let id = random_id();
        let mut head = Vec::new();
        let mut encoder = Encoder {
            segment_id: id,
            buffer: &mut head,
        };
        encoder.header();
        if let Some(vote) = self.vote {
            encoder.vote(vote);
        }
        if let Some(purged) = self.purged {
            encoder.purge(purged);
        }
        let file = self.disk.create(&path)?;
        file.write_at(0, &head)?;
        file.sync()?;
        self.disk.sync_folder(&self.config.folder)?;
        let length = head.len() as u64;
        let file_of_table = file.clone();
        self.table.lock().segments.insert(
            number,
            Segment {
                id,
                path,
                file: file_of_table,
            },
        );
        self.active = Some(Active {
            number,
            id,
            file,
            length,
            synced: length,
        });
        Ok(())
    }

    pub(super) fn run(mut self) {
        while let Some((jobs, committed)) = self.queue.take() {
            let result = match self.queue.check_failed() {
                Some(error) => Err(error),
                None => self.write(&jobs, committed),
            };
            if let Err(error) = &result {
                self.queue.fail(error);
                if let Some(on_fatal) = self.on_fatal.take() {
                    tracing::error!(%error, "the raft log cannot be written; this node stops taking part");
                    on_fatal(format!("the raft log cannot be written: {error}"));
                }
            }
            let purged = jobs.iter().any(|job| matches!(job, Job::Purge { .. }));
            for job in jobs {
                job.finish(&result);
            }
            // Late: nobody waits for files to go.
            if purged
                && result.is_ok()
                && let Err(error) = self.remove_segments()
            {
                tracing::warn!(%error, "an old segment of the raft log could not be removed");
            }
        }
    }

    /// One write, one sync.
    fn write(&mut self, jobs: &[Job], committed: Option<Position>) -> io::Result<()> {
        self.roll_if_full()?;
        let active = self
            .active
            .as_mut()
            .expect("a segment is begun before the thread starts");
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        let mut encoder = Encoder {
            segment_id: active.id,
            buffer: &mut self.buffer,
        };
        let mut places = Vec::new();
        encoder.batch(active.synced);
        for job in jobs {
            match job {
                Job::Append { entries, .. } => {
                    for entry in entries {
                        let start = encoder.buffer.len();
                        encoder.entry(entry);
                        let place = Place {
                            segment: active.number,
                            offset: active.length + start as u64,
                            length: (encoder.buffer.len() - start) as u32,
                        };
                        places.push((entry.position, place));
                    }
                }
                Job::Vote { vote, .. } => {
                    encoder.vote(*vote);
                    self.vote = Some(*vote);
                }
                Job::Truncate { after } => encoder.truncate(*after),
                Job::Purge { upto } => {
                    encoder.purge(*upto);
                    self.purged = self.purged.max(Some(*upto));
                }
                Job::Flush { .. } => {}
            }
        }
        if let Some(committed) = committed {
            encoder.committed(committed);
        }
        active.file.write_at(active.length, &self.buffer)?;
        active.length += self.buffer.len() as u64;
        if !jobs.is_empty() && self.config.sync == Sync::Always {
            let timer = metrics::SYNC_SECONDS.start_timer();
            active.file.sync()?;
            timer.observe_duration();
            active.synced = active.length;
        }
        metrics::ENTRIES.inc_by(places.len() as u64);
        metrics::LOG_BYTES.inc_by(self.buffer.len() as u64);
        let mut table = self.table.lock();
        for (position, place) in places {
            table.written(position, place);
        }
        table.evict();
        Ok(())
    }

    fn roll_if_full(&mut self) -> io::Result<()> {
        let active = self
            .active
            .as_ref()
            .expect("a segment is begun before the thread starts");
        if active.length < self.config.segment_bytes {
            return Ok(());
        }
        // Damage in a segment that has a successor is never a torn tail, so nothing unsynced may stay behind.
        if self.config.sync == Sync::Always && active.synced < active.length {
            active.file.sync()?;
        }
        let next = active.number + 1;
        self.begin_segment(next)
    }

    /// Removes the segments that hold no live entry, oldest first, each for good before the next: a hole between segments
    /// would be damage.
    fn remove_segments(&mut self) -> io::Result<()> {
        let active = self
            .active
            .as_ref()
            .expect("a segment is begun before the thread starts")
            .number;
        loop {
            let oldest = {
                let mut table = self.table.lock();
                let keep_from = table.oldest_segment_in_use().unwrap_or(active).min(active);
                match table.segments.first_key_value() {
                    Some((number, _)) if *number < keep_from => table.segments.pop_first(),
                    _ => None,
                }
            };
            let Some((_, segment)) = oldest else { return Ok(()) };
            self.disk.remove(&segment.path)?;
            self.disk.sync_folder(&self.config.folder)?;
        }
    }
}

impl Queue {
    fn check_failed(&self) -> Option<io::Error> {
        let waiting = self.waiting.lock();
        waiting
            .failed
            .as_ref()
            .map(|(kind, text)| io::Error::new(*kind, text.clone()))
    }
}

impl Job {
    fn finish(self, result: &io::Result<()>) {
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

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the raft log is closed")
}

#[cfg(test)]
impl Queue {
    pub(super) fn take_for_test(&self) {
        drop(self.take());
    }
}
