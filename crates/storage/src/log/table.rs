//! What the log knows in memory: where every live entry lies, and the newest of them themselves.

use super::record::{self, Record};
use super::{LogEntry, LogState, Position, Vote};
use crate::disk::DiskFile;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

struct Slot {
    position: Position,
    tag: u8,
    payload_bytes: u32,
    /// `None` while it waits for the flusher; then `payload` is there.
    place: Option<Place>,
    payload: Option<Bytes>,
}

#[derive(Clone)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

/// Invariant: slots are consecutive in index, the first is at most one after `purged`.
#[derive(Default)]
pub(super) struct Table {
    slots: VecDeque<Slot>,
    pub(super) purged: Option<Position>,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<Position>,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Purges and truncations since it was opened. While the flusher has written fewer, this table has forgotten entries
    /// that a crash would bring back.
    pub(super) cuts: u64,
    cached_bytes: usize,
    cache_bytes_max: usize,
    /// Entries below this index hold no payload.
    cached_from: u64,
}

impl Table {
    pub(super) fn new(cache_bytes_max: usize) -> Self {
        Self {
            cache_bytes_max,
            ..Self::default()
        }
    }

    pub(super) fn state(&self) -> LogState {
        LogState {
            purged: self.purged,
            last: self.last(),
            vote: self.vote,
            committed: self.committed,
        }
    }

    fn last(&self) -> Option<Position> {
        self.slots.back().map(|slot| slot.position).or(self.purged)
    }

    pub(super) fn first_index(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.position.index)
    }

    /// The index that the next entry must have; `None`: any.
    pub(super) fn next_index(&self) -> Option<u64> {
        self.slots.back().map(|slot| slot.position.index + 1)
    }

    pub(super) fn push(&mut self, entry: &LogEntry, place: Option<Place>, keep_payload: bool) {
        debug_assert!(self.next_index().is_none_or(|next| next == entry.position.index));
        if keep_payload {
            if self.cached_bytes == 0 {
                self.cached_from = entry.position.index;
            }
            self.cached_bytes += cost(entry.payload.len());
        }
        self.slots.push_back(Slot {
            position: entry.position,
            tag: entry.tag,
            payload_bytes: entry.payload.len() as u32,
            place,
            payload: keep_payload.then(|| entry.payload.clone()),
        });
    }

    /// Notes where the flusher put an entry. It may be gone meanwhile.
    pub(super) fn written(&mut self, position: Position, place: Place) {
        if let Some(slot) = self.slot_mut(position.index)
            && slot.position == position
        {
            slot.place = Some(place);
        }
    }

    pub(super) fn truncate_after(&mut self, after: Option<u64>) {
        while let Some(slot) = self.slots.back()
            && after.is_none_or(|after| slot.position.index > after)
        {
            let slot = self.slots.pop_back().expect("just seen");
            self.forget(&slot);
        }
    }

    pub(super) fn purge(&mut self, upto: Position) {
        while let Some(slot) = self.slots.front()
            && slot.position.index <= upto.index
        {
            let slot = self.slots.pop_front().expect("just seen");
            self.forget(&slot);
        }
        self.purged = self.purged.max(Some(upto));
    }

    fn forget(&mut self, slot: &Slot) {
        if slot.payload.is_some() {
            self.cached_bytes -= cost(slot.payload_bytes as usize);
        }
    }

    /// Drops the oldest payloads that are on disk until the cache is within its bound.
    pub(super) fn evict(&mut self) {
        while self.cached_bytes > self.cache_bytes_max {
            let Some(first) = self.first_index() else { return };
            let index = self.cached_from.max(first);
            let Some(slot) = self.slot_mut(index) else { return };
            if slot.place.is_none() {
                return;
            }
            let freed = slot.payload.take().map_or(0, |payload| cost(payload.len()));
            self.cached_bytes -= freed;
            self.cached_from = index + 1;
        }
    }

    /// The oldest segment that holds a live entry; `None`: none of those that are written does.
    pub(super) fn oldest_segment_in_use(&self) -> Option<u64> {
        self.slots.front()?.place.map(|place| place.segment)
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let at = index.checked_sub(self.first_index()?)?;
        self.slots.get_mut(usize::try_from(at).ok()?)
    }

    /// What is needed to read the entries in `range`, at most `bytes_max` of them, at least one.
    pub(super) fn look_up(&self, range: Range<u64>, bytes_max: usize) -> Vec<Piece> {
        let Some(first) = self.first_index() else {
            return Vec::new();
        };
        let skip = range.start.saturating_sub(first) as usize;
        let mut bytes = 0;
        self.slots
            .iter()
            .skip(skip)
            .take_while(|slot| slot.position.index < range.end)
            .take_while(|slot| {
                let fits = bytes == 0 || bytes + slot.payload_bytes as usize <= bytes_max;
                bytes += slot.payload_bytes as usize + 1;
                fits
            })
            .map(|slot| match (&slot.payload, slot.place) {
                (Some(payload), _) => Piece::Here(LogEntry {
                    position: slot.position,
                    tag: slot.tag,
                    payload: payload.clone(),
                }),
                (None, Some(place)) => Piece::There {
                    position: slot.position,
                    place,
                    segment: self.segments[&place.segment].clone(),
                },
                (None, None) => unreachable!("a payload is dropped only once its entry has a place"),
            })
            .collect()
    }

    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }
}

/// A payload with what its slot costs.
fn cost(payload_bytes: usize) -> usize {
    payload_bytes + size_of::<Slot>()
}

pub(super) enum Piece {
    Here(LogEntry),
    There {
        position: Position,
        place: Place,
        segment: Segment,
    },
}

impl Piece {
    pub(super) fn fetch(self) -> io::Result<LogEntry> {
        let (position, place, segment) = match self {
            Piece::Here(entry) => return Ok(entry),
            Piece::There {
                position,
                place,
                segment,
            } => (position, place, segment),
        };
        let mut bytes = vec![0; place.length as usize];
        segment.file.read_at(place.offset, &mut bytes)?;
        match record::decode(segment.id, &Bytes::from(bytes)) {
            Some((Record::Entry(entry), _)) if entry.position == position => Ok(entry),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "entry {} is damaged in {} at byte {}",
                    position.index,
                    segment.path.display(),
                    place.offset
                ),
            )),
        }
    }
}
