//! Everything that a node reads from outside, as functions of bytes that panic when a promise is broken.
//!
//! A target is run three ways: by libFuzzer (`cargo xtask fuzz`, the program in `main.rs`), and by ordinary tests over its seeds
//! and its kept inputs (`tests/corpus.rs`) and over changes of those (`tests/mutations.rs`). Beyond "it does not panic" each says
//! what must hold: what was read and written again is read the same; what is refused changes nothing; what was synced is still
//! there. For all of them alike: memory stays within [`Target::memory_bytes_max`].
//!
//! How to run, what was run and what was found: `README.md`.

mod input;
mod memory;
pub mod mutations;
pub mod seeds;
mod targets;

use std::io;
use std::path::{Path, PathBuf};

/// One thing that is fed with bytes.
pub struct Target {
    pub name: &'static str,
    /// What it feeds.
    pub about: &'static str,
    run: fn(&[u8]),
    /// Longer inputs find nothing more.
    pub input_bytes_max: usize,
    /// What a run may allocate at once, whatever its input, and for each byte of it.
    pub memory_bytes: usize,
    pub memory_bytes_per_byte: usize,
}

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

macro_rules! targets {
    ($($name:ident: $module:ident, $input:expr, $memory:expr, $per_byte:expr, $about:literal;)+) => {
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            about: $about,
            run: targets::$module::$name,
            input_bytes_max: $input,
            memory_bytes: $memory,
            memory_bytes_per_byte: $per_byte,
        },)+];
    };
}

// The factors are what a byte becomes at worst, doubled: `a&` of a form is a pair of 48 bytes, two bytes of a batch of copies
// are a record of 250.
targets! {
    form: forms, 4 * KIB, MIB, 256, "queries and bodies of every call: instances, beats, names, metadata, every kind of parameter";
    http: http, 4 * KIB, 8 * MIB, 2 * KIB, "calls of v1, v2, v3 and our own, whole, on one node after the other";
    grpc_frames: grpc, 4 * KIB, MIB, 256, "messages out of bodies that arrive in pieces";
    grpc_payload: grpc, 4 * KIB, MIB, 256, "payloads, setups, acks, and every request by its JSON";
    grpc_calls: grpc, 4 * KIB, 8 * MIB, 2 * KIB, "a connection's setup, calls and acks, one after the other";
    list: lists, KIB, MIB, 2 * KIB, "lists as clients are given them, of any service under any filter";
    udp: udp, 2 * KIB, 2 * MIB, 64, "acks, agents, and the datagrams that are sent";
    raft_messages: peers, 4 * KIB, MIB, 256, "what members of the Raft group say, forwarded packs and the log's entries";
    copies: peers, 4 * KIB, 16 * MIB, KIB, "what members of the AP store say: batches, digests, beats seen, chunks";
    ping: peers, KIB, MIB, 64, "pings between members";
    merge: stores, KIB, 32 * MIB, 0, "writes of several members in any order, any number of times";
    push: stores, KIB, 8 * MIB, KIB, "what happens to subscribers, and a network that loses, doubles and reorders";
    commands: state, 4 * KIB, 16 * MIB, KIB, "commands on the log, and the state that they make";
    state_stream: state, 4 * KIB, 16 * MIB, KIB, "snapshots of the replicated state";
    checkpoint: state, 4 * KIB, 8 * MIB, KIB, "records and seal of a checkpoint";
    log_tail: disk, KIB, 8 * MIB, KIB, "a log whose last write was torn and filled with anything";
    log_records: disk, 2 * KIB, 8 * MIB, KIB, "segments of well-formed records that make no sense, and of anything";
    snapshot_file: disk, 2 * KIB, 8 * MIB, 64, "snapshot files, found on disk or sent by a member";
    identity: disk, 64, 64 * KIB, 64, "the file that says whose folder it is";
    warm_copy: disk, 4 * KIB, 64 * MIB, KIB, "the file for the restart of the whole cluster";
    settings: settings, 4 * KIB, 8 * MIB, KIB, "the settings file and the environment";
}

impl Target {
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Where the repository keeps what was worth it.
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// Its seeds, and what is kept in its corpus.
    ///
    /// # Errors
    /// The corpus cannot be read.
    pub fn inputs(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut inputs = seeds::of(self.name);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(self.corpus())? {
            paths.push(entry?.path());
        }
        // A seed of the mutations means the same inputs everywhere.
        paths.sort();
        for path in paths {
            inputs.push(std::fs::read(path)?);
        }
        Ok(inputs)
    }

    /// # Panics
    /// A promise is broken.
    pub fn run(&self, input: &[u8]) {
        if input.len() > self.input_bytes_max {
            return;
        }
        let peak = memory::peak_of(|| (self.run)(input));
        let allowed = self.memory_bytes + self.memory_bytes_per_byte * input.len();
        assert!(
            peak <= allowed,
            "{} bytes of input took {peak} bytes of memory, allowed are {allowed}",
            input.len()
        );
    }
}
