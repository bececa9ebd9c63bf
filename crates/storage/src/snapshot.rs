//! Whole states as files.
//!
//! ```text
//! file = magic[8] has_position[1] term[8] leader[8] index[8] note_length[4] note  body  body_length[8] crc[4] "END1"
//! ```
//!
//! A file is written under a draft name, synced, renamed, and its folder synced; only then is it told of, and only then do older
//! ones go. Drafts found at a start are removed.

use crate::disk::{Disk, DiskFile};
use crate::log::{Position, random_id};
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"MUSTSNP1";
const END: &[u8; 4] = b"END1";
const FIXED_BYTES: usize = 8 + 1 + 24 + 4;
const FOOTER_BYTES: u64 = 8 + 4 + 4;
const BUFFER_BYTES: usize = 256 << 10;
/// A group's membership is far shorter; more is damage.
const NOTE_BYTES_MAX: usize = 1 << 20;

/// What a snapshot holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SnapshotMeta {
    /// The last entry in it; `None`: the empty state.
    pub position: Option<Position>,
    /// Opaque, of the writer.
    pub note: Bytes,
}

/// The snapshots of one folder.
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// The newest whole one.
    newest: Mutex<Option<SnapshotFile>>,
}

/// A whole file. Can be read as long as a clone lives, even when a newer one has taken its place.
#[derive(Clone)]
pub struct SnapshotFile {
    pub meta: SnapshotMeta,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    length: u64,
}

impl std::fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotFile")
            .field("path", &self.path)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Snapshots {
    /// Removes drafts and finds the newest whole file; damaged ones are passed over and said.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        disk.create_folder(&folder)?;
        let mut newest: Option<SnapshotFile> = None;
        for name in disk.list(&folder)? {
            let path = folder.join(&name);
            if name.ends_with(".draft") {
                disk.remove(&path)?;
            } else if name.ends_with(".snap") {
                match verify(&*disk, &path) {
                    Ok(found) => {
                        if newest
                            .as_ref()
                            .is_none_or(|newest| newest.meta.position <= found.meta.position)
                        {
                            newest = Some(found);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        tracing::error!(file = %path.display(), %error, "a snapshot is damaged and passed over");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Self {
            disk,
            folder,
            newest: Mutex::new(newest),
        })
    }

    pub fn newest(&self) -> Option<SnapshotFile> {
        self.newest.lock().clone()
    }

    /// The names of the whole files in the folder.
    ///
    /// # Errors
    /// The disk's.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.disk.list(&self.folder)?;
        names.retain(|name| name.ends_with(".snap"));
        Ok(names)
    }

    /// Begins a snapshot; the state is written to the answer.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(&self, meta: SnapshotMeta) -> io::Result<SnapshotWriter<'_>> {
        let mut draft = self.draft()?;
        draft.push(&encode_head(&meta))?;
        let head_bytes = draft.length;
        Ok(SnapshotWriter {
            snapshots: self,
            draft,
            meta,
            head_bytes,
        })
    }

    /// Begins a file whose bytes come from another member.
    ///
    /// # Errors
    /// The disk's.
    pub fn receive(self: &Arc<Self>) -> io::Result<SnapshotReceiver> {
        Ok(SnapshotReceiver {
            draft: self.draft()?,
            snapshots: self.clone(),
        })
    }

    /// Makes `file` the newest one here: as it is if it was received here, as a copy if it lies elsewhere.
    ///
    /// # Errors
    /// The disk's.
    pub fn adopt(self: &Arc<Self>, file: SnapshotFile) -> io::Result<SnapshotFile> {
        if let Some(newest) = self.newest()
            && newest.meta == file.meta
        {
            return Ok(newest);
        }
        let mut receiver = self.receive()?;
        while receiver.length() < file.length() {
            receiver.push(&file.read_raw(receiver.length(), BUFFER_BYTES)?)?;
        }
        receiver.finish()
    }

    fn draft(&self) -> io::Result<Draft> {
        let path = self.folder.join(format!("{:016x}.draft", random_id()));
        Ok(Draft {
            file: self.disk.create(&path)?,
            disk: self.disk.clone(),
            path,
            length: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            crc: crc32fast::Hasher::new(),
            kept: false,
        })
    }

    /// Makes a written draft the file of its position, and the newest if it is.
    fn keep(&self, mut draft: Draft, meta: SnapshotMeta) -> io::Result<SnapshotFile> {
        draft.write_out()?;
        draft.file.sync()?;
        let path = self.folder.join(name(&meta));
        self.disk.rename(&draft.path, &path)?;
        draft.kept = true;
        self.disk.sync_folder(&self.folder)?;
        let kept = SnapshotFile {
            meta,
            path,
            file: draft.file.clone(),
            length: draft.length,
        };
        let mut newest = self.newest.lock();
        if newest
            .as_ref()
            .is_none_or(|newest| newest.meta.position <= kept.meta.position)
        {
            *newest = Some(kept.clone());
        }
        Ok(kept)
    }

    /// Removes all but the newest.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove_older(&self) -> io::Result<()> {
        let Some(newest) = self.newest() else { return Ok(()) };
        for name in self.list()? {
            let path = self.folder.join(name);
            if path != newest.path {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }
}

/// A file in the making; gone again if it is dropped before it is kept.
struct Draft {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    length: u64,
    buffer: Vec<u8>,
    crc: crc32fast::Hasher,
    kept: bool,
}

impl Draft {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file
            .write_at(self.length - self.buffer.len() as u64, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(file = %self.path.display(), %error, "a snapshot draft could not be removed");
        }
    }
}

/// Takes the state of a new snapshot.
pub struct SnapshotWriter<'a> {
    snapshots: &'a Snapshots,
    draft: Draft,
    meta: SnapshotMeta,
    head_bytes: u64,
}

