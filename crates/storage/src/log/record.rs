//! The bytes of a segment.
//!
//! ```text
//! segment  = magic[8] id[8] crc[4]  record*
//! record   = length[4] crc[4] kind[1] body        length counts kind and body; all numbers little-endian
//! crc      = crc32(id, length, kind, body)        the segment's random id keeps bytes of another file from ever being valid
//! ```
//!
//! Each write begins with a *batch* record that says how far the segment was synced when the write began. It turns "the tail
//! is torn" from a guess into a conclusion: damage below a later batch's mark was acknowledged and is no torn tail.

use super::{LogEntry, Position, Vote};
use bytes::Bytes;

pub(super) const MAGIC: &[u8; 8] = b"MUSTLOG1";
pub(super) const HEADER_BYTES: usize = 20;
const FRAME_BYTES: usize = 8;
/// More than any entry that the crates above make; a longer one is taken for damage.
pub(super) const RECORD_BYTES_MAX: usize = 64 << 20;

const BATCH: u8 = 1;
const ENTRY: u8 = 2;
const VOTE: u8 = 3;
const TRUNCATE: u8 = 4;
const PURGE: u8 = 5;
const COMMITTED: u8 = 6;
/// Kind and one number.
const BATCH_LENGTH: u32 = 9;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Record {
    Batch {
        synced_to: u64,
    },
    Entry(LogEntry),
    Vote(Vote),
    /// Entries after this index are gone; `None`: all.
    Truncate {
        after: Option<u64>,
    },
    Purge(Position),
    Committed(Position),
}

/// Appends to a buffer the records of one segment.
pub(super) struct Encoder<'a> {
    pub(super) segment_id: u64,
    pub(super) buffer: &'a mut Vec<u8>,
}

impl Encoder<'_> {
    pub(super) fn header(&mut self) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(MAGIC);
        self.buffer.extend_from_slice(&self.segment_id.to_le_bytes());
        let crc = crc32fast::hash(&self.buffer[start..]);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
    }

    pub(super) fn batch(&mut self, synced_to: u64) {
        self.frame(BATCH, |buffer| buffer.extend_from_slice(&synced_to.to_le_bytes()));
    }

    pub(super) fn entry(&mut self, entry: &LogEntry) {
        self.frame(ENTRY, |buffer| {
            put_position(buffer, entry.position);
            buffer.push(entry.tag);
            buffer.extend_from_slice(&entry.payload);
        });
    }

    pub(super) fn vote(&mut self, vote: Vote) {
        self.frame(VOTE, |buffer| {
            buffer.extend_from_slice(&vote.term.to_le_bytes());
            buffer.extend_from_slice(&vote.leader.to_le_bytes());
            buffer.push(vote.committed.into());
        });
    }

    pub(super) fn truncate(&mut self, after: Option<u64>) {
        self.frame(TRUNCATE, |buffer| {
            buffer.push(after.is_some().into());
            buffer.extend_from_slice(&after.unwrap_or(0).to_le_bytes());
        });
    }

    pub(super) fn purge(&mut self, upto: Position) {
        self.frame(PURGE, |buffer| put_position(buffer, upto));
    }

    pub(super) fn committed(&mut self, upto: Position) {
        self.frame(COMMITTED, |buffer| put_position(buffer, upto));
    }

    fn frame(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; FRAME_BYTES]);
        self.buffer.push(kind);
        body(self.buffer);
        let length = (self.buffer.len() - start - FRAME_BYTES) as u32;
        let crc = checksum(self.segment_id, length, &self.buffer[start + FRAME_BYTES..]);
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Decodes the record at the start of `bytes`; answers it and its length with the frame. `None`: no valid record is there.
pub(super) fn decode(segment_id: u64, bytes: &Bytes) -> Option<(Record, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let crc = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    if length == 0 || length as usize > RECORD_BYTES_MAX {
        return None;
    }
    let end = FRAME_BYTES + length as usize;
    let content = bytes.get(FRAME_BYTES..end)?;
    if checksum(segment_id, length, content) != crc {
        return None;
    }
    let (kind, body) = (content[0], &content[1..]);
    let record = match kind {
        BATCH => Record::Batch {
            synced_to: number(body, 0)?,
        },
        ENTRY => Record::Entry(LogEntry {
            position: position(body)?,
            tag: *body.get(24)?,
            payload: bytes.slice(FRAME_BYTES + 1 + 25..end),
        }),
        VOTE => Record::Vote(Vote {
            term: number(body, 0)?,
            leader: number(body, 8)?,
            committed: *body.get(16)? != 0,
        }),
        TRUNCATE => Record::Truncate {
            after: (*body.first()? != 0).then_some(number(body, 1)?),
        },
        PURGE => Record::Purge(position(body)?),
        COMMITTED => Record::Committed(position(body)?),
        _ => return None,
    };
    Some((record, end))
}

/// The id of the segment that `bytes` begin, if the header is whole.
pub(super) fn decode_header(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..HEADER_BYTES)?;
    let (body, crc) = header.split_at(16);
    (&body[..8] == MAGIC && crc == crc32fast::hash(body).to_le_bytes()).then(|| number(body, 8))?
}

/// The highest synced mark of any batch record found anywhere in `bytes`, aligned with records or not.
pub(super) fn highest_synced_mark(segment_id: u64, bytes: &Bytes) -> Option<u64> {
    let whole = FRAME_BYTES + BATCH_LENGTH as usize;
    let prefix = BATCH_LENGTH.to_le_bytes();
    (0..bytes.len().saturating_sub(whole - 1))
        .filter(|at| bytes[*at..].starts_with(&prefix) && bytes[at + FRAME_BYTES] == BATCH)
        .filter_map(|at| match decode(segment_id, &bytes.slice(at..at + whole)) {
            Some((Record::Batch { synced_to }, _)) => Some(synced_to),
            _ => None,
        })
        .max()
}

fn checksum(segment_id: u64, length: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment_id.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

fn put_position(buffer: &mut Vec<u8>, position: Position) {
    for number in [position.term, position.leader, position.index] {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
}

fn position(body: &[u8]) -> Option<Position> {
    Some(Position {
        term: number(body, 0)?,
        leader: number(body, 8)?,
        index: number(body, 16)?,
    })
}

fn number(body: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_went(term: u64, leader: u64, index: u64, tag: u8, payload: Vec<u8>, segment_id: u64) {
            let entry = LogEntry { position: Position { term, leader, index }, tag, payload: payload.into() };
            let mut buffer = Vec::new();
            Encoder { segment_id, buffer: &mut buffer }.entry(&entry);
            let bytes = Bytes::from(buffer);
            prop_assert_eq!(decode(segment_id, &bytes), Some((Record::Entry(entry), bytes.len())));
            prop_assert_eq!(decode(segment_id ^ 1, &bytes), None);
        }

        #[test]
        fn no_bytes_bring_the_decoder_down(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = decode(1, &bytes);
            let _ = decode_header(&bytes);
            let _ = highest_synced_mark(1, &bytes);
        }
    }
}
