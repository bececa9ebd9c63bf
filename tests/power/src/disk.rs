//! The disk of one process: what it is told and what it has seen.

use crate::layout::{COMPLETE, CONTROL, DISK, FILES, FOLDERS, LIVE, ROOT, WORDS, Word};
use crate::loss::{self, Loss};
use crate::random::Random;
use crate::shim;
use anyhow::{Context, ensure};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What shall go wrong from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Each sync takes so much longer.
    pub sync_delay: Duration,
    /// So many of the next syncs, of files or folders, fail with an error of input and output, and what they should have kept is
    /// forgotten: the next sync says yes without it, as Linux does. `u64::MAX`: all.
    pub syncs_to_fail: u64,
    /// So many bytes can still be written before the disk is full. `u64::MAX`: any number.
    pub room_bytes: u64,
}

impl Default for Faults {
    /// None.
    fn default() -> Self {
        Self {
            sync_delay: Duration::ZERO,
            syncs_to_fail: 0,
            room_bytes: u64::MAX,
        }
    }
}

/// What the shim has seen since the disk is there; a loss of power does not set it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    pub writes: u64,
    pub written_bytes: u64,
    /// Of files.
    pub syncs: u64,
    /// Of folders.
    pub folder_syncs: u64,
    /// Calls that were made to fail.
    pub failures: u64,
    /// Calls of `sync_file_range`, which keeps nothing.
    pub half_syncs: u64,
    /// Processes that began to be watched.
    pub starts: u64,
}

/// A folder of which it is known what a loss of power would leave.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    kept: PathBuf,
}

impl Disk {
    /// Makes `root` if it is not there. Beside it, with `.disk` behind its name, lies what is on the disk.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(root: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        let mut name = root.file_name().context("the root has a name")?.to_owned();
        name.push(".disk");
        let kept = root.with_file_name(name);
        fs::create_dir_all(&kept)?;
        let disk = Self { root, kept };
        if fs::metadata(disk.kept.join(CONTROL)).map_or(0, |it| it.len()) != 8 * WORDS as u64 {
            fs::write(disk.kept.join(CONTROL), [0; 8 * WORDS])?;
            disk.tell(&Faults::default())?;
        }
        Ok(disk)
    }

    /// The folder that the process works in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a process needs to be told. Its program must be linked to libc dynamically.
    ///
    /// # Errors
    /// The shim cannot be built.
    pub fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
        Ok(vec![
            ("LD_PRELOAD".to_owned(), text(shim::built()?)?),
            (ROOT.to_owned(), text(&self.root)?),
            (DISK.to_owned(), text(&self.kept)?),
        ])
    }

    fn control(&self) -> anyhow::Result<File> {
        let path = self.kept.join(CONTROL);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        opened.with_context(|| path.display().to_string())
    }

    /// Faults from now on, in place of those told before; at once, in a running process too.
    ///
    /// # Errors
    /// The file system's.
    pub fn tell(&self, faults: &Faults) -> anyhow::Result<()> {
        let control = self.control()?;
        let told = [
            (Word::SyncDelayMicros, faults.sync_delay.as_micros() as u64),
            (Word::SyncsToFail, faults.syncs_to_fail),
            (Word::RoomBytes, faults.room_bytes),
        ];
        for (word, number) in told {
            control.write_all_at(&number.to_le_bytes(), 8 * word as u64)?;
        }
        Ok(())
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// The file system's.
    pub fn seen(&self) -> anyhow::Result<Seen> {
        let control = self.control()?;
        let number = |word: Word| {
            let mut bytes = [0; 8];
            control.read_exact_at(&mut bytes, 8 * word as u64)?;
            anyhow::Ok(u64::from_le_bytes(bytes))
        };
        Ok(Seen {
            writes: number(Word::Writes)?,
            written_bytes: number(Word::WrittenBytes)?,
            syncs: number(Word::Syncs)?,
            folder_syncs: number(Word::FolderSyncs)?,
            failures: number(Word::Failures)?,
            half_syncs: number(Word::HalfSyncs)?,
            starts: number(Word::Starts)?,
        })
    }

    /// Another disk, with nothing on it. The process has ended.
    ///
    /// # Errors
    /// The file system's.
    pub fn empty(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.root)?;
        fs::create_dir(&self.root)?;
        self.forget()
    }

    /// Forgets what is noted; the next process takes what it finds for what is on the disk.
    fn forget(&self) -> anyhow::Result<()> {
        for name in [COMPLETE, FILES, LIVE, FOLDERS] {
            let path = self.kept.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The power goes: puts what is on the disk, and a random part of what was not synced, in the place of the root. The process
    /// has been killed before.
    ///
    /// # Errors
    /// The file system's; the process was never watched.
    pub fn lose_power(&self, random: &mut Random) -> anyhow::Result<Loss> {
        ensure!(
            self.seen()?.starts > 0,
            "{} was never watched: is the program linked statically?",
            self.root.display()
        );
        if !self.kept.join(COMPLETE).exists() {
            // Killed before it could write anything.
            self.forget()?;
            return Ok(Loss::default());
        }
        let after = self.root.with_extension("after");
        let loss = loss::rebuild(&self.root, &self.kept, &after, random)?;
        fs::remove_dir_all(&self.root)?;
        fs::rename(&after, &self.root)?;
        self.forget()?;
        Ok(loss)
    }
}
