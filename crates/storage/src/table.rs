//! The replicated state on disk: a table of records under one seal, kept by sled 0.34.
//!
//! ```text
//! <dir>/            sled's own files        d | generation | key length | key | chunk number -> chunk
//! <dir>.lock        held while open         s -> generation | crc | seal
//! <dir>.damaged     the last one put aside
//! ```
//! A checkpoint is one atomic batch of changed records and the seal (whatever the caller wants to find beside them: the
//! position in the log), then a sync. Until the sync is through, a crash may leave the earlier checkpoint; it never leaves
//! a mixture. A large one is many batches with the seal taken away before them, and a crash between leaves none.
//!
//! sled's `flush` alone is no sync: 0.34.7 calls `sync_file_range`, which keeps neither the file's size nor the drive's
//! cache, and lost every acknowledged record in 20 of 20 machine crashes; with a `fdatasync` of ours behind it none in 40
//! (docs/adr/003-sled-state.md). Its blob files are never synced, so values are cut into chunks that stay in the pages.
//! It panics on some damage, so it is opened and read under `catch_unwind`. Nothing in here may be the only copy of
//! anything.

use sled::{Batch, Db};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest piece of a value in one sled record. Sled splits a leaf past 16 records and an index past 256 keys, and moves a
/// page out to a blob past a quarter of the segment: 17 chunks of 16 KiB and 257 keys of 3 KiB both stay below 1 MiB.
const CHUNK_BYTES_MAX: usize = 16 * 1024;
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// Namespace, group, 512 characters of service name, host and port at four bytes a character come to less.
const KEY_BYTES_MAX: usize = 3 * 1024;
/// Records of one batch where a batch is not to be all. Until it is through, sled keeps every page that it replaces, some 5 KB
/// a record: one batch of 100,000 took half a gigabyte, and was no quicker than a hundred.
const PIECE_RECORDS: usize = 1024;
/// Changes that are still written in one batch.
const WHOLE_RECORDS_MAX: usize = 8 * 1024;
/// 5 s in all.
const SLED_LOCK_ATTEMPTS: u32 = 250;
const SLED_LOCK_PAUSE: Duration = Duration::from_millis(20);
const SEAL_KEY: &[u8] = b"s";
/// What a table holds before its first checkpoint, and while one is written in pieces.
const NEVER_SEALED: &[u8] = b"";
const RECORD_TAG: u8 = b'd';

/// Where the table lives and what it may use.
#[derive(Clone, Debug)]
pub struct TableConfig {
    pub dir: PathBuf,
    pub cache_bytes: u64,
}

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Another process has it; nothing was touched.
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    /// The disk says no.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// What is there cannot be trusted; [`Table::start_over`] puts it aside.
    #[error("{path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
}

/// A key, of at most 3 KiB, and its value, of at most 1 GiB.
pub type TableRecord = (Vec<u8>, Vec<u8>);

/// What one checkpoint changes.
#[derive(Debug, Default)]
pub struct TableChanges {
    pub put: Vec<TableRecord>,
    pub remove: Vec<Vec<u8>>,
}

/// The open table in sled. All calls block on the disk: not for async threads.
#[derive(Debug)]
pub struct Table {
    dir: PathBuf,
    db: Opened,
    generation: u32,
    _lock: File,
}

/// sled's handle, whose end is guarded too: it syncs once more, and panics where that fails (`Log::drop`).
#[derive(Debug)]
struct Opened(Option<Db>);

impl Deref for Opened {
    type Target = Db;

    fn deref(&self) -> &Db {
        self.0.as_ref().expect("it is taken out at the end alone")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Err(panic) = quiet::catch(|| drop(self.0.take())) {
            // Nothing counts as kept by it: every checkpoint has had its own sync.
            tracing::warn!(reason = panic, "sled did not end well");
        }
    }
}

impl Table {
    /// Opens the table or makes an empty one.
    ///
    /// # Errors
    /// [`TableError`]; after `Damaged` the caller may [`Table::start_over`].
    pub fn open(config: &TableConfig) -> Result<Self, TableError> {
        let lock = lock(&config.dir)?;
        Self::open_locked(config, lock)
    }

