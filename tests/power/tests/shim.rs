//! A little program writes, syncs and dies; the power goes; what is left is looked at.

use muster_power::{Disk, Faults, Random};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// A disk and the folder that it lies in.
struct Rig {
    disk: Disk,
    folder: tempfile::TempDir,
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path().join("root")).unwrap();
    Rig { disk, folder }
}

impl Rig {
    /// Runs the probe; answers what it printed.
    fn run(&self, steps: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_power-probe"))
            .args(steps)
            .current_dir(self.disk.root())
            .envs(self.disk.environment().unwrap())
            .output()
            .unwrap();
        assert!(!output.status.success(), "it dies");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the probe, which has to do without an error.
    fn well(&self, steps: &[&str]) {
        assert_eq!(self.run(steps), "");
    }

    fn lose(&self, seed: u64) {
        self.disk.lose_power(&mut Random::new(seed)).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.disk.root().join(path)).ok()
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.disk.root()).unwrap();
        entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// What is left of `path` over many losses after the same steps.
fn outcomes(synced: &[&str], then: &[&str], path: &str) -> BTreeSet<Option<String>> {
    let mut outcomes = BTreeSet::new();
    for seed in 0..60 {
        let rig = rig();
        let steps: Vec<_> = synced.iter().chain(then).copied().collect();
        rig.well(&steps);
        rig.lose(seed);
        outcomes.insert(rig.read(path));
    }
    outcomes
}

fn set(texts: &[Option<&str>]) -> BTreeSet<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn what_was_synced_is_there_whatever_is_lost() {
    for seed in 0..30 {
        let rig = rig();
        rig.well(&[
            "create a",
            "write a 0 hello",
            "sync a",
            "write a 5 world",
            "sync a",
            "sync .",
        ]);
        rig.lose(seed);
        assert_eq!(rig.read("a").unwrap(), "helloworld", "seed {seed}");
        assert_eq!(rig.disk.seen().unwrap().syncs, 2);
    }
}

#[test]
fn a_write_that_was_not_synced_is_there_or_not_or_in_part() {
    let left = outcomes(
        &["create a", "write a 0 old", "sync a", "sync ."],
        &["write a 0 new"],
        "a",
    );
    assert!(
        left.is_superset(&set(&[Some("old"), Some("new")])) && left.len() > 2,
        "{left:?}"
    );
    for text in left {
        let text = text.unwrap();
        let new = text
            .bytes()
            .zip("new".bytes())
            .take_while(|(left, new)| left == new)
            .count();
        assert_eq!(
            text,
            format!("{}{}", &"new"[..new], &"old"[new..]),
            "old behind new, and nothing else"
        );
    }
}

#[test]
fn sectors_survive_one_by_one() {
    let (synced, then) = (["create a", "fill a 0 o 2048", "sync a", "sync ."], ["fill a 0 n 2048"]);
    let left = outcomes(&synced, &then, "a");
    let holes = left
        .iter()
        .flatten()
        .filter(|text| text.as_bytes()[0] == b'o' && text.as_bytes()[2047] == b'n');
    assert!(holes.count() > 0, "a later sector without an earlier one");
    for text in left.iter().flatten() {
        assert_eq!(text.len(), 2048);
        assert!(text.bytes().all(|byte| byte == b'o' || byte == b'n'));
    }
}

#[test]
fn a_longer_file_may_be_as_short_as_before_or_end_in_zeros() {
    let written = outcomes(&["create a", "sync a", "sync ."], &["write a 0 x"], "a");
    assert_eq!(written, set(&[Some(""), Some("x"), Some("\0")]));
}

#[test]
fn a_name_is_kept_by_a_sync_of_its_folder_alone() {
    let left = outcomes(&[], &["create a", "write a 0 x", "sync a"], "a");
    assert_eq!(left, set(&[None, Some("x")]));
}

#[test]
fn a_rename_that_was_not_synced_leaves_the_old_or_the_new_file_under_the_name() {
    let synced = [
        "create a",
        "write a 0 old",
        "sync a",
        "create b",
        "write b 0 new",
        "sync b",
        "sync .",
    ];
    assert_eq!(
        outcomes(&synced, &["rename b a"], "a"),
        set(&[Some("old"), Some("new")])
    );
    assert_eq!(outcomes(&synced, &["rename b a"], "b"), set(&[None, Some("new")]));
}

#[test]
fn a_removal_that_was_not_synced_may_not_have_been() {
    let synced = ["create a", "write a 0 x", "sync a", "sync ."];
    assert_eq!(outcomes(&synced, &["remove a"], "a"), set(&[None, Some("x")]));
    assert_eq!(outcomes(&synced, &["remove a", "sync ."], "a"), set(&[None]));
}

#[test]
fn a_rename_without_a_sync_of_the_bytes_may_leave_an_empty_file() {
    let left = outcomes(&["create b", "sync b"], &["write b 0 new", "rename b a", "sync ."], "a");
    assert!(
        left.contains(&Some(String::new())) && left.contains(&Some("new".to_owned())),
        "{left:?}"
    );
}

#[test]
fn a_cut_that_was_not_synced_may_not_have_been() {
    let synced = ["create a", "write a 0 abcdef", "sync a", "sync ."];
    assert_eq!(
        outcomes(&synced, &["length a 3"], "a"),
        set(&[Some("abcdef"), Some("abc")])
    );
    let left = outcomes(&synced, &["length a 3", "length a 6", "sync a"], "a");
    assert_eq!(left, set(&[Some("abc\0\0\0")]), "cut off is gone though it grew again");
    assert_eq!(
        outcomes(&synced, &["empty a", "append a xy", "sync a"], "a"),
        set(&[Some("xy")])
    );
}

#[test]
fn folders_come_and_go_with_all_that_is_in_them() {
    let steps = ["mkdir d", "create d/a", "write d/a 0 x", "sync d/a", "sync d"];
    assert_eq!(outcomes(&steps, &[], "d/a"), set(&[None, Some("x")]));
    assert_eq!(outcomes(&steps, &["sync ."], "d/a"), set(&[Some("x")]));
    let moved = outcomes(&steps, &["sync .", "rename d e", "sync ."], "e/a");
    assert_eq!(moved, set(&[Some("x")]));
    assert_eq!(
        outcomes(&steps, &["sync .", "remove-all d", "sync ."], "d/a"),
        set(&[None])
    );
}

#[test]
fn bytes_that_came_by_a_copy_count_too() {
    let left = outcomes(&["create a", "write a 0 x", "copy a b", "sync b", "sync ."], &[], "b");
    assert_eq!(left, set(&[Some("x")]));
}

#[test]
fn a_kill_alone_loses_nothing_and_a_later_loss_of_power_may_take_it_still() {
    let mut left = BTreeSet::new();
    for seed in 0..40 {
        let rig = rig();
        rig.well(&["create a", "write a 0 x", "sync a", "sync ."]);
        rig.well(&["write a 0 y"]);
        assert_eq!(rig.run(&["read a"]), "y");
        rig.lose(seed);
        left.insert(rig.read("a"));
    }
    assert_eq!(left, set(&[Some("x"), Some("y")]));
    let rig = rig();
    rig.well(&["create a", "write a 0 x"]);
    rig.well(&["sync a", "sync ."]);
    rig.lose(1);
    assert_eq!(rig.read("a").unwrap(), "x", "a later process has synced it");
}

#[test]
fn losses_follow_each_other() {
    let rig = rig();
    for seed in 0..20 {
        let text = format!("write a 0 {seed}");
        rig.run(&["create a", &text, "sync a", "sync .", "create b"]);
        rig.lose(seed);
        assert_eq!(rig.read("a").unwrap()[..seed.to_string().len()], seed.to_string());
        assert!(rig.names().is_subset(&["a", "b"].map(str::to_owned).into()));
    }
}

#[test]
fn a_seed_repeats_a_loss() {
    let left: BTreeSet<_> = (0..5)
        .map(|_| {
            let rig = rig();
            rig.well(&[
                "create a",
                "fill a 0 o 8192",
                "sync a",
                "sync .",
                "fill a 0 n 8192",
                "create b",
            ]);
            rig.lose(11);
            (rig.read("a"), rig.names())
        })
        .collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn a_sync_that_fails_forgets_what_it_should_have_kept() {
    let mut left = BTreeSet::new();
    for seed in 0..30 {
        let rig = rig();
        rig.well(&["create a", "write a 0 x", "sync a", "sync ."]);
        rig.disk
            .tell(&Faults {
                syncs_to_fail: 1,
                ..Faults::default()
            })
            .unwrap();
        let said = rig.run(&["write a 0 y", "sync a", "sync a", "read a"]);
        assert_eq!(said, "sync a: Input/output error (os error 5)\ny");
        rig.lose(seed);
        left.insert(rig.read("a"));
    }
    assert_eq!(
        left,
        set(&[Some("x"), Some("y")]),
        "the second sync said yes and has not kept it either"
    );
}

#[test]
fn a_full_disk_takes_what_fits_and_no_more() {
    let rig = rig();
    rig.well(&["create a"]);
    rig.disk
        .tell(&Faults {
            room_bytes: 3,
            ..Faults::default()
        })
        .unwrap();
    let said = rig.run(&["write a 0 hello", "create b", "mkdir c", "read a"]);
    let full = "No space left on device (os error 28)";
    assert_eq!(
        said,
        format!("write a 0 hello: {full}\ncreate b: {full}\nmkdir c: {full}\nhel")
    );
    rig.disk.tell(&Faults::default()).unwrap();
    rig.well(&["write a 0 hello", "create b"]);
}

#[test]
fn a_slow_disk_takes_its_time() {
    let rig = rig();
    rig.disk
        .tell(&Faults {
            sync_delay: Duration::from_millis(300),
            ..Faults::default()
        })
        .unwrap();
    #[allow(clippy::disallowed_methods, reason = "the delay is what is tested")]
    let begun = Instant::now();
    rig.well(&["create a", "sync a"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn what_lies_elsewhere_is_not_touched() {
    let rig = rig();
    let path = rig.folder.path().join("elsewhere");
    let path = path.to_str().unwrap();
    rig.well(&[&format!("create {path}"), &format!("write {path} 0 x"), "create a"]);
    rig.lose(3);
    assert_eq!(fs::read_to_string(path).unwrap(), "x");
}

#[test]
fn a_program_that_was_never_watched_is_said() {
    let rig = rig();
    let refused = rig.disk.lose_power(&mut Random::new(1)).unwrap_err();
    assert!(refused.to_string().contains("never watched"));
}
