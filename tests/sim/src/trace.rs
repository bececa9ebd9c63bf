//! Everything that happens, in order: hashed always, so that two runs can be compared, and written down when asked.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Display;
use std::hash::{Hash, Hasher};

/// The trace of one run.
pub struct Trace {
    now_ms: u64,
    hasher: DefaultHasher,
    events: u64,
    prints: bool,
}

impl Trace {
    pub fn new(prints: bool) -> Self {
        Self {
            now_ms: 0,
            // Without keys: the same in every process.
            hasher: DefaultHasher::new(),
            events: 0,
            prints,
        }
    }

    pub fn at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// An event. `numbers` are hashed in any case; the words are made only when somebody reads them.
    #[allow(clippy::print_stdout, reason = "the trace is what the program is asked for")]
    pub fn note<W: Display>(&mut self, kind: &'static str, numbers: &[u64], words: impl FnOnce() -> W) {
        self.now_ms.hash(&mut self.hasher);
        kind.hash(&mut self.hasher);
        numbers.hash(&mut self.hasher);
        self.events += 1;
        if self.prints {
            println!("{:>9} {kind:<10} {}", self.now_ms, words());
        }
    }

    /// The hash over all events so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub fn events(&self) -> u64 {
        self.events
    }
}

/// A hash of bytes that is the same in every process.
pub fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
