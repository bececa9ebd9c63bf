//! The replicated state: commands on the log, snapshots, checkpoints.

use crate::input::{first, pieces};
use bytes::Bytes;
use muster_persistent::fuzzing::{Machine, read_and_write, read_and_write_answer, read_and_write_checkpoint};

/// Commands as pieces.
pub(crate) fn commands(input: &[u8]) {
    let commands: Vec<_> = pieces(input).into_iter().map(Bytes::copy_from_slice).collect();
    let read: Vec<_> = commands.iter().map(|command| read_and_write(command)).collect();
    for once in read.iter().flatten() {
        assert_eq!(read_and_write(once).as_ref(), Ok(once));
    }
    if let Ok(once) = read_and_write_answer(input) {
        assert_eq!(read_and_write_answer(&once), Ok(once));
    }
    let (mut together, mut singly) = (Machine::default(), Machine::default());
    let known = together.apply(&commands);
    assert_eq!(known, read.iter().map(Result::is_ok).collect::<Vec<_>>());
    let mut before = None;
    for (command, known) in commands.into_iter().zip(known) {
        let earlier = before.take().unwrap_or_else(|| singly.snapshot());
        assert_eq!(singly.apply(&[command]), [known]);
        if !known {
            assert_eq!(singly.snapshot(), earlier, "what is not known changes nothing");
            before = Some(earlier);
        }
    }
    let snapshot = together.snapshot();
    assert_eq!(singly.snapshot(), snapshot, "however the log was cut into batches");
    assert!(together.clock_goes_on());
    restores(&snapshot);
    if let Some((records, seal)) = together.checkpoint() {
        let mut sorted = records.clone();
        sorted.sort();
        assert_eq!(read_and_write_checkpoint(records, &seal), Ok((sorted, seal)));
    }
}

/// A snapshot that is believed is the same state to everybody.
fn restores(snapshot: &[u8]) {
    let mut machine = Machine::default();
    let mut source = snapshot;
    machine.restore(&mut source).expect("it was written by this version");
    assert_eq!(machine.snapshot(), snapshot);
    assert!(machine.clock_goes_on());
}

const MAGIC: &[u8] = b"MUSTERPS\x01\0";
const END: u8 = 255;

/// A stream as it comes, or behind a zero byte frames as pieces, each a kind and a payload, put into a whole stream.
pub(crate) fn state_stream(input: &[u8]) {
    let (raw, rest) = first(input);
    let stream = if raw == 0 {
        stream(&pieces(rest))
    } else {
        input.to_vec()
    };
    let mut machine = Machine::default();
    let before = machine.snapshot();
    match machine.restore(&mut stream.as_slice()) {
        Ok(()) => {
            assert!(machine.clock_goes_on());
            restores(&machine.snapshot());
        }
        Err(_) => assert_eq!(machine.snapshot(), before, "what is refused changes nothing"),
    }
}

fn stream(frames: &[&[u8]]) -> Vec<u8> {
    let mut stream = MAGIC.to_vec();
    for frame in frames {
        let (kind, payload) = first(frame);
        put_frame(&mut stream, kind, payload);
    }
    if let Ok(count @ 1..=127) = u8::try_from(frames.len()) {
        put_frame(&mut stream, END, &[8, count]);
    }
    stream
}

fn put_frame(stream: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    let mut checked = vec![kind];
    checked.extend_from_slice(&length);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&checked);
    crc.update(payload);
    stream.extend_from_slice(&checked);
    stream.extend_from_slice(&crc.finalize().to_le_bytes());
    stream.extend_from_slice(payload);
}

/// The seal, then keys and values in turn, as pieces.
pub(crate) fn checkpoint(input: &[u8]) {
    let pieces = pieces(input);
    let Some((seal, records)) = pieces.split_first() else {
        return;
    };
    let records = records.chunks_exact(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec()));
    if let Ok((records, seal)) = read_and_write_checkpoint(records.collect(), seal) {
        let again = read_and_write_checkpoint(records.clone(), &seal);
        assert_eq!(again, Ok((records, seal)));
    }
}
