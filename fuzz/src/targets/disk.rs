//! Files of a node, as they are found when it starts.

use crate::input::{block_on, first, folder, pieces};
use crate::targets::node::WALL_MS;
use arbitrary::{Result, Unstructured};
use muster_ephemeral::fuzzing::Member;
use muster_storage::testing::FaultyDisk;
use muster_storage::{
    Disk, Identity, LogConfig, LogEntry, LogError, LogState, Position, RaftLog, Reading, SnapshotFile, Snapshots, Vote,
};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

const FOLDER: &str = "/log";

fn open(disk: &FaultyDisk) -> std::result::Result<RaftLog, LogError> {
    let config = LogConfig::new(FOLDER.into());
    RaftLog::open(config, Arc::new(disk.mount()), Box::new(|_| {}))
}

/// Waits until it is on the disk.
fn synced(call: impl FnOnce(muster_storage::Done) -> io::Result<()>) -> io::Result<()> {
    let (told, hears) = mpsc::channel();
    call(Box::new(move |result| drop(told.send(result))))?;
    hears.recv().expect("done is always called")
}

fn entries(log: &RaftLog) -> Vec<LogEntry> {
    match log.read(0..u64::MAX, usize::MAX) {
        Reading::Ready(entries) => entries,
        Reading::OnDisk(reading) => reading.run().expect("what the log knows of can be read"),
    }
}

fn entry(index: u64, payload: &[u8]) -> LogEntry {
    LogEntry {
        position: Position {
            term: 1,
            leader: 1,
            index,
        },
        tag: 1,
        payload: payload.to_vec().into(),
    }
}

/// What was synced, what was written last, how much of that reached the disk, and what stands behind it instead.
pub(crate) fn log_tail(input: &[u8]) {
    let (counts, input) = first(input);
    let (kept, tail) = first(input);
    let (before, after) = (u64::from(counts >> 4), u64::from(counts & 15));
    let payload = tail.get(..8).unwrap_or(tail);
    let disk = FaultyDisk::new(1);
    let log = open(&disk).expect("an empty folder");
    let vote = Vote {
        term: 1,
        leader: 1,
        committed: true,
    };
    synced(|done| log.save_vote(vote, done)).expect("a disk that works");
    let first: Vec<_> = (0..before).map(|index| entry(index, payload)).collect();
    synced(|done| log.append(first.clone(), done)).expect("a disk that works");
    let path = files(&disk).pop().expect("the log has a segment");
    let was_synced = disk.read(&path).len();
    let last: Vec<_> = (before..before + after).map(|index| entry(index, payload)).collect();
    synced(|done| log.append(last.clone(), done)).expect("a disk that works");
    drop(log);
    let written = disk.read(&path).len();
    let kept = was_synced + (written - was_synced).min(kept.into());
    disk.edit(&path, |bytes| {
        bytes.truncate(kept);
        bytes.extend_from_slice(tail);
    });

    let log = open(&disk).expect("a torn tail is no damage");
    let all: Vec<_> = first.into_iter().chain(last).collect();
    let found = entries(&log);
    assert!(
        found.len() as u64 >= before,
        "{} of {before} entries that were synced",
        found.len()
    );
    assert_eq!(found, all[..found.len()], "a prefix of what was written");
    assert_eq!(log.state().vote, Some(vote));
    goes_on(&disk, log);
}

/// The log takes the next entry, and holds after another start what it held before.
fn goes_on(disk: &FaultyDisk, log: RaftLog) {
    let state = log.state();
    let mut expected = entries(&log);
    let next = state.last.map_or(Some(0), |last| last.index.checked_add(1));
    if let Some(next) = next {
        let appended = entry(next, b"next");
        let taken = synced(|done| log.append(vec![appended.clone()], done));
        // Behind the last number there is could be no other, and the start refuses it.
        assert_eq!(taken.is_ok(), next < u64::MAX, "{taken:?}");
        expected.extend(taken.is_ok().then_some(appended));
    }
    drop(log);
    let log = open(disk).expect("what was written by this version is read by it");
    assert_eq!(entries(&log), expected);
    let LogState { purged, vote, .. } = log.state();
    assert_eq!((purged, vote), (state.purged, state.vote));
}

fn files(disk: &FaultyDisk) -> Vec<PathBuf> {
    let names = disk.list(Path::new(FOLDER)).expect("a disk that works");
    names.iter().map(|name| Path::new(FOLDER).join(name)).collect()
}

