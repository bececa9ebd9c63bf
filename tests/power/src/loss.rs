//! What is left after a loss of power.
//!
//! Of a file, what was synced is as it was synced. What was written since is there or not: all, none, each sector of 512 bytes by
//! itself, or everything up to some byte. So is a new length. Of a folder, each name that came, went or was given to another file
//! since the folder was synced is as before or as now.

use crate::layout::{FILE_NAME, FILES, FOLDER_NAME, FOLDERS, LIVE};
use crate::random::Random;
use anyhow::{Context, bail};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes that a disk writes as one.
const SECTOR_BYTES: usize = 512;

/// How much was at stake, and how it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loss {
    /// Files with bytes or a length that were not synced.
    pub files_torn: u64,
    /// Sectors that differed from what was synced, and how many of them are gone.
    pub sectors_unsynced: u64,
    pub sectors_lost: u64,
    /// Names that differed from those that were synced, and how many of them are as before.
    pub names_unsynced: u64,
    pub names_lost: u64,
}

impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.files_torn += other.files_torn;
        self.sectors_unsynced += other.sectors_unsynced;
        self.sectors_lost += other.sectors_lost;
        self.names_unsynced += other.names_unsynced;
        self.names_lost += other.names_lost;
    }
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    File(u64),
    Folder(u64),
}

/// How much of the unsynced survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Nothing,
    Everything,
    /// Each piece by itself.
    Scattered,
    /// All up to some byte.
    Torn,
}

impl Mood {
    fn draw(random: &mut Random) -> Self {
        match random.below(10) {
            0..3 => Self::Nothing,
            3 => Self::Everything,
            4..8 => Self::Scattered,
            _ => Self::Torn,
        }
    }
}

struct Rebuilding<'a> {
    kept: &'a Path,
    random: &'a mut Random,
    /// Where each folder is now.
    live_folders: HashMap<u64, PathBuf>,
    live_files: HashMap<u64, PathBuf>,
    /// Files that were written already: a second name of one.
    written: HashMap<u64, PathBuf>,
    loss: Loss,
}

/// Builds at `after` what is left of `root`.
pub(crate) fn rebuild(root: &Path, kept: &Path, after: &Path, random: &mut Random) -> anyhow::Result<Loss> {
    if after.exists() {
        fs::remove_dir_all(after)?;
    }
    let mut rebuilding = Rebuilding {
        kept,
        random,
        live_folders: HashMap::new(),
        live_files: HashMap::new(),
        written: HashMap::new(),
        loss: Loss::default(),
    };
    rebuilding.find(root)?;
    rebuilding.folder(fs::metadata(root)?.ino(), after, &mut BTreeSet::new())?;
    Ok(rebuilding.loss)
}

