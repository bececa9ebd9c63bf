//! What the shim and its readers agree on. Both compile this file.
//!
//! ```text
//! <disk>/files/<inode>           the bytes of a file that are on the disk
//! <disk>/live/<inode>            a hard link to the file as it is, so that its number is not given to another
//! <disk>/folders/<inode>/<name>  the names in a folder that are on the disk; a link that says file.<inode> or folder.<inode>
//! <disk>/control                 numbers of eight bytes, little-endian: what shall fail, and what was seen
//! ```

/// Environment: the folder that is watched. It exists. (Not MUSTER_...: a node takes those for settings.)
pub(crate) const ROOT: &str = "POWER_ROOT";
/// Environment: where it is noted what of it is on the disk; on the same file system, outside of the root.
pub(crate) const DISK: &str = "POWER_DISK";

pub(crate) const FILES: &str = "files";
pub(crate) const LIVE: &str = "live";
pub(crate) const FOLDERS: &str = "folders";
pub(crate) const CONTROL: &str = "control";
/// There once all that was found at the first start has been noted.
pub(crate) const COMPLETE: &str = "complete";
pub(crate) const FILE_NAME: &str = "file.";
pub(crate) const FOLDER_NAME: &str = "folder.";

/// Numbers in `control`, by their place.
#[derive(Clone, Copy)]
pub(crate) enum Word {
    /// Told: each sync takes so much longer.
    SyncDelayMicros = 0,
    /// Told: so many of the next syncs fail; `u64::MAX`: all.
    SyncsToFail = 1,
    /// Told: so many bytes can still be written; `u64::MAX`: any number.
    RoomBytes = 2,
    /// Seen.
    Writes = 8,
    /// Seen.
    WrittenBytes = 9,
    /// Seen: of files, those that failed not counted.
    Syncs = 10,
    /// Seen: of folders.
    FolderSyncs = 11,
    /// Seen: how often a sync or write was made to fail.
    Failures = 12,
    /// Seen: calls of `sync_file_range` and `msync`, which sync nothing here.
    HalfSyncs = 13,
    /// Seen: processes that began to be watched.
    Starts = 14,
}

pub(crate) const WORDS: usize = 16;
