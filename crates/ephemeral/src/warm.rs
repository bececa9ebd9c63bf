//! The warm copy: the store in a file, for when all members start at once and nobody remembers.
//!
//! The file is a mark, then frames of length, checksum and a batch as members exchange them, then an empty frame that
//! counts them. It is believed as a whole or not at all, so it is read twice: once to check it, once to take it over.

use crate::loader::chunk;
use crate::metrics;
use crate::node::Node;
use crate::wire::{self, Batch, Garbage};
use bytes::Bytes;
use muster_storage::{Disk, DiskFile};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const WRITE_EVERY: Duration = Duration::from_secs(5);
pub(crate) const FILE: &str = "ephemeral.warm";
const DRAFT: &str = "ephemeral.warm.new";
/// Written at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Names the format; another one is not read.
const MARK: [u8; 8] = *b"MUSTERW1";
/// A batch has [`wire::BATCH_BYTES`] and one record more.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Why there is no warm copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not a whole warm copy: {0}")]
    Torn(&'static str),
    #[error(transparent)]
    Garbage(#[from] Garbage),
}

pub(crate) async fn run(node: Arc<Node>) {
    loop {
        tokio::select! {
            () = node.tasks.shutdown().begun() => return,
            () = tokio::time::sleep(WRITE_EVERY) => {}
        }
        write(&node).await;
    }
}

/// Writes the warm copy if anything has changed since the last one.
pub(crate) async fn write(node: &Arc<Node>) {
    let Some(dir) = node.config.warm_dir.clone() else {
        return;
    };
    let mut written = node.warm_written.lock().await;
    let writes = node.store.writes();
    if !node.is_ready() || writes == *written {
        return;
    }
    let writing = node.clone();
    let result = muster_runtime::blocking(move || write_file(&writing, &dir)).await;
    match result {
        Ok(Ok(())) => {
            *written = writes;
            metrics::WARM_WRITTEN.inc();
        }
        Ok(Err(error)) => failed("could not write the warm copy", &error.to_string()),
        Err(error) => failed("could not write the warm copy", &error.to_string()),
    }
}

/// Reads the warm copy, if there is one that can be believed. What it lists is seen now: it gets a full lease.
pub(crate) async fn read(node: &Arc<Node>) {
    let Some(dir) = node.config.warm_dir.clone() else {
        return;
    };
    let reading = node.clone();
    let result = muster_runtime::blocking(move || read_file(&reading, &dir.join(FILE))).await;
    match result {
        Ok(Ok(())) => tracing::info!(instances = node.store.instances_count(), "read the warm copy"),
        Ok(Err(Error::Io(error))) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(Err(error)) => failed("the warm copy is ignored", &error.to_string()),
        Err(error) => failed("the warm copy is ignored", &error.to_string()),
    }
}

fn failed(what: &'static str, error: &str) {
    metrics::WARM_FAILED.inc();
    tracing::warn!(error, "{what}");
}

pub(crate) fn write_file(node: &Node, dir: &Path) -> Result<(), Error> {
    let disk = &*node.disk;
    let draft = dir.join(DRAFT);
    let there = disk.list(dir)?;
    if there.is_empty() {
        disk.create_folder(dir)?;
    }
    // Of a write that did not come to its end.
    if there.iter().any(|name| name == DRAFT) {
        disk.remove(&draft)?;
    }
    let mut file = Appending::new(disk.create(&draft)?);
    file.push(&MARK)?;
    let (mut after, mut frames) = (None, 0u64);
    loop {
        let (builder, last) = chunk(node, after);
        if !builder.is_empty() {
            let body = wire::encode(&builder.batch());
            if body.len() > FRAME_BYTES_MAX {
                return Err(Error::Torn("a record too large for a frame"));
            }
            file.push(&(body.len() as u32).to_le_bytes())?;
            file.push(&xxh3_64(&body).to_le_bytes())?;
            file.push(&body)?;
            frames += 1;
        }
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    file.push(&0u32.to_le_bytes())?;
    file.push(&frames.to_le_bytes())?;
    // Synced before it takes the place of the last one, or a power cut could leave neither.
    file.finish()?;
    disk.rename(&draft, &dir.join(FILE))?;
    disk.sync_folder(dir)?;
    Ok(())
}

/// Writes one after the other.
struct Appending {
    file: Arc<dyn DiskFile>,
    written: u64,
    buffer: Vec<u8>,
}

impl Appending {
    fn new(file: Arc<dyn DiskFile>) -> Self {
        Self {
            file,
            written: 0,
            buffer: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.write_out()?;
        self.file.sync()
    }
}

/// Reads one after the other.
struct Reading {
    file: Arc<dyn DiskFile>,
    at: u64,
    end: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer
            .len()
            .min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        self.file.read_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

pub(crate) fn read_file(node: &Node, path: &Path) -> Result<(), Error> {
    let disk = &*node.disk;
    for_each_batch(disk, path, |batch| Ok(batch.parse(node.timeline.now()).map(drop)?))?;
    for_each_batch(disk, path, |batch| {
        let now = node.timeline.now();
        let mut incoming = batch.parse(now)?;
        for record in incoming.iter_mut().filter(|record| !record.state.is_gone()) {
            record.seen = now;
        }
        node.merge_all(incoming, node.timeline.instant());
        Ok(())
    })
}

/// Hands each frame's batch on, checked.
fn for_each_batch(disk: &dyn Disk, path: &Path, mut take: impl FnMut(Batch) -> Result<(), Error>) -> Result<(), Error> {
    let file = disk.open(path)?;
    let end = file.length()?;
    let mut file = BufReader::new(Reading { file, at: 0, end });
    if read_array::<8>(&mut file)? != MARK {
        return Err(Error::Torn("another format"));
    }
    let mut frames = 0;
    loop {
        let length = u32::from_le_bytes(read_array(&mut file)?) as usize;
        let sum = u64::from_le_bytes(read_array(&mut file)?);
        if length == 0 {
            return if sum == frames {
                Ok(())
            } else {
                Err(Error::Torn("frames are missing"))
            };
        }
        if length > FRAME_BYTES_MAX {
            return Err(Error::Torn("a frame out of bounds"));
        }
        let mut body = vec![0; length];
        file.read_exact(&mut body).map_err(torn)?;
        if xxh3_64(&body) != sum {
            return Err(Error::Torn("a frame does not match its checksum"));
        }
        frames += 1;
        take(wire::decode(Bytes::from(body))?)?;
    }
}

fn read_array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(torn)?;
    Ok(bytes)
}

fn torn(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Torn("it ends too early"),
        _ => Error::Io(error),
    }
}
