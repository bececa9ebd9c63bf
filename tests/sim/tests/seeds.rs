//! A handful of seeds, and that a seed repeats. Each in a process of its own, as in bulk.

use std::process::Command;

/// What a run says in the end; it must have kept every promise.
fn run(seed: u64, world: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_muster-sim"))
        .args(["--short", "--world", world, "--seed", &seed.to_string()])
        .output()
        .expect("the simulation starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\nagain: cargo run -p muster-sim -- --short --world {world} --seed {seed} --trace"
    );
    text
}

/// The hash over everything that happened.
fn hash(text: &str) -> &str {
    let mut words = text.split_whitespace();
    words.find(|word| *word == "hash").expect("a hash is told");
    words.next().expect("a hash is told")
}

#[test]
fn a_seed_repeats_everything_that_happens_and_another_seed_does_not() {
    let (first, again, other) = (run(3, "crash"), run(3, "crash"), run(4, "crash"));
    assert_eq!(hash(&first), hash(&again));
    assert_ne!(hash(&first), hash(&other));
    assert_eq!(hash(&run(5, "cuts")), hash(&run(5, "cuts")));
}

#[test]
fn no_promise_is_broken_in_one_short_seed_of_each_mix_of_faults() {
    for world in ["calm", "cuts", "pauses", "members", "disk"] {
        run(1, world);
    }
}