impl SnapshotWriter<'_> {
    /// Closes the file; it is on the disk under its name when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        let body = self.draft.length - self.head_bytes;
        self.draft.push(&body.to_le_bytes())?;
        let crc = self.draft.crc.clone().finalize();
        self.draft.push(&crc.to_le_bytes())?;
        self.draft.push(END)?;
        self.snapshots.keep(self.draft, self.meta)
    }
}

impl Write for SnapshotWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.draft.push(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the bytes of another member's file.
pub struct SnapshotReceiver {
    snapshots: Arc<Snapshots>,
    draft: Draft,
}

impl SnapshotReceiver {
    /// Bytes received so far.
    pub fn length(&self) -> u64 {
        self.draft.length
    }

    /// # Errors
    /// The disk's.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.draft.push(bytes)
    }

    /// Verifies the file and keeps it.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`]; the disk's.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        self.draft.write_out()?;
        let verified = verify(&*self.snapshots.disk, &self.draft.path)?;
        self.snapshots.keep(self.draft, verified.meta)
    }
}

impl SnapshotFile {
    /// Of the whole file.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file as they are, for another member; short at the end.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_raw(&self, offset: u64, bytes_max: usize) -> io::Result<Bytes> {
        let count = (self.length.saturating_sub(offset)).min(bytes_max as u64);
        let mut bytes = vec![0; count as usize];
        self.file.read_at(offset, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Reads the state that was written. It was verified when the file was kept or found.
    pub fn reader(&self) -> SnapshotReader {
        let head = FIXED_BYTES as u64 + self.meta.note.len() as u64;
        SnapshotReader {
            file: self.file.clone(),
            at: head,
            end: self.length - FOOTER_BYTES,
            buffer: Vec::new(),
            used: 0,
        }
    }
}

/// A snapshot's state, from the beginning.
pub struct SnapshotReader {
    file: Arc<dyn DiskFile>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Read for SnapshotReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            let count = (self.end - self.at).min(BUFFER_BYTES as u64) as usize;
            self.buffer.resize(count, 0);
            self.file.read_at(self.at, &mut self.buffer)?;
            self.at += count as u64;
            self.used = 0;
        }
        let count = out.len().min(self.buffer.len() - self.used);
        out[..count].copy_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

fn name(meta: &SnapshotMeta) -> String {
    let Position { term, leader, index } = meta.position.unwrap_or_default();
    format!("{index:020}-{term}-{leader}.snap")
}

fn encode_head(meta: &SnapshotMeta) -> Vec<u8> {
    let mut head = Vec::with_capacity(FIXED_BYTES + meta.note.len());
    head.extend_from_slice(MAGIC);
    head.push(meta.position.is_some().into());
    let position = meta.position.unwrap_or_default();
    for number in [position.term, position.leader, position.index] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&(meta.note.len() as u32).to_le_bytes());
    head.extend_from_slice(&meta.note);
    head
}

