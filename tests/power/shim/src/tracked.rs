//! The files and folders under the root: which of their bytes and names are on the disk.

use crate::control::Control;
use crate::layout::{COMPLETE, CONTROL, DISK, FILE_NAME, FILES, FOLDER_NAME, FOLDERS, LIVE, ROOT, Word};
use crate::ranges::Changes;
use crate::system::{self, c_path};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

pub(crate) type Inode = u64;

/// All that is watched.
pub(crate) struct Tracked {
    pub(crate) control: Control,
    root: PathBuf,
    disk: PathBuf,
    device: u64,
    /// Held for a lookup. The inner lock is held while a file is synced, so that nobody is told of a sync before it is made.
    files: RwLock<HashMap<Inode, Arc<Mutex<Changes>>>>,
    /// Held while names are synced.
    names: Mutex<()>,
}

/// What this process watches; none if it was not told to.
pub(crate) fn tracked() -> Option<&'static Tracked> {
    static TRACKED: OnceLock<Option<Tracked>> = OnceLock::new();
    thread_local! {
        /// Our own first look at the files comes through here as well.
        static LOOKING: Cell<bool> = const { Cell::new(false) };
    }
    if let Some(found) = TRACKED.get() {
        return found.as_ref();
    }
    if LOOKING.get() {
        return None;
    }
    LOOKING.set(true);
    let found = TRACKED.get_or_init(Tracked::from_environment).as_ref();
    LOOKING.set(false);
    found
}

#[allow(
    clippy::disallowed_methods,
    reason = "the only way to tell something to a library that is loaded before the program"
)]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

