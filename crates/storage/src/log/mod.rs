//! The Raft log and the vote.
//!
//! ```text
//! append / save_vote / truncate / purge --> memory table (readable at once)
//!                                      \-> queue --> flusher thread: one write, one sync, then every `done`
//! ```
//! A simulation that keeps to one thread gets a task in its place; see [`muster_runtime::keep_to_one_thread`].
//!
//! What it promises:
//! 1. A `done` that says ok means: this and everything queued before it is on the disk.
//! 2. Records reach the disk in the order of the calls; entries and votes share the order.
//! 3. After a crash the log is a prefix of what was queued that contains everything that was told to be done.
//! 4. After an error of the disk nothing more is written or promised; all later calls fail with the first reason.
//!
//! Segments are `<number>.log`: the number, not the first index, because a truncation may bring indexes back.

mod flusher;
mod queue;
mod record;
mod recover;
mod table;

#[cfg(test)]
mod tests;

use crate::disk::Disk;
use bytes::Bytes;
use flusher::Flusher;
use muster_runtime::{Shutdown, TaskKind, Tasks};
use parking_lot::Mutex;
use queue::{Job, Queue};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use table::{Piece, Table};

/// A place in the log: the leadership that wrote the entry, and the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    pub term: u64,
    pub leader: u64,
    pub index: u64,
}

/// Whom this member follows in which term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vote {
    pub term: u64,
    pub leader: u64,
    /// Whether a majority voted so.
    pub committed: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    pub position: Position,
    /// What the payload is; the log does not look into either.
    pub tag: u8,
    pub payload: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogState {
    /// The last entry that is gone because a snapshot holds it.
    pub purged: Option<Position>,
    /// The last entry, or `purged` if there is none.
    pub last: Option<Position>,
    pub vote: Option<Vote>,
    /// A lower bound of what was committed; not synced by itself.
    pub committed: Option<Position>,
}

impl LogState {
    /// Whether nothing was ever promised in this log.
    pub fn is_pristine(&self) -> bool {
        self.last.is_none() && self.vote.is_none()
    }
}

/// When written bytes are synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sync {
    /// Before anything is told to be done.
    #[default]
    Always,
    /// Never; a crash of the machine loses what was acknowledged. For comparisons alone.
    Never,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    pub folder: PathBuf,
    pub sync: Sync,
    /// A segment that has grown past this is followed by a new one.
    pub segment_bytes: u64,
    /// Newest payloads kept in memory, with their bookkeeping; older ones are read from the segments.
    pub cache_bytes: usize,
    /// Payload that may wait for the flusher; [`RaftLog::when_room`] tells when there is room again.
    pub queue_bytes: usize,
}

impl LogConfig {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            sync: Sync::Always,
            segment_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            queue_bytes: 64 << 20,
        }
    }
}

