//! The file system.

use super::random::Random;
use super::table::KeptTable;
use crate::disk::{Disk, DiskFile};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a disk writes as one.
const SECTOR_BYTES: usize = 512;

/// A disk in memory on which only what was synced is sure to survive [`FaultyDisk::lose_power`]. Clones are the same disk.
///
/// A node under test gets a [`FaultyDisk::mount`]: what its threads and tasks do after the power went is refused and goes
/// nowhere.
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>, Option<u64>);

pub(super) struct State {
    /// Names as the running system sees them.
    names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// Names as they are after power loss.
    synced_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    pub(super) tables: BTreeMap<PathBuf, KeptTable>,
    pub(super) faults: Faults,
    pub(super) random: Random,
    syncs: u64,
    /// Power losses so far.
    losses: u64,
    /// Processes on it that were killed so far.
    kills: u64,
}

#[derive(Default)]
pub(super) struct Faults {
    write_fails_after_bytes: Option<u64>,
    pub(super) syncs_fail: bool,
    /// Operations that are still carried out; the power goes during the one after them.
    operations_left: Option<u64>,
}

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Power was lost since: this open file is of another life.
    detached: bool,
}

struct FaultyFile {
    disk: FaultyDisk,
    content: Arc<Mutex<Content>>,
}

impl FaultyDisk {
    pub fn new(seed: u64) -> Self {
        Self(
            Arc::new(Mutex::new(State {
                names: BTreeMap::new(),
                synced_names: BTreeMap::new(),
                tables: BTreeMap::new(),
                faults: Faults::default(),
                random: Random::new(seed),
                syncs: 0,
                losses: 0,
                kills: 0,
            })),
            None,
        )
    }

    /// This disk until the power goes, or the process that runs on it is killed.
    pub fn mount(&self) -> Self {
        Self(self.0.clone(), Some(self.0.lock().lives()))
    }

    /// Power goes and comes back. Names and bytes that were not synced survive or not, at random: sector by sector, or in order
    /// up to some byte. Files that were open are written no more.
    pub fn lose_power(&self) {
        self.0.lock().lose_power();
    }

    /// The process that runs on this is killed: earlier mounts are refused everything, and nothing is lost, for the kernel has
    /// what was written.
    pub fn kill_process(&self) {
        let mut state = self.0.lock();
        state.kills += 1;
        state.tables.values_mut().for_each(KeptTable::release);
    }

    /// `operations` more that change anything on the disk are carried out, and the power goes during the next: a write is torn
    /// at any byte, anything else is done or not. It fails, and with it all that is asked of earlier mounts.
    pub fn lose_power_after(&self, operations: u64) {
        self.0.lock().faults.operations_left = Some(operations);
    }

    /// Power losses so far.
    pub fn losses(&self) -> u64 {
        self.0.lock().losses
    }

    /// Whether the power went since this was mounted: who runs on it has ended.
    pub fn is_gone(&self) -> bool {
        self.live().is_err()
    }

    /// Writes fail as on a full disk once `bytes` more were written; the last one is written in part.
    pub fn fill_up_after(&self, bytes: u64) {
        self.0.lock().faults.write_fails_after_bytes = Some(bytes);
    }

    /// Syncs fail from now on, until the power goes.
    pub fn fail_syncs(&self) {
        self.0.lock().faults.syncs_fail = true;
    }

    /// Syncs asked for so far.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Turns bits of one byte over, on the disk.
    pub fn flip(&self, path: &Path, at: usize, mask: u8) {
        self.edit(path, |bytes| bytes[at] ^= mask);
    }

    /// Changes a file's bytes, on the disk.
    pub fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let content = self.0.lock().names[path].clone();
        let mut content = content.lock();
        edit(&mut content.now);
        content.synced = content.now.clone();
    }

    pub fn read(&self, path: &Path) -> Vec<u8> {
        let content = self.0.lock().names[path].clone();
        let content = content.lock();
        content.now.clone()
    }

    /// A disk of its own with the same files, all synced; without the tables.
    pub fn copy(&self) -> Self {
        let copy = Self::new(7);
        {
            let from = self.0.lock();
            let mut to = copy.0.lock();
            for (path, content) in &from.names {
                let content = Content::all_synced(content.lock().now.clone());
                let content = Arc::new(Mutex::new(content));
                to.names.insert(path.clone(), content.clone());
                to.synced_names.insert(path.clone(), content);
            }
        }
        copy
    }

    /// The state, unless the power went since this was mounted.
    pub(super) fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.lock();
        match self.1 {
            Some(mounted) if mounted != state.lives() => Err(gone()),
            _ => Ok(state),
        }
    }

    /// Carries out one operation that changes the disk. `part` is what is left of it if the power goes while it runs.
    pub(super) fn change<T>(
        &self,
        whole: impl FnOnce(&mut State) -> io::Result<T>,
        part: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state = self.live()?;
        match &mut state.faults.operations_left {
            Some(0) => {
                part(&mut state);
                state.lose_power();
                Err(gone())
            }
            Some(left) => {
                *left -= 1;
                whole(&mut state)
            }
            None => whole(&mut state),
        }
    }

    /// As [`FaultyDisk::change`], for what is done or not.
    pub(super) fn change_at_once<T>(&self, change: impl Fn(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.change(&change, |state| {
            if state.random.coin() {
                // What it would have answered is heard by nobody.
                let _ = change(state);
            }
        })
    }

    fn file(&self, content: Arc<Mutex<Content>>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            disk: self.clone(),
            content,
        })
    }
}