    /// Moves what is there to `<dir>.damaged`, in place of what an earlier call moved there, and opens an empty table.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn start_over(config: &TableConfig) -> Result<Self, TableError> {
        let lock = lock(&config.dir)?;
        let aside = sibling(&config.dir, "damaged");
        let moved = remove_dir_if_there(&aside).and_then(|()| match fs::rename(&config.dir, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        });
        moved.map_err(|source| io_error(&config.dir, source))?;
        Self::open_locked(config, lock)
    }

    fn open_locked(config: &TableConfig, lock: File) -> Result<Self, TableError> {
        let aside = sibling(&config.dir, "unfinished");
        let removed = || remove_dir_if_there(&aside).map_err(|source| io_error(&config.dir, source));
        removed()?;
        let (table, unfinished) = Self::open_any(config, lock)?;
        if !unfinished {
            return Ok(table);
        }
        tracing::info!(path = %config.dir.display(), "the last checkpoint was cut short: starting without one");
        let Self { db, _lock: lock, .. } = table;
        drop(db);
        fs::rename(&config.dir, &aside).map_err(|source| io_error(&config.dir, source))?;
        removed()?;
        Ok(Self::open_any(config, lock)?.0)
    }

    /// The table as it lies there, or an empty one; and whether a checkpoint in pieces was not finished.
    fn open_any(config: &TableConfig, lock: File) -> Result<(Self, bool), TableError> {
        let options = sled::Config::new()
            .path(&config.dir)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None)
            .cache_capacity(config.cache_bytes)
            .segment_size(SEGMENT_BYTES);
        let new = !config.dir.join("db").exists();
        let db = open_once_free(&config.dir, &options)?;
        let mut table = Self {
            dir: config.dir.clone(),
            db: Opened(Some(db)),
            generation: 0,
            _lock: lock,
        };
        if new {
            // sled takes a file that is damaged from the start for an empty one; with a seal from the beginning on, an
            // old table without one is known to be damaged
            table.checkpoint(&TableChanges::default(), NEVER_SEALED)?;
        }
        let (generation, sealed) = table.stored_seal(|seal| (seal.generation, seal.caller != NEVER_SEALED))?;
        table.generation = generation;
        Ok((table, !new && !sealed))
    }

    fn stored_seal<T>(&self, read: impl FnOnce(&Seal<'_>) -> T) -> Result<T, TableError> {
        let stored = guarded(&self.dir, || self.db.get(SEAL_KEY))?;
        let stored = stored.ok_or_else(|| damaged(&self.dir, "the seal is gone".to_owned()))?;
        let seal = Seal::decode(&stored).map_err(|reason| damaged(&self.dir, reason))?;
        Ok(read(&seal))
    }

    /// Hands every record to `visit`, in the order of key length and key, and answers the seal; `None` for an empty table.
    /// `visit` may refuse a record, which damages the table. Records of an unfinished [`Table::replace`] are passed over.
    ///
    /// # Errors
    /// [`TableError::Damaged`] among them, possibly after records were visited.
    pub fn load(
        &self,
        mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<(), String>,
    ) -> Result<Option<Vec<u8>>, TableError> {
        let seal = self.stored_seal(|seal| seal.caller.to_vec())?;
        let mut value: Option<Joined> = None;
        let mut records = self.db.scan_prefix(generation_prefix(self.generation));
        while let Some(record) = guarded(&self.dir, || records.next().transpose())? {
            let step = Chunk::decode(&record.0, &record.1).and_then(|chunk| Joined::add(&mut value, chunk));
            let whole = step.map_err(|reason| damaged(&self.dir, reason))?;
            if let Some((key, bytes)) = whole {
                visit(&key, bytes).map_err(|reason| damaged(&self.dir, reason))?;
            }
        }
        if value.is_some() {
            return Err(damaged(&self.dir, "the last record is not whole".to_owned()));
        }
        Ok((seal != NEVER_SEALED).then_some(seal))
    }

    /// Writes the changes and the seal, which may not be empty, as one, and syncs. Many changes are written in pieces: a crash
    /// between them leaves a table without a checkpoint. On an error nothing is known of what is on disk: the caller starts
    /// over.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn checkpoint(&mut self, changes: &TableChanges, seal: &[u8]) -> Result<(), TableError> {
        let in_pieces = changes.put.len() + changes.remove.len() > WHOLE_RECORDS_MAX;
        if in_pieces {
            // From here to its end a reopening finds none.
            Writer::new(self, self.generation, false).end(NEVER_SEALED)?;
        }
        let mut writer = Writer::new(self, self.generation, in_pieces);
        for (key, value) in &changes.put {
            writer.put(key, value)?;
        }
        for key in &changes.remove {
            writer.remove(key)?;
        }
        writer.end(seal)
    }

    /// Replaces all records and the seal. Until it is through, the earlier ones are what a reopening finds.
    ///
    /// # Errors
    /// As [`Table::checkpoint`].
    pub fn replace(&mut self, records: impl Iterator<Item = TableRecord>, seal: &[u8]) -> Result<(), TableError> {
        let next = self.generation.wrapping_add(1);
        self.clear(next)?;
        let mut writer = Writer::new(self, next, true);
        for (key, value) in records {
            writer.put(&key, &value)?;
        }
        writer.end(seal)?;
        let previous = std::mem::replace(&mut self.generation, next);
        self.clear(previous)
    }

    /// Bytes that the table takes on disk, for the metrics.
    pub fn disk_bytes(&self) -> u64 {
        guarded(&self.dir, || self.db.size_on_disk()).unwrap_or(0)
    }

    /// How many chunks the stored value has; 0 if there is none.
    fn chunks_of(&self, generation: u32, key: &[u8]) -> Result<u16, TableError> {
        let first_key = record_key(generation, key, 0);
        match guarded(&self.dir, || self.db.get(&first_key))? {
            None => Ok(0),
            Some(first) => Chunk::decode(&first_key, &first)
                .map(|chunk| chunk.chunks)
                .map_err(|reason| damaged(&self.dir, reason)),
        }
    }

    /// Removes all records of a generation that is not the current one.
    fn clear(&self, generation: u32) -> Result<(), TableError> {
        loop {
            let mut batch = Batch::default();
            let mut found = false;
            for key in self
                .db
                .scan_prefix(generation_prefix(generation))
                .keys()
                .take(PIECE_RECORDS)
            {
                batch.remove(guarded(&self.dir, || key)?);
                found = true;
            }
            if !found {
                return Ok(());
            }
            guarded(&self.dir, || self.db.apply_batch(batch))?;
        }
    }

    /// Makes everything written so far outlive a crash of the machine.
    fn sync(&self) -> Result<(), TableError> {
        guarded(&self.dir, || self.db.flush())?;
        let synced = File::open(self.dir.join("db"))
            .and_then(|file| file.sync_data())
            .and_then(|()| File::open(&self.dir)?.sync_all());
        synced.map_err(|source| io_error(&self.dir, source))
    }
}