/// Why a log does not open.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "the raft log is damaged in {path} at byte {offset}: {reason}; restore the folder from a copy, or remove and add this member"
    )]
    Damaged { path: PathBuf, offset: u64, reason: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Told once the asked-for is on the disk, or why it is not. Runs on the flusher thread: short, and never blocking.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Told once, with the first error of the disk.
pub type OnFatal = Box<dyn FnOnce(String) + Send>;

/// Entries that were asked for.
pub enum Reading {
    Ready(Vec<LogEntry>),
    /// Some lie on disk; [`DiskReading::run`] blocks.
    OnDisk(DiskReading),
}

pub struct DiskReading(Vec<Piece>);

impl DiskReading {
    /// # Errors
    /// The disk's; damage.
    pub fn run(self) -> io::Result<Vec<LogEntry>> {
        self.0.into_iter().map(Piece::fetch).collect()
    }
}

/// The log. Calls do not block on the disk; they are made by one owner in order, reads by anyone.
pub struct RaftLog {
    /// Held for a few lines; the flusher takes it after each write.
    table: Arc<Mutex<Table>>,
    queue: Arc<Queue>,
    /// None once closed, and for a task.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RaftLog {
    /// Reads what is there and starts the flusher: a thread, or a task of the current runtime where the calling thread keeps
    /// to itself.
    ///
    /// # Errors
    /// [`LogError::Damaged`] for damage anywhere but in a torn tail.
    pub fn open(config: LogConfig, disk: Arc<dyn Disk>, on_fatal: OnFatal) -> Result<Self, LogError> {
        disk.create_folder(&config.folder)?;
        let (table, number) = recover::recover(&*disk, &config.folder, config.cache_bytes)?;
        let table = Arc::new(Mutex::new(table));
        let queue = Arc::new(Queue::new(config.queue_bytes));
        let mut flusher = Flusher::new(config, disk, table.clone(), queue.clone(), on_fatal);
        flusher.begin_segment(number)?;
        let thread = if muster_runtime::keeps_to_one_thread() {
            let flushing = flusher.run_as_task();
            Tasks::new(Shutdown::new()).spawn("raft-log", TaskKind::Contained, flushing);
            None
        } else {
            let thread = std::thread::Builder::new().name("raft-log".into());
            Some(thread.spawn(move || flusher.run())?)
        };
        Ok(Self {
            table,
            queue,
            thread: Mutex::new(thread),
        })
    }

    pub fn state(&self) -> LogState {
        self.table.lock().state()
    }

    /// Adds entries that follow the last one. They can be read at once; `done` tells when they are on the disk.
    ///
    /// # Errors
    /// A hole, an entry of more than 32 MiB, the index 2^64-1, or an earlier error of the disk. Nothing was added then.
    pub fn append(&self, entries: Vec<LogEntry>, done: Done) -> io::Result<()> {
        self.queue.check()?;
        if let Some(long) = entries
            .iter()
            .find(|entry| entry.payload.len() > record::RECORD_BYTES_MAX / 2)
        {
            return Err(invalid(format!("entry {} is longer than 32 MiB", long.position.index)));
        }
        {
            let mut table = self.table.lock();
            let mut next = table.next_index();
            for entry in &entries {
                if next.is_some_and(|next| next != entry.position.index) {
                    return Err(invalid(format!("entry {} leaves a hole", entry.position.index)));
                }
                // The start would refuse it, too: `recover`.
                let Some(after) = entry.position.index.checked_add(1) else {
                    return Err(invalid("no entry could follow the last number there is".to_owned()));
                };
                next = Some(after);
            }
            for entry in &entries {
                table.push(entry, None, true);
            }
        }
        self.queue.push(Job::Append { entries, done });
        Ok(())
    }

    /// Keeps the vote; it counts once `done` says so.
    ///
    /// # Errors
    /// An earlier error of the disk.
    pub fn save_vote(&self, vote: Vote, done: Done) -> io::Result<()> {
        self.queue.check()?;
        self.table.lock().vote = Some(vote);
        self.queue.push(Job::Vote { vote, done });
        Ok(())
    }

    /// Notes what is committed. It goes to disk with the next write, or by itself when there is none, never synced for.
    pub fn save_committed(&self, upto: Position) {
        self.table.lock().committed = Some(upto);
        self.queue.set_committed(upto);
    }

    /// Takes back the entries after `after`; `None`: all.
    ///
    /// # Errors
    /// An earlier error of the disk.
    pub fn truncate_after(&self, after: Option<u64>) -> io::Result<()> {
        self.queue.check()?;
        {
            let mut table = self.table.lock();
            table.truncate_after(after);
            table.cuts += 1;
        }
        self.queue.push(Job::Truncate { after });
        Ok(())
    }

    /// Forgets entries up to `upto`, which a snapshot on disk holds. Files go once nothing in them is needed.
    ///
    /// # Errors
    /// An earlier error of the disk.
    pub fn purge(&self, upto: Position) -> io::Result<()> {
        self.queue.check()?;
        {
            let mut table = self.table.lock();
            table.purge(upto);
            table.cuts += 1;
        }
        self.queue.push(Job::Purge { upto });
        Ok(())
    }

    /// `done` tells when everything before is on the disk.
    ///
    /// # Errors
    /// An earlier error of the disk.
    pub fn flush(&self, done: Done) -> io::Result<()> {
        self.queue.check()?;
        self.queue.push(Job::Flush { done });
        Ok(())
    }

    /// Entries in `range` that are there, in order: at least the first, then as many as fit into `bytes_max`.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Reading {
        let pieces = self.table.lock().look_up(range, bytes_max);
        if pieces.iter().all(|piece| matches!(piece, Piece::Here(_))) {
            Reading::Ready(
                pieces
                    .into_iter()
                    .filter_map(|piece| match piece {
                        Piece::Here(entry) => Some(entry),
                        Piece::There { .. } => None,
                    })
                    .collect(),
            )
        } else {
            Reading::OnDisk(DiskReading(pieces))
        }
    }

    /// Calls back once less than the bound waits for the flusher, perhaps at once.
    pub fn when_room(&self, call: Box<dyn FnOnce() + Send>) {
        self.queue.when_room(call);
    }

    /// Writes and syncs what waits and ends the flusher. Blocks. Later calls fail.
    ///
    /// As a task the flusher ends after this has returned, and with its runtime it ends without writing anything.
    pub fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the flusher of the raft log panicked");
        }
    }
}

impl Drop for RaftLog {
    fn drop(&mut self) {
        self.close();
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn segment_name(number: u64) -> String {
    format!("{number:020}.log")
}

/// A number that nobody can guess to have been used before: the standard library's hash seeds come from the system.
pub(crate) fn random_id() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
