//! Loaded before libc (`LD_PRELOAD`), this notes which bytes and names under one folder are on the disk.
//!
//! The process works on its real files; nothing of what it reads or writes is changed. Beside them lies a second copy that only
//! syncs bring up to date: `fsync` and `fdatasync` of a file copy what was written to it since the last one, those of a folder copy
//! its names. When the process is killed, that copy is what a loss of power would have left for sure; `muster-power` puts it, and a
//! random part of the rest, in the place of the real files.
//!
//! ```text
//! write, truncate, ... --> real file, and a note which ranges are not synced
//! sync of a file       --> those ranges, to files/<inode>
//! sync of a folder     --> its names, to folders/<inode>
//! ```
//!
//! - [`calls`]: the functions of libc that it stands before
//! - [`tracked`]: what was written and not synced
//! - [`control`]: what shall fail, told from outside
//! - [`system`]: system calls without a detour through libc, which would come back here
//!
//! A real sync is not asked for: the kernel goes on running, and its memory is as good as the disk.
//!
//! What it cannot follow ends the process with a word: shared writable mappings and files opened for synchronous writing.
#![allow(
    unsafe_code,
    reason = "stands in the place of functions of libc, which take and give raw pointers"
)]

mod calls;
mod control;
#[path = "../../src/layout.rs"]
mod layout;
mod ranges;
mod system;
mod tracked;