/// Reads a whole file and holds it against its checksum.
fn verify(disk: &dyn Disk, path: &Path) -> io::Result<SnapshotFile> {
    let file = disk.open(path)?;
    let length = file.length()?;
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    if length < FIXED_BYTES as u64 + FOOTER_BYTES {
        return Err(damaged("too short"));
    }
    let mut head = [0; FIXED_BYTES];
    file.read_at(0, &mut head)?;
    if &head[..8] != MAGIC {
        return Err(damaged(
            "not a snapshot, or of a version that this program does not know",
        ));
    }
    let number = |from: usize| u64::from_le_bytes(head[from..from + 8].try_into().expect("eight bytes"));
    let note_bytes = u32::from_le_bytes(head[33..37].try_into().expect("four bytes")) as usize;
    let head_bytes = FIXED_BYTES as u64 + note_bytes as u64;
    if note_bytes > NOTE_BYTES_MAX || head_bytes + FOOTER_BYTES > length {
        return Err(damaged("the head is damaged"));
    }
    let mut note = vec![0; note_bytes];
    file.read_at(FIXED_BYTES as u64, &mut note)?;

    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut at = 0;
    let checked = length - 8;
    while at < checked {
        let count = (checked - at).min(BUFFER_BYTES as u64) as usize;
        file.read_at(at, &mut buffer[..count])?;
        crc.update(&buffer[..count]);
        at += count as u64;
    }
    let mut footer = [0; FOOTER_BYTES as usize];
    file.read_at(length - FOOTER_BYTES, &mut footer)?;
    let body = u64::from_le_bytes(footer[..8].try_into().expect("eight bytes"));
    if &footer[12..] != END
        || footer[8..12] != crc.finalize().to_le_bytes()
        || head_bytes
            .checked_add(body)
            .and_then(|end| end.checked_add(FOOTER_BYTES))
            != Some(length)
    {
        return Err(damaged("the checksum is wrong"));
    }
    Ok(SnapshotFile {
        meta: SnapshotMeta {
            position: (head[8] != 0).then(|| Position {
                term: number(9),
                leader: number(17),
                index: number(25),
            }),
            note: note.into(),
        },
        path: path.to_owned(),
        file,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FaultyDisk;

    fn store(disk: &FaultyDisk) -> Arc<Snapshots> {
        Arc::new(Snapshots::open(Arc::new(disk.mount()), "/s".into()).unwrap())
    }

    fn meta(index: u64) -> SnapshotMeta {
        let position = Position {
            term: 1,
            leader: 2,
            index,
        };
        SnapshotMeta {
            position: Some(position),
            note: Bytes::from_static(b"note"),
        }
    }

    fn write(store: &Snapshots, index: u64, body: &[u8]) -> SnapshotFile {
        let mut writer = store.create(meta(index)).unwrap();
        writer.write_all(body).unwrap();
        writer.finish().unwrap()
    }

    fn body(file: &SnapshotFile) -> Vec<u8> {
        let mut body = Vec::new();
        file.reader().read_to_end(&mut body).unwrap();
        body
    }

    #[test]
    fn a_length_beyond_all_numbers_is_damage() {
        let disk = FaultyDisk::new(1);
        let store = store(&disk);
        let mut file = encode_head(&meta(5));
        file.extend_from_slice(&u64::MAX.to_le_bytes());
        file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
        file.extend_from_slice(END);
        let mut receiver = store.receive().unwrap();
        receiver.push(&file).unwrap();
        assert_eq!(receiver.finish().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_finished_snapshot_survives_power_loss_whole() {
        for seed in 0..50 {
            let disk = FaultyDisk::new(seed);
            let written = vec![seed as u8; 700_000];
            write(&store(&disk), 5, &written);
            disk.lose_power();
            let found = store(&disk).newest().expect("it was finished");
            assert_eq!((found.meta.clone(), body(&found)), (meta(5), written));
        }
    }

    #[test]
    fn an_unfinished_snapshot_leaves_the_older_one_and_no_draft() {
        for seed in 0..50 {
            let disk = FaultyDisk::new(seed);
            let store_before = store(&disk);
            write(&store_before, 5, b"old");
            let mut writer = store_before.create(meta(9)).unwrap();
            writer.write_all(&vec![1; 600_000]).unwrap();
            disk.lose_power();
            std::mem::forget(writer);
            let store = store(&disk);
            assert_eq!(body(&store.newest().unwrap()), b"old");
            assert!(
                disk.list(Path::new("/s"))
                    .unwrap()
                    .iter()
                    .all(|name| !name.ends_with(".draft"))
            );
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found_and_the_older_one_taken() {
        let disk = FaultyDisk::new(1);
        let store_before = store(&disk);
        write(&store_before, 5, b"old");
        let newer = write(&store_before, 9, b"newer");
        for at in 0..newer.length() as usize {
            let disk = disk.copy();
            disk.flip(newer.path(), at, 0x10);
            assert_eq!(body(&store(&disk).newest().unwrap()), b"old", "byte {at}");
        }
    }

    #[test]
    fn a_received_copy_is_the_same_and_a_damaged_one_is_refused() {
        let (here, there) = (FaultyDisk::new(1), FaultyDisk::new(2));
        let sent = write(&store(&here), 5, &vec![7; 300_000]);
        for damage in [false, true] {
            let store = store(&there);
            let mut receiver = store.receive().unwrap();
            while receiver.length() < sent.length() {
                let mut chunk = sent.read_raw(receiver.length(), 100_000).unwrap().to_vec();
                chunk[50] ^= u8::from(damage);
                receiver.push(&chunk).unwrap();
            }
            match receiver.finish() {
                Ok(got) => assert!(!damage && body(&got) == body(&sent) && got.meta == sent.meta),
                Err(error) => assert!(damage, "{error}"),
            }
        }
    }

    #[test]
    fn only_the_newest_stays() {
        let disk = FaultyDisk::new(1);
        let store = store(&disk);
        for index in [5, 9, 7] {
            write(&store, index, b"x");
        }
        store.remove_older().unwrap();
        assert_eq!(store.list().unwrap().len(), 1);
        assert_eq!(store.newest().unwrap().meta, meta(9));
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_what_was_there() {
        let disk = FaultyDisk::new(1);
        let store = store(&disk);
        write(&store, 5, b"old");
        disk.fill_up_after(1_000);
        let mut writer = store.create(meta(9)).unwrap();
        let failed = writer
            .write_all(&vec![1; 600_000])
            .and_then(|()| writer.finish().map(drop));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(body(&store.newest().unwrap()), b"old");
    }
}