/// Writes records and, at the end, the seal.
struct Writer<'a> {
    table: &'a Table,
    generation: u32,
    /// Not all in one batch.
    in_pieces: bool,
    batch: Batch,
    /// In the batch.
    records: usize,
}

impl<'a> Writer<'a> {
    fn new(table: &'a Table, generation: u32, in_pieces: bool) -> Self {
        Self {
            table,
            generation,
            in_pieces,
            batch: Batch::default(),
            records: 0,
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        let chunks = value.len().div_ceil(CHUNK_BYTES_MAX).max(1);
        if key.len() > KEY_BYTES_MAX || chunks > usize::from(u16::MAX) {
            let reason = format!("a record of {} + {} bytes is too large", key.len(), value.len());
            let refused = io::Error::new(io::ErrorKind::InvalidInput, reason);
            return Err(io_error(&self.table.dir, refused));
        }
        let chunks = chunks as u16;
        let crc = crc32fast::hash(value);
        for number in 0..chunks {
            let start = usize::from(number) * CHUNK_BYTES_MAX;
            let piece = &value[start..value.len().min(start + CHUNK_BYTES_MAX)];
            self.batch.insert(
                record_key(self.generation, key, number),
                Chunk::encode(number, chunks, crc, piece),
            );
        }
        let stored = self.table.chunks_of(self.generation, key)?;
        for surplus in chunks..stored {
            self.batch.remove(record_key(self.generation, key, surplus));
        }
        self.added(chunks.max(stored))
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), TableError> {
        let stored = self.table.chunks_of(self.generation, key)?;
        for chunk in 0..stored {
            self.batch.remove(record_key(self.generation, key, chunk));
        }
        self.added(stored)
    }

    fn added(&mut self, records: u16) -> Result<(), TableError> {
        self.records += usize::from(records);
        if self.in_pieces && self.records >= PIECE_RECORDS {
            self.records = 0;
            let batch = std::mem::take(&mut self.batch);
            guarded(&self.table.dir, || self.table.db.apply_batch(batch))?;
        }
        Ok(())
    }

    /// Carries out the rest together with the seal, and syncs.
    fn end(mut self, seal: &[u8]) -> Result<(), TableError> {
        self.batch.insert(SEAL_KEY, Seal::encode(self.generation, seal));
        guarded(&self.table.dir, || self.table.db.apply_batch(self.batch))?;
        self.table.sync()
    }
}

/// The record that says which generation holds, and up to where.
struct Seal<'a> {
    generation: u32,
    caller: &'a [u8],
}

