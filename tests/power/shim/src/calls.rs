//! The functions of libc that we stand before. Each does what libc's does by a system call of its own, and notes it.
//!
//! On Linux of 64 bits the names with and without 64 are one function.

use crate::layout::Word;
use crate::system::{self, HERE};
use crate::tracked::tracked;
use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

fn fail(number: c_int) -> c_int {
    // SAFETY: the place of this thread's own error number
    unsafe { *libc::__errno_location() = number };
    -1
}

/// A path relative to a folder, as far as it matters here.
///
/// # Safety
/// `path` ends in zero.
unsafe fn whole_path(folder: c_int, path: *const c_char) -> Option<PathBuf> {
    // SAFETY: the caller's word
    let path = PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    if path.is_absolute() {
        return Some(path);
    }
    let base = if folder == HERE {
        std::env::current_dir().ok()
    } else {
        system::path_of(folder)
    };
    Some(base?.join(path))
}

/// Whether something new cannot be made there because the disk is full.
///
/// # Safety
/// `path` ends in zero.
unsafe fn is_full(folder: c_int, path: *const c_char) -> bool {
    let Some(tracked) = tracked() else { return false };
    if !tracked.control.is_full() {
        return false;
    }
    // SAFETY: the caller's word
    let below = unsafe { whole_path(folder, path) }.is_some_and(|path| tracked.is_below(&path));
    if below {
        tracked.control.count(Word::Failures, 1);
    }
    below
}

/// # Safety
/// As `openat` of libc.
unsafe fn do_open(folder: c_int, path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_CREAT != 0;
    if writes && flags & libc::O_PATH == 0 {
        // Watching begins before the file is opened, or it would look as if it had been there.
        let tracked = tracked();
        // SAFETY: the caller's word
        let there = || system::stat_at(folder, unsafe { CStr::from_ptr(path) }).is_some();
        // SAFETY: the caller's word
        if flags & libc::O_CREAT != 0 && unsafe { is_full(folder, path) } && !there() {
            return fail(libc::ENOSPC);
        }
        // SAFETY: the caller's arguments
        let fd = unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) } as c_int;
        if fd >= 0
            && let Some(tracked) = tracked
        {
            tracked.opened(fd, flags);
        }
        return fd;
    }
    // SAFETY: the caller's arguments
    unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) as c_int }
}

/// # Safety
/// As `mkdirat` of libc.
unsafe fn do_mkdir(folder: c_int, path: *const c_char, mode: libc::mode_t) -> c_int {
    let tracked = tracked();
    // SAFETY: the caller's word
    if unsafe { is_full(folder, path) } {
        return fail(libc::ENOSPC);
    }
    // SAFETY: the caller's arguments
    let answer = unsafe { libc::syscall(libc::SYS_mkdirat, folder, path, mode) } as c_int;
    if answer == 0
        && let Some(tracked) = tracked
        // SAFETY: the caller's word
        && unsafe { whole_path(folder, path) }.is_some_and(|path| tracked.is_below(&path))
        // SAFETY: the caller's word
        && let Some(stat) = system::stat_at(folder, unsafe { CStr::from_ptr(path) })
    {
        tracked.made_folder(&stat);
    }
    answer
}

/// Writes as much as there is room for.
fn with_room(fd: c_int, bytes: usize, at: Option<u64>, write: impl FnOnce(usize) -> c_long) -> isize {
    let Some(tracked) = tracked() else {
        return write(bytes) as isize;
    };
    let room = tracked.room(fd, bytes);
    if room == 0 && bytes > 0 {
        return fail(libc::ENOSPC) as isize;
    }
    let written = write(room);
    if written > 0 {
        tracked.wrote(fd, at, written as u64);
    }
    written as isize
}

/// As `with_room`, for several pieces; they are counted whole.
fn pieces_with_room(fd: c_int, bytes: usize, at: Option<u64>, write: impl FnOnce() -> c_long) -> isize {
    let Some(tracked) = tracked() else {
        return write() as isize;
    };
    if tracked.room(fd, bytes) < bytes {
        return fail(libc::ENOSPC) as isize;
    }
    let written = write();
    if written > 0 {
        tracked.wrote(fd, at, written as u64);
    }
    written as isize
}

/// # Safety
/// `pieces` are `count`.
unsafe fn total(pieces: *const libc::iovec, count: c_int) -> usize {
    // SAFETY: the caller's word
    (0..usize::try_from(count).unwrap_or(0))
        .map(|at| unsafe { (*pieces.add(at)).iov_len })
        .sum()
}

fn do_sync(fd: c_int, call: c_long) -> c_int {
    match tracked().and_then(|tracked| tracked.sync(fd)) {
        Some(Ok(())) => 0,
        Some(Err(number)) => fail(number),
        // SAFETY: no memory is passed
        None => unsafe { libc::syscall(call, fd) as c_int },
    }
}

fn do_truncate(fd: c_int, length: libc::off_t) -> c_int {
    // SAFETY: no memory is passed
    let answer = unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) } as c_int;
    if answer == 0
        && let Some(tracked) = tracked()
    {
        tracked.cut(fd, length as u64);
    }
    answer
}

