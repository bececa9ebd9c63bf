//! A handful of seeds, and that a seed repeats. Each in a process of its own, as in bulk.

use std::process::Command;

/// What a run says in the end; it must have kept every promise.
fn run(seed: u64, world: &str, length: &[&str]) -> String {
    let seed = seed.to_string();
    let given = [&["--world", world, "--seed", &seed], length].concat();
    let output = Command::new(env!("CARGO_BIN_EXE_muster-sim"))
        .args(&given)
        .output()
        .expect("the simulation starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\nagain: cargo run -p muster-sim -- {} --trace",
        given.join(" ")
    );
    text
}

const SHORT: &[&str] = &["--short"];
const FULL: &[&str] = &[];

/// The hash over everything that happened.
fn hash(text: &str) -> &str {
    let mut words = text.split_whitespace();
    words.find(|word| *word == "hash").expect("a hash is told");
    words.next().expect("a hash is told")
}

#[test]
fn a_seed_repeats_everything_that_happens_and_another_seed_does_not() {
    let (first, again, other) = (run(3, "crash", SHORT), run(3, "crash", SHORT), run(4, "crash", SHORT));
    assert_eq!(hash(&first), hash(&again));
    assert_ne!(hash(&first), hash(&other));
    assert_eq!(hash(&run(5, "cuts", SHORT)), hash(&run(5, "cuts", SHORT)));
}

// Full seeds, in worlds that between them have every fault; a test each, so that they run side by side.

#[test]
fn no_promise_is_broken_when_members_come_and_go() {
    run(1, "members", FULL);
}

#[test]
fn no_promise_is_broken_when_disks_fail_and_power_goes() {
    run(1, "disk", FULL);
}

#[test]
fn no_promise_is_broken_in_cuts_and_splits() {
    run(1, "cuts", FULL);
}

#[test]
fn no_promise_is_broken_when_everything_fails_at_once() {
    run(1, "storm", FULL);
}
