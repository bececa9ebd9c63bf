//! What was counted.

use crate::clients::Counts;
use crate::plan::Kind;
use muster_power::Loss;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a node logs when it had something to mend, and how it is counted.
const MENDED: [(&str, &str); 6] = [
    ("torn tail cut off", "torn tails of the log"),
    ("checkpoint is damaged", "checkpoints put aside"),
    ("a snapshot is damaged", "snapshots passed over"),
    ("the warm copy is ignored", "warm copies ignored"),
    ("the raft log cannot be written", "logs that failed"),
    ("the data folder was empty", "folders lost"),
];

#[derive(Default)]
pub(crate) struct Tally {
    rounds: BTreeMap<Kind, u64>,
    verbose: bool,
    lives: u64,
    losses: u64,
    left: Loss,
    checked: u64,
    open: u64,
    mended: BTreeMap<&'static str, u64>,
    snapshots: u64,
    snapshot_index: u64,
    took: BTreeMap<&'static str, Duration>,
    counts: Arc<Counts>,
}

impl Tally {
    /// `verbose`: prints the lines that nodes log when they mend something.
    pub(crate) fn new(verbose: bool) -> Self {
        Self {
            verbose,
            ..Self::default()
        }
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.values().sum()
    }

    pub(crate) fn round(&mut self, kind: Kind) {
        *self.rounds.entry(kind).or_default() += 1;
    }

    pub(crate) fn life(&mut self) {
        self.lives += 1;
    }

    /// So many nodes lost power.
    pub(crate) fn lost(&mut self, nodes: usize, loss: Loss) {
        self.losses += nodes as u64;
        self.left += loss;
    }

    /// An instance was held against what may be found.
    pub(crate) fn checked(&mut self, open: bool) {
        self.checked += 1;
        self.open += u64::from(open);
    }

    pub(crate) fn logged(&mut self, line: &str) {
        for (text, name) in MENDED {
            if line.contains(text) {
                if self.verbose {
                    println!("{line}");
                }
                *self.mended.entry(name).or_default() += 1;
            }
        }
    }

    /// A leader's last snapshot; another index is another snapshot.
    pub(crate) fn snapshot(&mut self, index: u64) {
        self.snapshots += u64::from(self.snapshot_index != index);
        self.snapshot_index = index;
    }

    pub(crate) fn took(&mut self, step: &'static str, time: Duration) {
        *self.took.entry(step).or_default() += time;
    }

    pub(crate) fn of(&mut self, counts: Arc<Counts>) {
        self.counts = counts;
    }

    fn numbers(&self) -> Vec<(String, u64)> {
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let mut numbers = vec![("rounds".to_owned(), self.rounds())];
        numbers.extend(
            self.rounds
                .iter()
                .map(|(kind, rounds)| (format!("rounds of {kind:?}"), *rounds)),
        );
        let Loss {
            files_torn,
            sectors_unsynced,
            sectors_lost,
            names_unsynced,
            names_lost,
        } = self.left;
        let rest = [
            ("fresh clusters", self.lives),
            ("losses of power, by node", self.losses),
            ("files with unsynced bytes", files_torn),
            ("unsynced sectors", sectors_unsynced),
            ("unsynced sectors lost", sectors_lost),
            ("unsynced names", names_unsynced),
            ("unsynced names lost", names_lost),
            ("registrations acknowledged", count(&self.counts.registered)),
            ("edits acknowledged", count(&self.counts.edited)),
            ("deregistrations acknowledged", count(&self.counts.deregistered)),
            ("writes refused", count(&self.counts.refused)),
            ("writes of unknown outcome", count(&self.counts.unknown)),
            ("instances checked on all nodes", self.checked),
            ("of them of unknown outcome", self.open),
            ("rounds that saw another snapshot", self.snapshots),
        ];
        numbers.extend(rest.map(|(name, number)| (name.to_owned(), number)));
        numbers.extend(
            self.took
                .iter()
                .map(|(step, took)| (format!("ms for {step}"), took.as_millis() as u64)),
        );
        numbers.extend(self.mended.iter().map(|(name, number)| ((*name).to_owned(), *number)));
        numbers
    }

    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for (name, number) in self.numbers() {
            let _ = writeln!(table, "{number:>10}  {name}");
        }
        table
    }

    /// The same for a program.
    pub(crate) fn json(&self) -> String {
        let numbers: serde_json::Map<_, _> = self
            .numbers()
            .into_iter()
            .map(|(name, number)| (name, json!(number)))
            .collect();
        json!({ "counted": numbers }).to_string()
    }
}
