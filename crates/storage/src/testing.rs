//! A disk that does its worst, for tests.

use crate::disk::{Disk, DiskFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a disk writes as one.
const SECTOR_BYTES: usize = 512;

/// A disk in memory on which only what was synced is sure to survive [`FaultyDisk::lose_power`]. Clones are the same disk.
///
/// A node under test gets a [`FaultyDisk::mount`]: what its threads do after the power went goes nowhere.
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>, Option<u64>);

struct State {
    /// Names as the running system sees them.
    names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// Names as they are after power loss.
    synced_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    faults: Faults,
    random: Random,
    syncs: u64,
    /// Power losses so far.
    losses: u64,
}

/// Xorshift; the seed repeats a run.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        // The low bits of a xorshift are its weakest.
        (self.next() >> 16) % bound
    }
}

#[derive(Default)]
struct Faults {
    write_fails_after_bytes: Option<u64>,
    syncs_fail: bool,
}

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Power was lost since: writes to this open file go nowhere.
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
                faults: Faults::default(),
                random: Random::new(seed),
                syncs: 0,
                losses: 0,
            })),
            None,
        )
    }

    /// This disk until the power goes.
    pub fn mount(&self) -> Self {
        Self(self.0.clone(), Some(self.0.lock().losses))
    }

    /// The power went since this was mounted: whoever runs on it has to end.
    pub fn is_gone(&self) -> bool {
        self.live().is_err()
    }

    /// The state, unless the power went since this was mounted.
    fn live(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.0.lock();
        match self.1 {
            Some(mounted) if mounted != state.losses => Err(io::Error::other("the power is gone")),
            _ => Ok(state),
        }
    }

    /// Power goes and comes back. Names and bytes that were not synced survive or not, sector by sector, at random. Files that
    /// were open write nowhere from now on.
    pub fn lose_power(&self) {
        let mut state = self.0.lock();
        let state = &mut *state;
        let mut random = state.random;
        let mut coin = || random.next() & 0x1000 == 0;
        let mut names = state.synced_names.clone();
        for (path, content) in &state.names {
            if !names.contains_key(path) && coin() {
                names.insert(path.clone(), content.clone());
            }
        }
        for path in state.synced_names.keys() {
            if !state.names.contains_key(path) && coin() {
                names.remove(path);
            }
        }
        let survived = names
            .into_iter()
            .map(|(path, content)| {
                let bytes = survive(&mut content.lock(), &mut coin);
                let content = Content {
                    synced: bytes.clone(),
                    now: bytes,
                    detached: false,
                };
                (path, Arc::new(Mutex::new(content)))
            })
            .collect::<BTreeMap<_, _>>();
        for content in state.names.values() {
            content.lock().detached = true;
        }
        state.names.clone_from(&survived);
        state.synced_names = survived;
        state.random = random;
        state.losses += 1;
        state.faults = Faults::default();
    }

    /// Writes fail as on a full disk once `bytes` more were written; the last one is written in part.
    pub fn fill_up_after(&self, bytes: u64) {
        self.0.lock().faults.write_fails_after_bytes = Some(bytes);
    }

    /// Syncs fail from now on.
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

    /// A disk of its own with the same files, all synced.
    pub fn copy(&self) -> Self {
        let copy = Self::new(7);
        {
            let from = self.0.lock();
            let mut to = copy.0.lock();
            for (path, content) in &from.names {
                let content = content.lock();
                let content = Content {
                    now: content.now.clone(),
                    synced: content.now.clone(),
                    detached: false,
                };
                let content = Arc::new(Mutex::new(content));
                to.names.insert(path.clone(), content.clone());
                to.synced_names.insert(path.clone(), content);
            }
        }
        copy
    }
}

/// What is left of a file: synced bytes as they are, of the others each sector old or new.
fn survive(content: &mut Content, coin: &mut impl FnMut() -> bool) -> Vec<u8> {
    let mut bytes = content.synced.clone();
    if content.now == content.synced {
        return bytes;
    }
    // The length is metadata of its own: it may or may not have been kept.
    if content.now.len() > bytes.len() && coin() {
        bytes.resize(content.now.len(), 0);
    } else if content.now.len() < bytes.len() && coin() {
        bytes.truncate(content.now.len());
    }
    let end = bytes.len().min(content.now.len());
    for start in (0..end).step_by(SECTOR_BYTES) {
        let sector = start..(start + SECTOR_BYTES).min(end);
        if coin() {
            bytes[sector.clone()].copy_from_slice(&content.now[sector]);
        }
    }
    bytes
}

impl DiskFile for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut allowed = bytes.len();
        if let Some(left) = &mut self.disk.0.lock().faults.write_fails_after_bytes {
            allowed = allowed.min(*left as usize);
            *left -= allowed as u64;
        }
        let mut content = self.content.lock();
        if content.detached {
            return Ok(());
        }
        let (start, end) = (offset as usize, offset as usize + allowed);
        if content.now.len() < end {
            content.now.resize(end, 0);
        }
        content.now[start..end].copy_from_slice(&bytes[..allowed]);
        if allowed < bytes.len() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let content = self.content.lock();
        let start = offset as usize;
        let found = content
            .now
            .get(start..start + buffer.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.content.lock().now.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.content.lock().now.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        {
            let mut state = self.disk.0.lock();
            state.syncs += 1;
            if state.faults.syncs_fail {
                return Err(io::Error::other("input/output error"));
            }
        }
        let mut content = self.content.lock();
        if !content.detached {
            content.synced = content.now.clone();
        }
        Ok(())
    }
}

impl FaultyDisk {
    fn file(&self, content: Arc<Mutex<Content>>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            disk: self.clone(),
            content,
        })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.live()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Arc::new(Mutex::new(Content::default()));
        state.names.insert(path.to_owned(), content.clone());
        drop(state);
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
        self.live()?.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.live()?;
        let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.live()?;
        if state.faults.syncs_fail {
            return Err(io::Error::other("input/output error"));
        }
        let state = &mut *state;
        state.synced_names.retain(|path, _| path.parent() != Some(folder));
        let here = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        state
            .synced_names
            .extend(here.map(|(path, content)| (path.clone(), content.clone())));
        Ok(())
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
