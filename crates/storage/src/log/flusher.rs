//! The one that writes: a thread, or in a simulation a task.
//!
//! Both take the same steps: [`Flusher::write`], [`Flusher::sync`], [`Flusher::answer`]. The thread takes them at a stretch;
//! the task lets the time pass between them that a disk takes, so that the power can go there.

use super::queue::{Batch, Job, Queue};
use super::record::Encoder;
use super::table::{Place, Segment, Table};
use super::{LogConfig, OnFatal, Position, Sync, Vote, random_id, segment_name};
use crate::disk::{Disk, DiskFile};
use crate::metrics;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// A buffer that a large batch has blown up beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// Where entries lie.
type Places = Vec<(Position, Place)>;

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
    /// Purges and truncations that are on the disk, to hold against [`Table::cuts`].
    cuts: u64,
    /// A purge is on the disk whose segments are not gone yet.
    removal_due: bool,
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
            cuts: 0,
            removal_due: false,
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
        while let Some(batch) = self.queue.take() {
            let synced = self
                .write(&batch)
                .and_then(|written| self.sync(&batch).map(|()| written));
            self.answer(batch, synced);
        }
    }

    /// As [`Flusher::run`], in the time that the disk says it takes.
    pub(super) async fn run_as_task(mut self) {
        while let Some(batch) = self.queue.taken().await {
            let mut written = self.write(&batch);
            tokio::time::sleep(self.disk.pause()).await;
            if written.is_ok()
                && let Err(error) = self.sync(&batch)
            {
                written = Err(error);
            }
            tokio::time::sleep(self.disk.pause()).await;
            self.answer(batch, written);
        }
    }

    /// One write; answers where the entries are now.
    fn write(&mut self, batch: &Batch) -> io::Result<Places> {
        if let Some(error) = self.queue.check_failed() {
            return Err(error);
        }
        self.roll_if_full()?;
        let active = self
            .active
            .as_mut()
            .expect("a segment is begun before the flusher starts");
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        let mut encoder = Encoder {
            segment_id: active.id,
            buffer: &mut self.buffer,
        };
        let mut places = Vec::new();
        encoder.batch(active.synced);
        for job in &batch.jobs {
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
        if let Some(committed) = batch.committed {
            encoder.committed(committed);
        }
        active.file.write_at(active.length, &self.buffer)?;
        active.length += self.buffer.len() as u64;
        metrics::LOG_BYTES.inc_by(self.buffer.len() as u64);
        Ok(places)
    }

    /// One sync, if anybody waits for one.
    fn sync(&mut self, batch: &Batch) -> io::Result<()> {
        if batch.jobs.is_empty() || self.config.sync == Sync::Never {
            return Ok(());
        }
        let active = self
            .active
            .as_mut()
            .expect("a segment is begun before the flusher starts");
        let timer = metrics::SYNC_SECONDS.start_timer();
        active.file.sync()?;
        timer.observe_duration();
        active.synced = active.length;
        Ok(())
    }

    /// Tells everybody what became of their jobs.
    fn answer(&mut self, batch: Batch, outcome: io::Result<Places>) {
        let outcome = outcome.map(|places| {
            metrics::ENTRIES.inc_by(places.len() as u64);
            let mut table = self.table.lock();
            for (position, place) in places {
                table.written(position, place);
            }
            table.evict();
        });
        if let Err(error) = &outcome {
            self.queue.fail(error);
            if let Some(on_fatal) = self.on_fatal.take() {
                tracing::error!(%error, "the raft log cannot be written; this node stops taking part");
                on_fatal(format!("the raft log cannot be written: {error}"));
            }
        }
        let cuts = batch.jobs.iter().filter(|job| job.is_cut()).count();
        for job in batch.jobs {
            job.finish(&outcome);
        }
        if outcome.is_err() {
            return;
        }
        self.cuts += cuts as u64;
        self.removal_due |= cuts > 0;
        // Late: nobody waits for files to go.
        if self.removal_due
            && let Err(error) = self.remove_segments()
        {
            tracing::warn!(%error, "an old segment of the raft log could not be removed");
        }
    }

    fn roll_if_full(&mut self) -> io::Result<()> {
        let active = self
            .active
            .as_ref()
            .expect("a segment is begun before the flusher starts");
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
    /// would be damage. Which entries live is known by the table, which is ahead of the disk while a purge or a truncation
    /// waits: a crash then brings entries back whose segment must be there. So the files wait for them.
    fn remove_segments(&mut self) -> io::Result<()> {
        let active = self
            .active
            .as_ref()
            .expect("a segment is begun before the flusher starts")
            .number;
        loop {
            let oldest = {
                let mut table = self.table.lock();
                if table.cuts != self.cuts {
                    return Ok(());
                }
                let keep_from = table.oldest_segment_in_use().unwrap_or(active).min(active);
                match table.segments.first_key_value() {
                    Some((number, _)) if *number < keep_from => table.segments.pop_first(),
                    _ => None,
                }
            };
            let Some((_, segment)) = oldest else {
                self.removal_due = false;
                return Ok(());
            };
            self.disk.remove(&segment.path)?;
            self.disk.sync_folder(&self.config.folder)?;
        }
    }
}
