//! The page through which faults are told and counts are read.

use crate::layout::{WORDS, Word};
use crate::system;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ENDLESS: u64 = u64::MAX;

/// Eight-byte numbers in a mapped file; whoever writes to the file is heard at the next call.
pub(crate) struct Control(&'static [AtomicU64; WORDS]);

impl Control {
    /// Maps the file, made if it is not there.
    pub(crate) fn open(path: &CStr) -> Self {
        let fresh = system::length_at(path).is_none_or(|length| length < 8 * WORDS as u64);
        let fd = system::open(path, libc::O_RDWR | libc::O_CREAT);
        if fresh {
            system::truncate(fd, 8 * WORDS as u64);
        }
        let words = system::map_shared(fd, 8 * WORDS).cast::<[AtomicU64; WORDS]>();
        system::close(fd);
        // SAFETY: a mapping of that size, aligned to a page, never taken back; all who share it use it atomically
        let control = Self(unsafe { &*words });
        if fresh {
            control.word(Word::RoomBytes).store(ENDLESS, Ordering::Relaxed);
        }
        control
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        &self.0[word as usize]
    }

    pub(crate) fn count(&self, word: Word, number: u64) {
        self.word(word).fetch_add(number, Ordering::Relaxed);
    }

    /// Takes from a number that is told; `ENDLESS` stays.
    fn take(&self, word: Word, wanted: u64) -> u64 {
        let mut got = 0;
        let taken = self
            .word(word)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                got = left.min(wanted);
                (left != ENDLESS && got > 0).then(|| left - got)
            });
        // an update that was not made: none is left, or there is no end to it
        if taken == Err(ENDLESS) { wanted } else { got }
    }

    pub(crate) fn sync_delay(&self) -> Duration {
        Duration::from_micros(self.word(Word::SyncDelayMicros).load(Ordering::Relaxed))
    }

    pub(crate) fn sync_fails(&self) -> bool {
        let fails = self.take(Word::SyncsToFail, 1) == 1;
        if fails {
            self.count(Word::Failures, 1);
        }
        fails
    }

    /// How many of so many bytes fit on the disk; 0 of some: it is full.
    pub(crate) fn room(&self, wanted: u64) -> u64 {
        let fit = self.take(Word::RoomBytes, wanted);
        if fit < wanted {
            self.count(Word::Failures, 1);
        }
        fit
    }

    /// Whether nothing can be made any more.
    pub(crate) fn is_full(&self) -> bool {
        self.word(Word::RoomBytes).load(Ordering::Relaxed) == 0
    }
}