impl Rebuilding<'_> {
    fn find(&mut self, folder: &Path) -> anyhow::Result<()> {
        self.live_folders.insert(fs::metadata(folder)?.ino(), folder.to_owned());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.find(&entry.path())?;
            } else {
                self.live_files.insert(entry.ino(), entry.path());
            }
        }
        Ok(())
    }

    /// `above`: the folders on the way here, for a folder that was moved may be found at both its places.
    fn folder(&mut self, inode: u64, at: &Path, above: &mut BTreeSet<u64>) -> anyhow::Result<()> {
        fs::create_dir(at).with_context(|| at.display().to_string())?;
        if !above.insert(inode) {
            return Ok(());
        }
        for (name, target) in self.names(inode)? {
            let at = at.join(name);
            match target {
                Target::File(inode) => self.file(inode, &at)?,
                Target::Folder(inode) => self.folder(inode, &at, above)?,
            }
        }
        above.remove(&inode);
        Ok(())
    }

    /// The names that are left in a folder.
    fn names(&mut self, inode: u64) -> anyhow::Result<BTreeMap<OsString, Target>> {
        let mut left = self.synced_names(inode)?;
        let now = self.live_names(inode)?;
        let mood = Mood::draw(self.random);
        let all: BTreeSet<_> = left.keys().chain(now.keys()).cloned().collect();
        for name in all {
            let (before, after) = (left.get(&name).copied(), now.get(&name).copied());
            if before == after {
                continue;
            }
            self.loss.names_unsynced += 1;
            let survives = match mood {
                Mood::Nothing => false,
                Mood::Everything => true,
                Mood::Scattered | Mood::Torn => self.random.coin(),
            };
            if !survives {
                self.loss.names_lost += 1;
                continue;
            }
            match after {
                Some(target) => left.insert(name, target),
                None => left.remove(&name),
            };
        }
        Ok(left)
    }

    fn synced_names(&self, inode: u64) -> anyhow::Result<BTreeMap<OsString, Target>> {
        let mut names = BTreeMap::new();
        let folder = self.kept.join(FOLDERS).join(inode.to_string());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let link = fs::read_link(entry.path())?;
            let link = link.to_str().context("a note is not UTF-8")?;
            let target = if let Some(number) = link.strip_prefix(FILE_NAME) {
                Target::File(number.parse()?)
            } else if let Some(number) = link.strip_prefix(FOLDER_NAME) {
                Target::Folder(number.parse()?)
            } else {
                bail!("{} says {link}", entry.path().display());
            };
            names.insert(entry.file_name(), target);
        }
        Ok(names)
    }

    fn live_names(&self, inode: u64) -> anyhow::Result<BTreeMap<OsString, Target>> {
        let mut names = BTreeMap::new();
        let Some(folder) = self.live_folders.get(&inode) else {
            return Ok(names);
        };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                names.insert(entry.file_name(), Target::Folder(entry.ino()));
            } else if kind.is_file() {
                names.insert(entry.file_name(), Target::File(entry.ino()));
            }
        }
        Ok(names)
    }

    fn file(&mut self, inode: u64, at: &Path) -> anyhow::Result<()> {
        if let Some(written) = self.written.get(&inode) {
            fs::hard_link(written, at)?;
            return Ok(());
        }
        let synced = read_if_there(&self.kept.join(FILES).join(inode.to_string()))?.unwrap_or_default();
        let mut now = read_if_there(&self.kept.join(LIVE).join(inode.to_string()))?;
        if now.is_none()
            && let Some(live) = self.live_files.get(&inode)
        {
            now = Some(fs::read(live)?);
        }
        let left = match now {
            Some(now) if now != synced => self.survive(synced, &now),
            _ => synced,
        };
        fs::write(at, left)?;
        self.written.insert(inode, at.to_owned());
        Ok(())
    }

    /// What is left of a file of which some is not synced.
    fn survive(&mut self, synced: Vec<u8>, now: &[u8]) -> Vec<u8> {
        self.loss.files_torn += 1;
        let mood = Mood::draw(self.random);
        let longer = synced.len().max(now.len());
        let cut = self.random.below(longer as u64 + 1) as usize;
        let cut = match mood {
            Mood::Nothing => 0,
            Mood::Torn => within_changes(&synced, now, cut),
            Mood::Everything | Mood::Scattered => longer,
        };
        // The length is kept apart from the bytes.
        let length = match mood {
            Mood::Nothing => synced.len(),
            Mood::Everything => now.len(),
            Mood::Scattered if self.random.coin() => synced.len(),
            Mood::Scattered => now.len(),
            Mood::Torn if now.len() < synced.len() => {
                if self.random.coin() {
                    now.len()
                } else {
                    synced.len()
                }
            }
            Mood::Torn => cut.clamp(synced.len(), now.len()),
        };
        let mut left = synced;
        left.resize(length, 0);
        for start in (0..length).step_by(SECTOR_BYTES) {
            let sector = start..(start + SECTOR_BYTES).min(length);
            let Some(new) = now.get(start..sector.end.min(now.len())) else {
                break;
            };
            let old = &mut left[start..start + new.len()];
            if old == new {
                continue;
            }
            self.loss.sectors_unsynced += 1;
            let kept = match mood {
                Mood::Scattered if self.random.coin() => 0,
                _ => new.len().min(cut.saturating_sub(start)),
            };
            old[..kept].copy_from_slice(&new[..kept]);
            self.loss.sectors_lost += u64::from(kept < new.len());
        }
        left
    }
}

/// A place between the first and the last byte that changed, for a tear elsewhere would be none.
fn within_changes(synced: &[u8], now: &[u8], drawn: usize) -> usize {
    let same = synced.iter().zip(now).take_while(|(old, new)| old == new).count();
    let end = synced.len().max(now.len());
    same + drawn % (end - same + 1)
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