fn do_allocate(fd: c_int, mode: c_int, at: libc::off_t, bytes: libc::off_t) -> c_int {
    let tracked = tracked();
    if let Some(tracked) = tracked
        && tracked.is_watched(fd)
        && tracked.control.is_full()
    {
        return fail(libc::ENOSPC);
    }
    // SAFETY: no memory is passed
    let answer = unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, at, bytes) } as c_int;
    if answer == 0
        && mode != 0
        && let Some(tracked) = tracked
    {
        tracked.changed_somehow(fd);
    }
    answer
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: the caller's arguments; a mode that was not passed is not looked at
    unsafe { do_open(HERE, path, flags, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: as above
    unsafe { do_open(HERE, path, flags, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: as above
    unsafe { do_open(folder, path, flags, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: libc::mode_t,
) -> c_int {
    // SAFETY: as above
    unsafe { do_open(folder, path, flags, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mkdir(path: *const c_char, mode: libc::mode_t) -> c_int {
    // SAFETY: the caller's arguments
    unsafe { do_mkdir(HERE, path, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mkdirat(folder: c_int, path: *const c_char, mode: libc::mode_t) -> c_int {
    // SAFETY: the caller's arguments
    unsafe { do_mkdir(folder, path, mode) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize {
    // SAFETY: the caller's arguments, or fewer bytes
    with_room(fd, count, None, |count| unsafe {
        libc::syscall(libc::SYS_write, fd, bytes, count)
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, count: usize, at: libc::off_t) -> isize {
    // SAFETY: the caller's arguments, or fewer bytes
    with_room(fd, count, Some(at as u64), |count| unsafe {
        libc::syscall(libc::SYS_pwrite64, fd, bytes, count, at)
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, count: usize, at: libc::off_t) -> isize {
    // SAFETY: the caller's arguments
    unsafe { pwrite(fd, bytes, count, at) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn writev(fd: c_int, pieces: *const libc::iovec, count: c_int) -> isize {
    // SAFETY: the caller's arguments
    let bytes = unsafe { total(pieces, count) };
    // SAFETY: the caller's arguments
    pieces_with_room(fd, bytes, None, || unsafe {
        libc::syscall(libc::SYS_writev, fd, pieces, count)
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pwritev(fd: c_int, pieces: *const libc::iovec, count: c_int, at: libc::off_t) -> isize {
    // SAFETY: the caller's arguments
    let bytes = unsafe { total(pieces, count) };
    // SAFETY: the caller's arguments; the kernel takes the place in two halves, of which the upper is empty here
    pieces_with_room(fd, bytes, Some(at as u64), || unsafe {
        libc::syscall(libc::SYS_pwritev, fd, pieces, count, at, 0)
    })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pwritev64(
    fd: c_int,
    pieces: *const libc::iovec,
    count: c_int,
    at: libc::off_t,
) -> isize {
    // SAFETY: the caller's arguments
    unsafe { pwritev(fd, pieces, count, at) }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn ftruncate(fd: c_int, length: libc::off_t) -> c_int {
    do_truncate(fd, length)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn ftruncate64(fd: c_int, length: libc::off_t) -> c_int {
    do_truncate(fd, length)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn fallocate(fd: c_int, mode: c_int, at: libc::off_t, bytes: libc::off_t) -> c_int {
    do_allocate(fd, mode, at, bytes)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn fallocate64(fd: c_int, mode: c_int, at: libc::off_t, bytes: libc::off_t) -> c_int {
    do_allocate(fd, mode, at, bytes)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn fsync(fd: c_int) -> c_int {
    do_sync(fd, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn fdatasync(fd: c_int) -> c_int {
    do_sync(fd, libc::SYS_fdatasync)
}

/// Keeps neither the length nor what the drive holds in its own memory, so it keeps nothing.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sync_file_range(fd: c_int, at: libc::off_t, bytes: libc::off_t, flags: libc::c_uint) -> c_int {
    if let Some(tracked) = tracked()
        && tracked.is_watched(fd)
    {
        tracked.control.count(Word::HalfSyncs, 1);
        return 0;
    }
    // SAFETY: no memory is passed
    unsafe { libc::syscall(libc::SYS_sync_file_range, fd, at, bytes, flags) as c_int }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mmap(
    at: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    let shared = flags & libc::MAP_SHARED != 0 && protection & libc::PROT_WRITE != 0;
    if shared && fd >= 0 && tracked().is_some_and(|tracked| tracked.is_watched(fd)) {
        system::give_up("a shared writable mapping, which is not followed");
    }
    // SAFETY: the caller's arguments
    unsafe { libc::syscall(libc::SYS_mmap, at, bytes, protection, flags, fd, offset) as *mut c_void }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mmap64(
    at: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments
    unsafe { mmap(at, bytes, protection, flags, fd, offset) }
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut libc::off64_t,
    to: c_int,
    to_at: *mut libc::off64_t,
    bytes: usize,
    flags: libc::c_uint,
) -> isize {
    // SAFETY: the caller's arguments
    let copied = unsafe { libc::syscall(libc::SYS_copy_file_range, from, from_at, to, to_at, bytes, flags) };
    if copied > 0
        && let Some(tracked) = tracked()
    {
        tracked.changed_somehow(to);
    }
    copied as isize
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendfile(to: c_int, from: c_int, at: *mut libc::off_t, bytes: usize) -> isize {
    // SAFETY: the caller's arguments
    let copied = unsafe { libc::syscall(libc::SYS_sendfile, to, from, at, bytes) };
    if copied > 0
        && let Some(tracked) = tracked()
    {
        tracked.changed_somehow(to);
    }
    copied as isize
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendfile64(to: c_int, from: c_int, at: *mut libc::off_t, bytes: usize) -> isize {
    // SAFETY: the caller's arguments
    unsafe { sendfile(to, from, at, bytes) }
}
