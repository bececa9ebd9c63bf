//! Does to files what its arguments say, step by step, and dies as by `kill -9`; for the tests of the shim.
//!
//! Prints `STEP: error` for a step that fails and goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::process::Command;

fn main() {
    for step in std::env::args().skip(1) {
        if let Err(error) = play(&step) {
            let _ = writeln!(io::stdout(), "{step}: {error}");
        }
    }
    let me = std::process::id().to_string();
    let _ = Command::new("kill").args(["-9", &me]).status();
}

fn play(step: &str) -> io::Result<()> {
    let words: Vec<_> = step.split(' ').collect();
    match words[..] {
        ["create", path] => File::create_new(path).map(drop),
        ["write", path, at, bytes] => write_at(path, number(at)?, bytes.as_bytes()),
        // so many times the same letter
        ["fill", path, at, letter, times] => {
            write_at(path, number(at)?, letter.repeat(number(times)? as usize).as_bytes())
        }
        ["append", path, bytes] => OpenOptions::new().append(true).open(path)?.write_all(bytes.as_bytes()),
        ["empty", path] => File::create(path).map(drop),
        ["length", path, length] => OpenOptions::new().write(true).open(path)?.set_len(number(length)?),
        ["sync", path] => File::open(path)?.sync_data(),
        ["mkdir", path] => fs::create_dir(path),
        ["rename", from, to] => fs::rename(from, to),
        ["copy", from, to] => fs::copy(from, to).map(drop),
        ["remove", path] => fs::remove_file(path),
        ["remove-all", path] => fs::remove_dir_all(path),
        ["read", path] => io::stdout()
            .write_all(&fs::read(path)?)
            .and_then(|()| io::stdout().flush()),
        _ => Err(io::Error::other("no such step")),
    }
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(io::Error::other)
}

fn write_at(path: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all_at(bytes, at)
}
