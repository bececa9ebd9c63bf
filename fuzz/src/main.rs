//! libFuzzer over the target that `--target=NAME` names; `--list` says what there is. `cargo xtask fuzz` builds it with the
//! coverage that libFuzzer needs and runs it; a failure is repeated by `cargo xtask fuzz NAME FILE`.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls functions by their C names")]
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use muster_fuzz::{TARGETS, Target};
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::args().find_map(|argument| argument.strip_prefix("--target=").map(str::to_owned));
    let found = name.as_deref().and_then(Target::named);
    found.unwrap_or_else(|| panic!("no target {name:?}; give one by --target=NAME"))
});

/// A target a line: its name, the longest input, what it feeds.
fn list() {
    for target in TARGETS {
        println!("{}\t{}\t{}", target.name, target.input_bytes_max, target.about);
    }
    std::process::exit(0);
}

libfuzzer_sys::fuzz_target!(
    init: if std::env::args().any(|argument| argument == "--list") { list() },
    |input: &[u8]| TARGET.run(input)
);