/// Segments as pieces: behind a zero byte one that is made of records, else one that is as it comes.
pub(crate) fn log_records(input: &[u8]) {
    let disk = FaultyDisk::new(1);
    for (number, piece) in (1..=3_u64).zip(pieces(input)) {
        let (raw, rest) = first(piece);
        let segment = if raw == 0 {
            segment(number, rest)
        } else {
            piece.to_vec()
        };
        put(&disk, &Path::new(FOLDER).join(format!("{number:020}.log")), &segment);
    }
    match open(&disk) {
        Ok(log) => {
            let entries = entries(&log);
            assert!(
                entries
                    .windows(2)
                    .all(|two| two[0].position.index + 1 == two[1].position.index),
                "without holes"
            );
            goes_on(&disk, log);
        }
        Err(LogError::Damaged { .. }) => {}
        Err(LogError::Io(error)) => panic!("the disk works: {error}"),
    }
}

fn put(disk: &FaultyDisk, path: &Path, bytes: &[u8]) {
    let file = disk.create(path).expect("a disk that works");
    file.write_at(0, bytes)
        .and_then(|()| file.sync())
        .expect("a disk that works");
    let folder = path.parent().expect("a file lies in a folder");
    disk.sync_folder(folder).expect("a disk that works");
}

fn segment(id: u64, description: &[u8]) -> Vec<u8> {
    let mut segment = b"MUSTLOG1".to_vec();
    segment.extend_from_slice(&id.to_le_bytes());
    segment.extend_from_slice(&crc32fast::hash(&segment).to_le_bytes());
    let mut input = Unstructured::new(description);
    while !input.is_empty() {
        let Ok((kind, body)) = record(&mut input) else { break };
        let length = (body.len() as u32 + 1).to_le_bytes();
        let mut crc = crc32fast::Hasher::new();
        for part in [&id.to_le_bytes()[..], &length, &[kind], &body] {
            crc.update(part);
        }
        segment.extend_from_slice(&length);
        segment.extend_from_slice(&crc.finalize().to_le_bytes());
        segment.push(kind);
        segment.extend_from_slice(&body);
    }
    segment
}

/// Kind and body of a record; numbers are small or at the end of what there is.
fn record(input: &mut Unstructured<'_>) -> Result<(u8, Vec<u8>)> {
    let kind = input.arbitrary::<u8>()? % 8;
    let mut body = Vec::new();
    let mut number = |input: &mut Unstructured<'_>| -> Result<()> {
        let small: u8 = input.arbitrary()?;
        let number = if small < 0xf0 {
            small.into()
        } else {
            u64::MAX - u64::from(0xff - small)
        };
        body.extend_from_slice(&number.to_le_bytes());
        Ok(())
    };
    // A batch, an entry, a vote, a truncation, a purge, a commit: `storage::log::record`.
    let numbers = [0, 1, 3, 2, 1, 3, 3, 0][usize::from(kind)];
    (0..numbers).try_for_each(|_| number(input))?;
    match kind {
        2 => body.extend_from_slice(input.arbitrary()?),
        3 => body.push(input.arbitrary()?),
        4 => body.insert(0, input.arbitrary()?),
        0 | 7 => body.extend_from_slice(input.arbitrary()?),
        _ => {}
    }
    Ok((kind, body))
}

/// A file as it comes, or behind a zero byte one that is made whole: a head, a note, a body, and lengths that may be wrong.
pub(crate) fn snapshot_file(input: &[u8]) {
    let (raw, rest) = first(input);
    let whole = (raw == 0).then(|| whole_snapshot(rest));
    let bytes = whole.as_deref().unwrap_or(input);
    let disk = FaultyDisk::new(1);
    let found = folder_of_snapshots(&disk);
    put(&disk, Path::new("/found/1.snap"), bytes);
    // Found on disk.
    let on_disk = Snapshots::open(Arc::new(disk.mount()), found)
        .expect("a disk that works")
        .newest();
    // Sent by a member in pieces.
    let store = Arc::new(Snapshots::open(Arc::new(disk.mount()), "/sent".into()).expect("a disk that works"));
    let mut receiver = store.receive().expect("a disk that works");
    bytes
        .chunks(100)
        .for_each(|piece| receiver.push(piece).expect("a disk that works"));
    match (receiver.finish(), on_disk) {
        (Ok(sent), Some(found)) => {
            assert_eq!((&sent.meta, body(&sent)), (&found.meta, body(&found)));
            assert_eq!(store.newest().map(|newest| newest.meta), Some(sent.meta));
        }
        (Err(error), None) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert!(store.newest().is_none());
            let left = disk.list(Path::new("/sent")).expect("a disk that works");
            assert_eq!(left, [""; 0], "nothing is left of what was refused");
        }
        (sent, found) => panic!("sent: {sent:?}, found: {found:?}"),
    }
}

