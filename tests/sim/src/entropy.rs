//! The process's source of chance, replaced: what asks the system for random bytes gets them from the seed.
//!
//! The standard library's hash seeds, `rand`'s generators, tokio's choice among branches and Raft's election timeouts all
//! come from there in the end, so with this the seed is the only chance in the process.

#![allow(unsafe_code, reason = "the C library's symbols are replaced by ours")]

use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea, Flood 2014): one addition a step, so that an atomic is all the state.
static STATE: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Everything from here on follows `seed`.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// How often somebody has asked; nought means that the replacement does not reach them.
pub(crate) fn asked() -> u64 {
    ASKED.load(Ordering::Relaxed)
}

fn next() -> u64 {
    let mut z = STATE
        .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// # Safety
/// As the C library's: `buffer` has room for `length` bytes.
unsafe fn fill(buffer: *mut c_void, length: usize) {
    ASKED.fetch_add(1, Ordering::Relaxed);
    let bytes = buffer.cast::<u8>();
    let mut at = 0;
    while at < length {
        let word = next().to_le_bytes();
        let part = (length - at).min(word.len());
        // SAFETY: `at + part <= length`, and the caller has room for that.
        unsafe { std::ptr::copy_nonoverlapping(word.as_ptr(), bytes.add(at), part) };
        at += part;
    }
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: c_uint) -> isize {
    // SAFETY: the caller's promise.
    unsafe { fill(buffer, length) };
    length as isize
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getentropy(buffer: *mut c_void, length: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { fill(buffer, length) };
    0
}
