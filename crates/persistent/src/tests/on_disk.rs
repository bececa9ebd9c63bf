use super::fixture::{apply, apply_commands, at, command, frozen, instance, key, open, open_on, service, store};
use crate::command::Action;
use crate::metrics;
use crate::store::Store;
use muster_consensus::StateMachine;
use muster_model::Metadata;
use muster_storage::SledTables;
use muster_storage::testing::FaultyDisk;
use std::path::Path;
use std::sync::Arc;

fn register(name: &str, port: u16) -> Action {
    Action::Register(service(name), instance(port))
}

fn register_many(store: &Store, first: u64, count: u16) {
    let actions: Vec<_> = (0..count).map(|n| register(&format!("s{}", n % 10), n)).collect();
    apply(store, first, &actions);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_new_folder_holds_the_empty_state() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, store) = open(dir.path());
    assert_eq!(store.applied(), None);
    persistent.checkpoint().await.unwrap();
    assert!(persistent.services().is_empty());
}

#[tokio::test]
async fn a_reopening_finds_the_last_checkpoint_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, store) = open(dir.path());
    register_many(&store, 1, 2_000);
    persistent.checkpoint().await.unwrap();
    let mut large = instance(9);
    large.metadata = (0..3_000)
        .map(|n| (format!("key-{n}"), "value".repeat(4)))
        .collect::<Metadata>();
    let actions = [
        Action::Deregister(service("s1"), key(1)),
        Action::Register(service("s9"), large),
        Action::SetSwitch("a".to_owned(), Some("b".to_owned())),
    ];
    apply(&store, 2_001, &actions);
    persistent.checkpoint().await.unwrap();
    let expected = frozen(&store);
    // this one is not checkpointed, so it is not found; the log behind the position has it
    apply(&store, 2_004, &[register("later", 1)]);
    drop((persistent, store));
    let (persistent, store) = open(dir.path());
    assert_eq!(store.applied(), Some(at(2_003)));
    assert_eq!(frozen(&store), expected);
    assert_eq!(persistent.service(&service("s9")).unwrap().instances.len(), 200);
}

#[tokio::test]
async fn replaying_the_log_behind_the_checkpoint_gives_the_state_of_before_the_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, store) = open(dir.path());
    register_many(&store, 1, 100);
    persistent.checkpoint().await.unwrap();
    let tail: Vec<_> = (101..200)
        .map(|index| {
            command(
                index,
                Action::Deregister(service(&format!("s{}", index % 10)), key(index as u16 - 101)),
            )
        })
        .map(|command| command.encode())
        .collect();
    apply_commands(&store, 101, tail.clone());
    let expected = frozen(&store);
    drop((persistent, store));
    let (_persistent, store) = open(dir.path());
    assert_eq!(store.applied(), Some(at(100)));
    apply_commands(&store, 101, tail);
    assert_eq!(frozen(&store), expected);
}

#[tokio::test]
async fn a_restored_state_replaces_the_checkpoint_wholly() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, disk) = open(dir.path());
    register_many(&disk, 1, 300);
    persistent.checkpoint().await.unwrap();
    let (other, _) = store();
    apply(&other, 1, &[register("only", 1)]);
    // behind what this member had: a snapshot is the truth, whatever its position
    disk.restore(&mut frozen(&other).as_slice(), at(5)).unwrap();
    assert_eq!(persistent.services().len(), 1);
    persistent.checkpoint().await.unwrap();
    drop((persistent, disk));
    let (_persistent, disk) = open(dir.path());
    assert_eq!(disk.applied(), Some(at(5)));
    assert_eq!(frozen(&disk), frozen(&other));
}

#[tokio::test]
async fn a_crash_before_the_sync_reopens_at_the_earlier_position() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, store) = open(dir.path());
    register_many(&store, 1, 50);
    persistent.checkpoint().await.unwrap();
    let expected = frozen(&store);
    let synced = tempfile::tempdir().unwrap();
    copy(dir.path(), synced.path());
    register_many(&store, 51, 500);
    persistent.checkpoint().await.unwrap();
    // what the machine keeps of a checkpoint that was never synced is the folder of before
    let (_reopened, store) = open(synced.path());
    assert_eq!(store.applied(), Some(at(50)));
    assert_eq!(frozen(&store), expected);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_put_aside_and_the_state_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, store) = open(dir.path());
    register_many(&store, 1, 2_000);
    persistent.checkpoint().await.unwrap();
    drop((persistent, store));
    let file = dir.path().join("state/db");
    let mut bytes = std::fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    (100..used).step_by(97).for_each(|at| bytes[at] ^= 0xff);
    std::fs::write(&file, bytes).unwrap();
    for entry in std::fs::read_dir(dir.path().join("state")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            std::fs::write(entry.path(), b"damaged too").unwrap();
        }
    }
    let rebuilt_before = metrics::REBUILT.get();
    let (persistent, store) = open(dir.path());
    assert_eq!(store.applied(), None);
    assert!(persistent.services().is_empty());
    assert_eq!(metrics::REBUILT.get(), rebuilt_before + 1);
    assert!(dir.path().join("state.damaged").exists());
    // and it goes on from a snapshot and the log
    register_many(&store, 1, 10);
    persistent.checkpoint().await.unwrap();
    drop((persistent, store));
    assert_eq!(open(dir.path()).1.applied(), Some(at(10)));
}

#[tokio::test]
async fn a_second_node_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    let refused = open_on(Arc::new(SledTables), dir.path());
    assert_eq!(refused.err().unwrap().kind(), std::io::ErrorKind::ResourceBusy);
}

/// Whatever the power leaves of the checkpoints, what is opened is one of the states that were sealed, and the rest comes
/// from the log behind it.
#[tokio::test]
async fn after_any_loss_of_power_an_earlier_checkpoint_and_the_log_behind_it_give_the_whole_state() {
    let log: Vec<_> = (1..=120_u16)
        .map(|n| match n % 3 {
            0 => Action::Deregister(service(&format!("s{}", n % 7)), key(n / 2)),
            1 => Action::SetSwitch(format!("w{}", n % 5), Some(n.to_string())),
            _ => register(&format!("s{}", n % 7), n),
        })
        .zip(1..)
        .map(|(action, index)| command(index, action).encode())
        .collect();
    let (mut at_last, mut earlier, mut empty) = (0, 0, 0);
    for seed in 1..=80 {
        let disk = FaultyDisk::new(seed);
        let reopen = || open_on(Arc::new(disk.mount()), Path::new("/data")).unwrap();
        let (persistent, store) = reopen();
        let mut last = 0;
        for (round, piece) in (0..6).zip(log.chunks(20)) {
            apply_commands(&store, round * 20 + 1, piece.to_vec());
            if round == 5 && seed % 2 == 0 {
                disk.lose_power_after(0);
            }
            if persistent.checkpoint().await.is_ok() {
                last = round * 20 + 20;
            }
        }
        if seed % 2 == 1 {
            disk.lose_power();
        }
        let expected = frozen(&store);
        let (_persistent, store) = reopen();
        let from = store.applied().map_or(0, |applied| applied.position.index);
        assert_eq!(from % 20, 0, "seed {seed}: sealed at {from}");
        match from {
            0 => empty += 1,
            _ if from < last => earlier += 1,
            _ => at_last += 1,
        }
        apply_commands(&store, from + 1, log[from as usize..].to_vec());
        assert_eq!(frozen(&store), expected, "seed {seed}: from {from}");
    }
    assert!(
        at_last >= 20 && earlier >= 10 && empty >= 5,
        "{at_last} {earlier} {empty}"
    );
}
