//! What a member knows that it has asked for, and what follows from it for what it may find.

use muster_storage::{LogEntry, Vote};
use std::collections::BTreeMap;

/// The log as its owner sees it after one call.
#[derive(Clone, Default, Debug, PartialEq)]
pub(crate) struct Log {
    pub(crate) purged: Option<u64>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) vote: Option<Vote>,
}

impl Log {
    pub(crate) fn next(&self) -> u64 {
        let behind = self.entries.last().map(|entry| entry.position.index).or(self.purged);
        behind.map_or(0, |last| last + 1)
    }

    fn entry(&self, index: u64) -> Option<&LogEntry> {
        self.entries.iter().find(|entry| entry.position.index == index)
    }

    /// How far, from entry 0 on, this log and `other` are the same.
    pub(crate) fn alike(&self, other: &Self, from: u64) -> u64 {
        let mut index = from;
        while self.entry(index).is_some() && self.entry(index) == other.entry(index) {
            index += 1;
        }
        index
    }
}

/// The replicated state: what entries made of it, and how many.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The entries that were committed, for good.
#[derive(Default)]
pub(crate) struct Committed(pub(crate) Vec<LogEntry>);

impl Committed {
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The state that the first `count` entries make.
    pub(crate) fn state(&self, count: u64) -> Records {
        let mut records = Records::new();
        for entry in &self.0[..count as usize] {
            let key = vec![entry.position.index as u8 % 13];
            if entry.payload.len() % 7 == 0 {
                records.remove(&key);
            } else {
                records.insert(key, entry.payload.to_vec());
            }
        }
        records
    }
}

/// A state as the body of a snapshot.
pub(crate) fn body(records: &Records) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
    bytes
}
