//! The few things that the log and the snapshots ask of a file system, as a trait, so that tests can lose, tear and refuse.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// One open file. Offsets are given, never remembered: readers and the writer share it.
pub trait DiskFile: Send + std::marker::Sync + 'static {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The disk's; a part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::UnexpectedEof`] if the file is shorter.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// # Errors
    /// The disk's.
    fn length(&self) -> io::Result<u64>;

    /// # Errors
    /// The disk's.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns when content and length are on the disk. After an error nothing is known of what was written before: the
    /// kernel may have dropped it and may say yes the next time. So nobody asks twice.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&self) -> io::Result<()>;
}

/// A file system.
pub trait Disk: Send + std::marker::Sync + 'static {
    /// # Errors
    /// The disk's; a file of that name must not exist.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// # Errors
    /// The disk's.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of the files in `folder`, sorted; none if there is no such folder.
    ///
    /// # Errors
    /// The disk's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// # Errors
    /// The disk's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// # Errors
    /// The disk's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the folder and those above it that are missing; returns when their names are on the disk.
    ///
    /// # Errors
    /// The disk's.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns when the names in `folder` are on the disk.
    ///
    /// # Errors
    /// The disk's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// How long the next write or sync is to seem to take, for a simulation whose time stands still while it runs. A real
    /// disk takes its time by itself.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl DiskFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let missing = path.ancestors().take_while(|folder| !folder.exists()).count();
        fs::create_dir_all(path)?;
        // A folder's own name lives in its parent. That of the last one is synced even if it was there: who made it may have
        // ended before its sync.
        for folder in path.ancestors().take(missing.max(1)) {
            let synced = match folder.parent() {
                Some(parent) if parent.as_os_str().is_empty() => self.sync_folder(Path::new(".")),
                Some(parent) => self.sync_folder(parent),
                None => Ok(()),
            };
            match synced {
                // Made for us by somebody else, below what we may not read.
                Err(error) if missing == 0 && error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