impl<'a> Seal<'a> {
    fn encode(generation: u32, caller: &[u8]) -> Vec<u8> {
        let mut bytes = generation.to_be_bytes().to_vec();
        bytes.extend_from_slice(&crc32fast::hash(caller).to_be_bytes());
        bytes.extend_from_slice(caller);
        bytes
    }

    fn decode(bytes: &'a [u8]) -> Result<Self, String> {
        let (generation, rest) = bytes.split_first_chunk::<4>().ok_or("the seal is cut short")?;
        let (crc, caller) = rest.split_first_chunk::<4>().ok_or("the seal is cut short")?;
        if u32::from_be_bytes(*crc) != crc32fast::hash(caller) {
            return Err("the seal's checksum is wrong".to_owned());
        }
        Ok(Self {
            generation: u32::from_be_bytes(*generation),
            caller,
        })
    }
}

/// One sled record: a piece of a value. The first one carries the number of pieces and the checksum of the whole.
struct Chunk<'a> {
    key: &'a [u8],
    number: u16,
    chunks: u16,
    crc: u32,
    piece: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn encode(number: u16, chunks: u16, crc: u32, piece: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(piece.len() + 6);
        if number == 0 {
            bytes.extend_from_slice(&chunks.to_be_bytes());
            bytes.extend_from_slice(&crc.to_be_bytes());
        }
        bytes.extend_from_slice(piece);
        bytes
    }

    fn decode(record_key: &'a [u8], bytes: &'a [u8]) -> Result<Self, String> {
        // tag, generation, length of the key; then the key and the chunk's number
        let key = record_key
            .get(7..record_key.len().saturating_sub(2))
            .ok_or("a record's key is cut short")?;
        let number = u16::from_be_bytes([record_key[record_key.len() - 2], record_key[record_key.len() - 1]]);
        if number > 0 {
            return Ok(Self {
                key,
                number,
                chunks: 0,
                crc: 0,
                piece: bytes,
            });
        }
        let (chunks, rest) = bytes.split_first_chunk::<2>().ok_or("a record is cut short")?;
        let (crc, piece) = rest.split_first_chunk::<4>().ok_or("a record is cut short")?;
        Ok(Self {
            key,
            number,
            chunks: u16::from_be_bytes(*chunks),
            crc: u32::from_be_bytes(*crc),
            piece,
        })
    }
}

/// A value whose chunks are arriving.
struct Joined {
    key: Vec<u8>,
    next: u16,
    chunks: u16,
    crc: u32,
    bytes: Vec<u8>,
}