fn well<T>(result: io::Result<T>, what: &Path) -> T {
    result.unwrap_or_else(|error| system::give_up(&format!("{}: {error}", what.display())))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tracked {
    fn from_environment() -> Option<Self> {
        let (root, disk) = (variable(ROOT)?, variable(DISK)?);
        let root = well(root.canonicalize(), &root);
        for folder in [FILES, LIVE, FOLDERS] {
            let path = disk.join(folder);
            well(fs::create_dir_all(&path), &path);
        }
        let tracked = Self {
            control: Control::open(&c_path(&disk.join(CONTROL))),
            device: well(fs::metadata(&root), &root).dev(),
            files: RwLock::default(),
            names: Mutex::default(),
            root,
            disk,
        };
        tracked.control.count(Word::Starts, 1);
        let complete = tracked.disk.join(COMPLETE);
        let fresh = !complete.exists();
        tracked.take_in(&tracked.root, fresh);
        well(fs::write(&complete, b""), &complete);
        Some(tracked)
    }

    /// Notes what lies in a folder at the start. `fresh`: all of it is on the disk; else that was noted by an earlier process.
    fn take_in(&self, folder: &Path, fresh: bool) {
        let inode = well(fs::metadata(folder), folder).ino();
        well(fs::create_dir_all(self.folder(inode)), folder);
        for entry in well(fs::read_dir(folder), folder) {
            let entry = well(entry, folder);
            let (path, kind) = (entry.path(), well(entry.file_type(), folder));
            if kind.is_dir() {
                self.take_in(&path, fresh);
            } else if kind.is_file() {
                let inode = entry.ino();
                let kept = self.disk.join(FILES).join(inode.to_string());
                if fresh {
                    well(fs::copy(&path, &kept).map(drop), &path);
                }
                self.pin(inode, &path);
                // What an earlier process wrote nobody remembers.
                self.insert(inode, if fresh { Changes::default() } else { Changes::unknown() });
            }
        }
        if fresh {
            self.sync_names(folder, inode);
        }
    }

    fn folder(&self, inode: Inode) -> PathBuf {
        self.disk.join(FOLDERS).join(inode.to_string())
    }

    fn pin(&self, inode: Inode, path: &Path) {
        let pinned = self.disk.join(LIVE).join(inode.to_string());
        match fs::hard_link(path, &pinned) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                system::give_up(&format!("{}: {error}", pinned.display()))
            }
            _ => {}
        }
    }

    fn insert(&self, inode: Inode, changes: Changes) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.insert(inode, Arc::new(Mutex::new(changes)));
    }

    fn get(&self, inode: Inode) -> Option<Arc<Mutex<Changes>>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.get(&inode).cloned()
    }

    /// The watched file behind a number, with its inode.
    fn file(&self, fd: c_int) -> Option<(Inode, Arc<Mutex<Changes>>)> {
        let stat = system::stat(fd).filter(|it| system::is_file(it) && it.st_dev == self.device)?;
        Some((stat.st_ino, self.get(stat.st_ino)?))
    }

    pub(crate) fn is_watched(&self, fd: c_int) -> bool {
        self.file(fd).is_some()
    }

    /// Whether a path that is about to be made lies under the root.
    pub(crate) fn is_below(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// A file was opened for writing: it may be new, and it may have been emptied.
    pub(crate) fn opened(&self, fd: c_int, flags: c_int) {
        let Some(stat) = system::stat(fd).filter(|it| system::is_file(it) && it.st_dev == self.device) else {
            return;
        };
        if let Some(changes) = self.get(stat.st_ino) {
            if flags & libc::O_TRUNC != 0 {
                locked(&changes).cut(0);
            }
        } else if let Some(path) = system::path_of(fd).filter(|path| path.starts_with(&self.root)) {
            self.pin(stat.st_ino, &path);
            self.insert(stat.st_ino, Changes::default());
        } else {
            return;
        }
        if flags & (libc::O_SYNC | libc::O_DSYNC) != 0 {
            system::give_up("a file is opened for synchronous writing, which is not followed");
        }
    }

    /// A folder was made: whatever was noted under its number was another one.
    pub(crate) fn made_folder(&self, stat: &libc::stat) {
        if stat.st_dev != self.device {
            return;
        }
        let noted = self.folder(stat.st_ino);
        if noted.exists() {
            well(fs::remove_dir_all(&noted), &noted);
        }
        well(fs::create_dir(&noted), &noted);
    }

    /// How many of the bytes may be written.
    pub(crate) fn room(&self, fd: c_int, bytes: usize) -> usize {
        if self.is_watched(fd) {
            self.control.room(bytes as u64) as usize
        } else {
            bytes
        }
    }

    /// Bytes were written at `at`; `None`: where the file's own place is now, behind them.
    pub(crate) fn wrote(&self, fd: c_int, at: Option<u64>, bytes: u64) {
        let Some((_, changes)) = self.file(fd) else { return };
        self.control.count(Word::Writes, 1);
        self.control.count(Word::WrittenBytes, bytes);
        let start = at.unwrap_or_else(|| {
            // SAFETY: no memory is passed
            let place = unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) };
            (place as u64).saturating_sub(bytes)
        });
        locked(&changes).wrote(start..start + bytes);
    }

    pub(crate) fn cut(&self, fd: c_int, length: u64) {
        if let Some((_, changes)) = self.file(fd) {
            locked(&changes).cut(length);
        }
    }

    /// Something was done to the file that nobody follows in detail.
    pub(crate) fn changed_somehow(&self, fd: c_int) {
        if let Some((_, changes)) = self.file(fd) {
            *locked(&changes) = Changes::unknown();
        }
    }

    /// What `fsync` does. Answers the error's number, or none for what is not watched.
    pub(crate) fn sync(&self, fd: c_int) -> Option<Result<(), c_int>> {
        let stat = system::stat(fd).filter(|it| it.st_dev == self.device)?;
        let folder = if system::is_folder(&stat) {
            Some(system::path_of(fd).filter(|path| path.starts_with(&self.root))?)
        } else {
            None
        };
        let changes = match &folder {
            None => Some(self.get(stat.st_ino)?),
            Some(_) => None,
        };
        std::thread::sleep(self.control.sync_delay());
        if self.control.sync_fails() {
            if let Some(changes) = changes {
                // The kernel forgets what it could not write: the next sync says yes without it.
                *locked(&changes) = Changes::default();
            }
            return Some(Err(libc::EIO));
        }
        match (folder, changes) {
            (Some(path), _) => {
                self.sync_names(&path, stat.st_ino);
                self.control.count(Word::FolderSyncs, 1);
            }
            (None, Some(changes)) => {
                self.sync_bytes(fd, stat.st_ino, &mut locked(&changes));
                self.control.count(Word::Syncs, 1);
            }
            (None, None) => {}
        }
        Some(Ok(()))
    }

    fn sync_bytes(&self, fd: c_int, inode: Inode, changes: &mut Changes) {
        // Not every descriptor may be read from.
        let live = system::open(&c_path(&self.disk.join(LIVE).join(inode.to_string())), libc::O_RDONLY);
        let kept = system::open(
            &c_path(&self.disk.join(FILES).join(inode.to_string())),
            libc::O_RDWR | libc::O_CREAT,
        );
        let length = system::stat(fd).map_or(0, |stat| stat.st_size as u64);
        let before = system::stat(kept).map_or(0, |stat| stat.st_size as u64);
        if let Some(shortest) = changes.shortest().filter(|shortest| *shortest < before) {
            system::truncate(kept, shortest);
        }
        system::truncate(kept, length);
        for range in changes.of(length) {
            system::copy(live, kept, range.start, range.end);
        }
        system::close(live);
        system::close(kept);
        *changes = Changes::default();
    }

    /// Makes the noted names of a folder those that it has now.
    fn sync_names(&self, path: &Path, inode: Inode) {
        let _turn = locked(&self.names);
        let noted = self.folder(inode);
        well(fs::create_dir_all(&noted), &noted);
        let mut now = BTreeMap::new();
        for entry in well(fs::read_dir(path), path) {
            let entry = well(entry, path);
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_dir() => FOLDER_NAME,
                Ok(kind) if kind.is_file() => FILE_NAME,
                // gone in this moment, or of a kind that a store has no use for
                _ => continue,
            };
            now.insert(entry.file_name(), format!("{kind}{}", entry.ino()));
        }
        for entry in well(fs::read_dir(&noted), &noted) {
            let entry = well(entry, &noted);
            let target = well(fs::read_link(entry.path()), &noted);
            match now.get(&entry.file_name()) {
                Some(kept) if Path::new(kept) == target => drop(now.remove(&entry.file_name())),
                Some(_) => {}
                None => {
                    well(fs::remove_file(entry.path()), &noted);
                    self.forget(&target);
                }
            }
        }
        for (name, target) in now {
            let draft = self.disk.join(format!("draft.{inode}"));
            // One of a process that was killed here.
            let _ = fs::remove_file(&draft);
            well(symlink(&target, &draft), &draft);
            well(fs::rename(&draft, noted.join(name)), &noted);
        }
    }

    /// A removal is on the disk: a file that has no name any more needs no memory.
    fn forget(&self, target: &Path) {
        let number = target
            .to_str()
            .and_then(|name| name.strip_prefix(FILE_NAME)?.parse().ok());
        let Some(inode) = number else { return };
        let live = self.disk.join(LIVE).join(Inode::to_string(&inode));
        if fs::metadata(&live).is_ok_and(|found| found.nlink() == 1) {
            let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
            files.remove(&inode);
            let _ = fs::remove_file(self.disk.join(FILES).join(inode.to_string()));
            let _ = fs::remove_file(&live);
        }
    }
}
