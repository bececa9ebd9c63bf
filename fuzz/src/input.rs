//! How targets take their input apart.

use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

/// What stands before the first `mark`, and what behind it.
pub(crate) fn split(input: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == mark) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[]),
    }
}

/// The first byte, 0 if there is none, and the others.
pub(crate) fn first(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest))
}

/// Pieces with two bytes of length in front, little-endian; the last may be cut short.
pub(crate) fn pieces(mut input: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        pieces.push(&rest[..length]);
        input = &rest[length..];
    }
    pieces
}

/// The other way round, for seeds.
pub(crate) fn joined(pieces: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut joined = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        let length = u16::try_from(piece.len()).expect("a seed is short");
        joined.extend_from_slice(&length.to_le_bytes());
        joined.extend_from_slice(piece);
    }
    joined
}

/// A folder of this process for what is read from files only. `cargo xtask fuzz` has it lie in memory and removes it.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder can be made"));
    FOLDER.path()
}

/// Lets a future end on a runtime of its own whose time runs as fast as it can; what it has spawned ends with it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be made");
    runtime.block_on(future)
}