impl Joined {
    /// Adds a chunk; answers key and value once whole.
    fn add(pending: &mut Option<Self>, chunk: Chunk<'_>) -> Result<Option<TableRecord>, String> {
        let mut joined = match pending.take() {
            None if chunk.number == 0 => Self {
                key: chunk.key.to_vec(),
                next: 1,
                chunks: chunk.chunks,
                crc: chunk.crc,
                bytes: chunk.piece.to_vec(),
            },
            Some(mut joined) if joined.key == chunk.key && joined.next == chunk.number => {
                joined.next += 1;
                joined.bytes.extend_from_slice(chunk.piece);
                joined
            }
            _ => return Err("a record lacks a piece".to_owned()),
        };
        if joined.next < joined.chunks {
            *pending = Some(joined);
            return Ok(None);
        }
        if crc32fast::hash(&joined.bytes) != joined.crc {
            return Err("a record's checksum is wrong".to_owned());
        }
        Ok(Some((std::mem::take(&mut joined.key), joined.bytes)))
    }
}

fn generation_prefix(generation: u32) -> Vec<u8> {
    let mut key = vec![RECORD_TAG];
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

/// The length before the key keeps the chunks of one key together: no key is then the beginning of another.
fn record_key(generation: u32, key: &[u8], chunk: u16) -> Vec<u8> {
    let mut bytes = generation_prefix(generation);
    bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&chunk.to_be_bytes());
    bytes
}

fn sibling(dir: &Path, extension: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Our own lock beside the folder, because sled's cannot be told from damage, and the folder may have to be moved.
fn lock(dir: &Path) -> Result<File, TableError> {
    let path = sibling(dir, "lock");
    let parent = dir.parent().unwrap_or(Path::new("."));
    let opened = fs::create_dir_all(parent)
        .and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(&path));
    let file = opened.map_err(|source| io_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TableError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// Sled lets go of its file some time after its last handle is dropped. We hold our own lock here, so a holder of sled's
/// can only be an earlier table of this process on its way out.
fn open_once_free(dir: &Path, options: &sled::Config) -> Result<Db, TableError> {
    let mut attempts_left = SLED_LOCK_ATTEMPTS;
    loop {
        match guarded(dir, || options.open()) {
            Err(TableError::Damaged { reason, .. }) if reason.contains("could not acquire lock") => {
                attempts_left -= 1;
                if attempts_left == 0 {
                    return Err(TableError::InUse { path: dir.to_owned() });
                }
                std::thread::sleep(SLED_LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

fn remove_dir_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn io_error(path: &Path, source: io::Error) -> TableError {
    TableError::Io {
        path: path.to_owned(),
        source,
    }
}

fn damaged(path: &Path, reason: String) -> TableError {
    TableError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

/// Runs a call of sled so that a panic of it, which on damage it is given to, is an error.
fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, TableError> {
    match quiet::catch(call) {
        Ok(Ok(answer)) => Ok(answer),
        // an error with a number comes from the disk, one without from sled, which found something it cannot read
        Ok(Err(sled::Error::Io(source))) if source.raw_os_error().is_some() => Err(io_error(dir, source)),
        Ok(Err(error)) => Err(damaged(dir, error.to_string())),
        Err(panic) => Err(damaged(dir, panic)),
    }
}

/// Catching panics without a report on stderr for those that are expected.
mod quiet {
    use std::cell::Cell;
    use std::panic::{self, AssertUnwindSafe};
    use std::sync::Once;

    thread_local! {
        static EXPECTED: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();

    /// What `call` answers, or the message of its panic. Other threads report their panics as ever.
    pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
        HOOK.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !EXPECTED.get() {
                    report(info);
                }
            }));
        });
        EXPECTED.set(true);
        let outcome = panic::catch_unwind(AssertUnwindSafe(call));
        EXPECTED.set(false);
        outcome.map_err(|payload| {
            let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            format!("panic: {}", text.as_deref().unwrap_or("without a message"))
        })
    }
}

#[cfg(test)]
mod tests;