fn folder_of_snapshots(disk: &FaultyDisk) -> PathBuf {
    let folder = PathBuf::from("/found");
    disk.create_folder(&folder).expect("a disk that works");
    folder
}

fn body(file: &SnapshotFile) -> Vec<u8> {
    let mut body = Vec::new();
    file.reader().read_to_end(&mut body).expect("it was verified");
    body
}

/// Lengths are told as they are, but for what the first two bytes add to them.
fn whole_snapshot(description: &[u8]) -> Vec<u8> {
    let (more_note, rest) = first(description);
    let (more_body, rest) = first(rest);
    let (note, rest) = first(rest);
    let (note, body) = rest.split_at(usize::from(note).min(rest.len()));
    let mut file = b"MUSTSNP1\x01".to_vec();
    [1, 2, body.len() as u64]
        .iter()
        .for_each(|number: &u64| file.extend_from_slice(&number.to_le_bytes()));
    let note_bytes = (note.len() as u32).wrapping_sub(more_note.into());
    file.extend_from_slice(&note_bytes.to_le_bytes());
    file.extend_from_slice(note);
    file.extend_from_slice(body);
    let body_bytes = (body.len() as u64).wrapping_sub(more_body.into());
    file.extend_from_slice(&body_bytes.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    file.extend_from_slice(b"END1");
    file
}

/// The file as it comes, and with the checksum that it should have.
pub(crate) fn identity(input: &[u8]) {
    let mut mended = input.to_vec();
    if let Some(end) = mended.len().checked_sub(4) {
        let crc = crc32fast::hash(&mended[..end]);
        mended[end..].copy_from_slice(&crc.to_le_bytes());
    }
    for bytes in [input, &mended] {
        let disk = FaultyDisk::new(1);
        let folder = Path::new("/node");
        put(&disk, &folder.join("identity"), bytes);
        if let Ok(found) = Identity::load(&disk, folder) {
            let found = found.expect("the file is there");
            found
                .store(&disk.copy(), Path::new("/other"))
                .expect("a disk that works");
            let claimed = Identity::claim(&disk, folder, found.member, Some(found), false);
            assert_eq!(claimed.expect("it is this member's"), found);
            assert!(Identity::claim(&disk, folder, found.member ^ 1, Some(found), false).is_err());
        }
    }
}

/// A file as it comes, or behind a zero byte batches as pieces, made into a whole file.
pub(crate) fn warm_copy(input: &[u8]) {
    let (raw, rest) = first(input);
    let whole = (raw == 0).then(|| warm_file(&pieces(rest)));
    let path = folder().join("found.warm");
    std::fs::write(&path, whole.as_deref().unwrap_or(input)).expect("the folder can be written to");
    block_on(async {
        let (one, two) = (Member::new(WALL_MS), Member::new(WALL_MS));
        let before = one.reading();
        match one.read_warm(&path) {
            Err(_) => assert_eq!(one.reading(), before, "believed as a whole or not at all"),
            Ok(()) => {
                assert!(one.clock_goes_on());
                let written = one.write_warm(folder()).expect("the folder can be written to");
                two.read_warm(&written).expect("what this version wrote it believes");
                assert_eq!(one.reading(), two.reading());
            }
        }
    });
}

fn warm_file(batches: &[&[u8]]) -> Vec<u8> {
    let mut file = b"MUSTERW1".to_vec();
    for batch in batches {
        file.extend_from_slice(&(batch.len() as u32).to_le_bytes());
        file.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(batch).to_le_bytes());
        file.extend_from_slice(batch);
    }
    file.extend_from_slice(&0_u32.to_le_bytes());
    file.extend_from_slice(&(batches.len() as u64).to_le_bytes());
    file
}
