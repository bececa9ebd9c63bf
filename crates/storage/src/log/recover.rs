//! From segments back to a table.

use super::record::{self, HEADER_BYTES, Record};
use super::table::{Place, Segment, Table};
use super::{LogEntry, LogError, segment_name};
use crate::disk::Disk;
use bytes::Bytes;
use std::path::{Path, PathBuf};

/// Header and head of a segment are one write and shorter than this; nothing follows before they are synced.
const HEAD_BYTES_MAX: u64 = 512;

/// Reads all segments in `folder` into a table. Cuts the torn tail off the last one; answers the number that the next
/// segment gets.
pub(super) fn recover(disk: &dyn Disk, folder: &Path, cache_bytes_max: usize) -> Result<(Table, u64), LogError> {
    let mut numbers = segment_numbers(disk, folder)?;
    if let Some(last) = numbers.last().copied()
        && drop_if_unborn(disk, &folder.join(segment_name(last)))?
    {
        numbers.pop();
    }
    if let Some(gap) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return Err(damaged(folder.join(segment_name(gap[0] + 1)), 0, "the file is missing"));
    }
    let mut table = Table::new(cache_bytes_max);
    for number in &numbers {
        let is_last = Some(number) == numbers.last();
        replay(disk, folder.join(segment_name(*number)), *number, is_last, &mut table)?;
    }
    check(folder, &mut table)?;
    Ok((table, numbers.last().map_or(1, |last| last + 1)))
}

pub(super) fn segment_numbers(disk: &dyn Disk, folder: &Path) -> std::io::Result<Vec<u64>> {
    let names = disk.list(folder)?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A crash while a segment was made leaves a file without a whole header; nothing was ever promised in it.
fn drop_if_unborn(disk: &dyn Disk, path: &Path) -> Result<bool, LogError> {
    let file = disk.open(path)?;
    let length = file.length()?;
    let mut header = [0; HEADER_BYTES];
    if length >= HEADER_BYTES as u64 {
        file.read_at(0, &mut header)?;
    }
    if record::decode_header(&header).is_some() {
        return Ok(false);
    }
    if length > HEAD_BYTES_MAX {
        return Err(damaged(path.to_owned(), 0, "the header is damaged"));
    }
    disk.remove(path)?;
    Ok(true)
}

fn replay(disk: &dyn Disk, path: PathBuf, number: u64, is_last: bool, table: &mut Table) -> Result<(), LogError> {
    let file = disk.open(&path)?;
    let mut bytes = vec![0; file.length()? as usize];
    file.read_at(0, &mut bytes)?;
    let bytes = Bytes::from(bytes);
    let Some(id) = record::decode_header(&bytes) else {
        return Err(damaged(path, 0, "the header is damaged"));
    };
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let Some((found, length)) = record::decode(id, &bytes.slice(at..)) else {
            break;
        };
        let place = Place {
            segment: number,
            offset: at as u64,
            length: length as u32,
        };
        apply(found, place, table).map_err(|reason| damaged(path.clone(), at as u64, reason))?;
        at += length;
    }
    if at < bytes.len() {
        if !is_last {
            return Err(damaged(path, at as u64, "a record is damaged and later segments exist"));
        }
        if record::highest_synced_mark(id, &bytes.slice(at..)).is_some_and(|mark| mark > at as u64) {
            return Err(damaged(
                path,
                at as u64,
                "a record is damaged that was synced before later ones",
            ));
        }
        tracing::warn!(segment = %path.display(), offset = at, bytes = bytes.len() - at, "torn tail cut off");
        file.set_length(at as u64)?;
    }
    // After a crash of the process alone these bytes may be in the kernel's memory only; from here on they count as kept.
    file.sync()?;
    table.segments.insert(number, Segment { id, path, file });
    Ok(())
}

fn apply(found: Record, place: Place, table: &mut Table) -> Result<(), &'static str> {
    if let Record::Entry(LogEntry { position, .. }) | Record::Purge(position) = &found
        && position.index == u64::MAX
    {
        return Err("no entry could follow this one");
    }
    match found {
        Record::Batch { .. } => {}
        Record::Entry(entry) => {
            if table.next_index().is_some_and(|next| next != entry.position.index) {
                return Err("an entry does not follow the one before it");
            }
            table.push(&entry, Some(place), false);
        }
        Record::Vote(vote) => table.vote = Some(vote),
        Record::Truncate { after } => table.truncate_after(after),
        Record::Purge(upto) => table.purge(upto),
        Record::Committed(upto) => table.committed = Some(upto),
    }
    Ok(())
}

/// What holds for the whole log.
fn check(folder: &Path, table: &mut Table) -> Result<(), LogError> {
    let expected = table.purged.map_or(0, |purged| purged.index + 1);
    if let Some(first) = table.first_index()
        && first != expected
    {
        let reason = format!("the log begins at entry {first}, expected {expected}: older files are missing");
        return Err(LogError::Damaged {
            path: folder.to_owned(),
            offset: 0,
            reason,
        });
    }
    // The mark is not synced and may name an entry that was torn off.
    let last = table.state().last;
    table.committed = table.committed.min(last);
    Ok(())
}

fn damaged(path: PathBuf, offset: u64, reason: &str) -> LogError {
    LogError::Damaged {
        path,
        offset,
        reason: reason.to_owned(),
    }
}