fn gone() -> io::Error {
    io::Error::other("the power is gone")
}

impl State {
    fn lose_power(&mut self) {
        let random = &mut self.random;
        let mut names = self.synced_names.clone();
        for (path, content) in &self.names {
            let is_new = names.get(path).is_none_or(|synced| !Arc::ptr_eq(synced, content));
            if is_new && random.coin() {
                names.insert(path.clone(), content.clone());
            }
        }
        for path in self.synced_names.keys() {
            if !self.names.contains_key(path) && random.coin() {
                names.remove(path);
            }
        }
        let survived = names
            .into_iter()
            .map(|(path, content)| {
                let content = Content::all_synced(content.lock().survivor(random));
                (path, Arc::new(Mutex::new(content)))
            })
            .collect::<BTreeMap<_, _>>();
        for content in self.names.values().chain(self.synced_names.values()) {
            content.lock().detached = true;
        }
        self.tables.values_mut().for_each(|table| table.lose_power(random));
        self.names.clone_from(&survived);
        self.synced_names = survived;
        self.losses += 1;
        self.faults = Faults::default();
    }

    /// Lives of processes on it that are over.
    fn lives(&self) -> u64 {
        self.losses + self.kills
    }

    /// # Errors
    /// If it was told that syncs fail.
    pub(super) fn note_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.faults.syncs_fail {
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }
}

impl Content {
    fn all_synced(bytes: Vec<u8>) -> Self {
        Self {
            synced: bytes.clone(),
            now: bytes,
            detached: false,
        }
    }

    /// What is left after a loss of power: synced bytes as they are, of the others some are old and some new.
    fn survivor(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        if self.now == self.synced {
            return bytes;
        }
        // The length is metadata of its own: it may or may not have been kept.
        if self.now.len() > bytes.len() && random.coin() {
            bytes.resize(self.now.len(), 0);
        } else if self.now.len() < bytes.len() && random.coin() {
            bytes.truncate(self.now.len());
        }
        if random.below(4) == 0 {
            // In order up to some byte, as a journal does that counts bytes.
            let alike = self
                .now
                .iter()
                .zip(&self.synced)
                .take_while(|(now, synced)| now == synced);
            let alike = alike.count();
            let end = alike + random.below((self.now.len() - alike) as u64 + 1) as usize;
            bytes.resize(bytes.len().max(end), 0);
            bytes[..end].copy_from_slice(&self.now[..end]);
            return bytes;
        }
        let end = bytes.len().min(self.now.len());
        for start in (0..end).step_by(SECTOR_BYTES) {
            let sector = start..(start + SECTOR_BYTES).min(end);
            if random.coin() {
                bytes[sector.clone()].copy_from_slice(&self.now[sector]);
            }
        }
        bytes
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[start..end].copy_from_slice(bytes);
    }
}

impl FaultyFile {
    /// # Errors
    /// The file was opened before the power went.
    fn content(&self) -> io::Result<MutexGuard<'_, Content>> {
        let content = self.content.lock();
        if content.detached { Err(gone()) } else { Ok(content) }
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = |state: &mut State| {
            let mut allowed = bytes.len();
            if let Some(left) = &mut state.faults.write_fails_after_bytes {
                allowed = allowed.min(*left as usize);
                *left -= allowed as u64;
            }
            self.content()?.write_at(offset, &bytes[..allowed]);
            if allowed < bytes.len() {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
            }
            Ok(())
        };
        self.disk.change(whole, |state| {
            let end = state.random.below(bytes.len() as u64 + 1) as usize;
            self.content.lock().write_at(offset, &bytes[..end]);
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let content = self.content()?;
        let start = offset as usize;
        let found = content
            .now
            .get(start..start + buffer.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.content()?.now.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.change_at_once(|_| {
            self.content()?.now.resize(length as usize, 0);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change_at_once(|state| {
            state.note_sync()?;
            let mut content = self.content()?;
            content.synced = content.now.clone();
            Ok(())
        })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let content = Arc::new(Mutex::new(Content::default()));
        self.change_at_once(|state| {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.names.insert(path.to_owned(), content.clone());
            Ok(())
        })?;
        Ok(self.file(content))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let content = self.live()?.names.get(path).cloned();
        let content = content.ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(content))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.live()?;
        Ok(state
            .names
            .keys()
            .filter(|path| path.parent() == Some(folder))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change_at_once(|state| {
            state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_at_once(|state| {
            let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), content);
            Ok(())
        })
    }

    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        self.live().map(drop)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.change_at_once(|state| {
            state.note_sync()?;
            state.synced_names.retain(|path, _| path.parent() != Some(folder));
            let here = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
            state
                .synced_names
                .extend(here.map(|(path, content)| (path.clone(), content.clone())));
            Ok(())
        })
    }

    /// As a drive with a cache has them: mostly short, now and then one that is felt.
    fn pause(&self) -> Duration {
        let random = &mut self.0.lock().random;
        if random.below(50) == 0 {
            return Duration::from_millis(50);
        }
        Duration::from_micros(200 + random.below(4_800))
    }
}
