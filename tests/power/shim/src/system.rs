//! System calls, made directly: the functions of libc of these names would come back to us.

use std::ffi::{CStr, CString, c_int, c_long, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A folder of the process.
pub(crate) const HERE: c_int = libc::AT_FDCWD;

/// Ends the process with a word; what cannot be followed must not go on as if it were.
pub(crate) fn give_up(why: &str) -> ! {
    let text = format!("muster-power-shim: {why}\n");
    // SAFETY: the bytes live until the call is over
    unsafe {
        libc::syscall(libc::SYS_write, 2, text.as_ptr(), text.len());
        libc::abort()
    }
}

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().to_owned().into_vec()).unwrap_or_else(|_| give_up("a path with a zero byte"))
}

/// What a call answered; ends the process if it failed, for then nothing is sure any more.
fn sure(answer: c_long, what: &str) -> c_long {
    if answer < 0 {
        give_up(&format!("{what}: {}", std::io::Error::last_os_error()));
    }
    answer
}

pub(crate) fn open(path: &CStr, flags: c_int) -> c_int {
    sure(try_open(path, flags), &path.to_string_lossy()) as c_int
}

pub(crate) fn try_open(path: &CStr, flags: c_int) -> c_long {
    // SAFETY: a string that ends in zero
    unsafe { libc::syscall(libc::SYS_openat, HERE, path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) }
}

pub(crate) fn close(fd: c_int) {
    // SAFETY: closes what we opened
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

pub(crate) fn truncate(fd: c_int, length: u64) {
    // SAFETY: no memory is passed
    sure(unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) }, "ftruncate");
}

/// A mapping that others see.
pub(crate) fn map_shared(fd: c_int, bytes: usize) -> *mut c_void {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, wherever there is room
    let at = unsafe { libc::syscall(libc::SYS_mmap, 0, bytes, protection, libc::MAP_SHARED, fd, 0) };
    sure(if at == -1 { -1 } else { 0 }, "mmap");
    at as *mut c_void
}

/// What `fstat` says; none of what is no file.
pub(crate) fn stat(fd: c_int) -> Option<libc::stat> {
    // SAFETY: plain numbers, for which zeros are a value
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: room for the answer; fstat is no call that we stand before
    (unsafe { libc::fstat(fd, &raw mut found) } == 0).then_some(found)
}

pub(crate) fn stat_at(folder: c_int, path: &CStr) -> Option<libc::stat> {
    // SAFETY: as above
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: as above; a string that ends in zero
    let answer = unsafe { libc::fstatat(folder, path.as_ptr(), &raw mut found, libc::AT_SYMLINK_NOFOLLOW) };
    (answer == 0).then_some(found)
}

pub(crate) fn length_at(path: &CStr) -> Option<u64> {
    stat_at(HERE, path).map(|found| found.st_size as u64)
}

pub(crate) fn is_file(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFREG
}

pub(crate) fn is_folder(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// The path that an open file has now.
pub(crate) fn path_of(fd: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// Copies a part of one file to the same place of another. `from` may be shorter by now.
pub(crate) fn copy(from: c_int, to: c_int, mut at: u64, end: u64) {
    let mut buffer = vec![0_u8; (end - at).min(1 << 20) as usize];
    while at < end {
        let wanted = buffer.len().min((end - at) as usize);
        // SAFETY: reads into a buffer that is long enough
        let got = unsafe { libc::syscall(libc::SYS_pread64, from, buffer.as_mut_ptr(), wanted, at) };
        let got = sure(got, "pread") as usize;
        if got == 0 {
            return;
        }
        let mut written = 0;
        while written < got {
            let rest = &buffer[written..got];
            // SAFETY: writes from a buffer that is long enough
            let put = unsafe { libc::syscall(libc::SYS_pwrite64, to, rest.as_ptr(), rest.len(), at + written as u64) };
            written += sure(put, "pwrite") as usize;
        }
        at += got as u64;
    }
}
