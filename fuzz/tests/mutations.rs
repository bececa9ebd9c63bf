//! For a moment each target gets the inputs that it begins with and those that were kept, changed a little at random. What this
//! finds without the counters that guide libFuzzer, and after how long, is in `README.md`.
//!
//! The choice is the same each time, so that nobody's change fails for what it has not touched. `FUZZ_SEED` makes another one,
//! `FUZZ_SECONDS_EACH` has it go on longer.

use muster_fuzz::mutations::{Noise, mutated};
use muster_fuzz::{TARGETS, Target};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All targets together stay below a minute.
const SECONDS_EACH: u64 = 2;
const SEED: u64 = 1;

#[allow(clippy::disallowed_methods, reason = "what a test is asked to do")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

fn findings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz/findings")
}

/// Where the input was put that broke a promise, if one did, and how many were tried.
#[allow(
    clippy::disallowed_methods,
    reason = "a test that goes on for a while looks at the clock"
)]
fn run(target: &Target, seed: u64, time: Duration) -> (u64, Option<PathBuf>) {
    let inputs = target.inputs().expect("the corpus can be read");
    let (begun, mut noise, mut tried) = (Instant::now(), Noise::new(seed), 0);
    while begun.elapsed() < time {
        let input = mutated(&inputs, target.input_bytes_max, &mut noise);
        tried += 1;
        if catch_unwind(AssertUnwindSafe(|| target.run(&input))).is_err() {
            fs::create_dir_all(findings()).expect("target/ can be written to");
            let path = findings().join(format!("{}-mutated-{seed}-{tried}", target.name));
            fs::write(&path, input).expect("target/ can be written to");
            return (tried, Some(path));
        }
    }
    (tried, None)
}

// One test in a program of its own, for the memory is counted over the whole process.
#[test]
#[allow(clippy::print_stdout, reason = "how many inputs were tried")]
fn every_target_keeps_its_promises_beside_its_corpus() {
    let seed = number("FUZZ_SEED").unwrap_or(SEED);
    let time = Duration::from_secs(number("FUZZ_SECONDS_EACH").unwrap_or(SECONDS_EACH));
    let mut broken = Vec::new();
    for target in TARGETS {
        let (tried, found) = run(target, seed, time);
        println!("{:16} {tried:>8} inputs of seed {seed}", target.name);
        broken.extend(found.map(|path| format!("cargo xtask fuzz {} {}", target.name, path.display())));
    }
    assert!(
        broken.is_empty(),
        "promises broken; repeat all: FUZZ_SEED={seed} cargo test -p muster-fuzz --test mutations; repeat one: {broken:#?}"
    );
}
