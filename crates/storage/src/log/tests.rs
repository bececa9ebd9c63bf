//! What must hold after every kind of accident. `acked` is what a `done` has said ok to.

use super::*;
use crate::testing::FaultyDisk;
use proptest::prelude::*;
use std::cell::RefCell;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const FOLDER: &str = "/log";

thread_local! {
    /// Where the flusher runs when it is a task.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

fn with_a_task(test: fn()) {
    muster_runtime::keep_to_one_thread(true);
    RUNTIME.set(Some(
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap(),
    ));
    test();
    RUNTIME.take();
    muster_runtime::keep_to_one_thread(false);
}

/// Each test twice: the flusher is a thread, and a task.
macro_rules! both_ways {
    ($($test:ident),* $(,)?) => {
        mod by_a_thread { $( #[test] fn $test() { super::$test(); } )* }
        mod by_a_task { $( #[test] fn $test() { super::with_a_task(super::$test); } )* }
    };
}

both_ways!(
    what_was_appended_is_there_after_a_restart,
    a_torn_tail_is_cut_at_every_byte_of_the_last_write,
    zeros_after_a_torn_tail_are_cut_too,
    a_flipped_bit_in_what_was_synced_before_later_writes_refuses_to_start,
    a_flipped_bit_in_an_earlier_segment_refuses_to_start,
    a_missing_segment_refuses_to_start,
    an_index_behind_which_there_is_none_refuses_to_start,
    an_entry_behind_which_there_could_be_none_is_not_taken,
    records_of_another_segment_are_never_taken_for_this_ones,
    votes_and_entries_reach_the_disk_in_the_order_of_the_calls,
    a_truncation_and_what_follows_it_survive_a_restart,
    purging_removes_files_and_keeps_vote_and_position,
    a_snapshot_beyond_the_log_purges_it_whole_and_the_log_goes_on_behind_it,
    a_hole_is_refused,
    the_cache_is_bounded_and_older_entries_come_from_disk,
    a_full_disk_fails_everything_from_there_on_and_loses_nothing_before,
    a_failed_sync_is_never_tried_again,
    one_sync_carries_all_that_waits,
    what_a_start_finds_is_on_the_disk_before_it_counts,
);

fn config() -> LogConfig {
    LogConfig::new(FOLDER.into())
}

fn try_open(disk: &FaultyDisk, config: LogConfig) -> Result<RaftLog, LogError> {
    try_open_telling(disk, config, Box::new(|_| {}))
}

fn try_open_telling(disk: &FaultyDisk, config: LogConfig, on_fatal: OnFatal) -> Result<RaftLog, LogError> {
    RUNTIME.with_borrow(|runtime| {
        let _entered = runtime.as_ref().map(Runtime::enter);
        RaftLog::open(config, Arc::new(disk.mount()), on_fatal)
    })
}

fn open(disk: &FaultyDisk) -> RaftLog {
    try_open(disk, config()).unwrap()
}

fn at(index: u64) -> Position {
    Position {
        term: 1,
        leader: 1,
        index,
    }
}

fn entry(index: u64) -> LogEntry {
    entry_in(1, index, 20)
}

fn entry_in(term: u64, index: u64, bytes: usize) -> LogEntry {
    LogEntry {
        position: Position { term, leader: 1, index },
        tag: 1,
        payload: vec![(index ^ term) as u8; bytes].into(),
    }
}

fn vote(term: u64) -> Vote {
    Vote {
        term,
        leader: 1,
        committed: false,
    }
}

/// Waits for the flusher.
fn wait(call: impl FnOnce(Done) -> io::Result<()>) -> io::Result<()> {
    let (told, hears) = oneshot::channel();
    call(Box::new(move |result| told.send(result).unwrap()))?;
    let heard = RUNTIME.with_borrow(|runtime| match runtime {
        Some(runtime) => runtime.block_on(hears),
        None => hears.blocking_recv(),
    });
    heard.expect("done is always called")
}

/// The end of a process that is not in a hurry.
fn close(log: RaftLog) {
    log.close();
    RUNTIME.with_borrow(|runtime| {
        if let Some(runtime) = runtime {
            runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
        }
    });
}

fn append(log: &RaftLog, entries: Vec<LogEntry>) -> io::Result<()> {
    wait(|done| log.append(entries, done))
}

fn read(log: &RaftLog, range: Range<u64>) -> Vec<LogEntry> {
    match log.read(range, usize::MAX) {
        Reading::Ready(entries) => entries,
        Reading::OnDisk(reading) => reading.run().unwrap(),
    }
}

fn files(disk: &FaultyDisk) -> Vec<PathBuf> {
    let names = disk.list(Path::new(FOLDER)).unwrap();
    names.iter().map(|name| Path::new(FOLDER).join(name)).collect()
}

fn what_was_appended_is_there_after_a_restart() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, (0..50).map(entry).collect()).unwrap();
    wait(|done| log.save_vote(vote(3), done)).unwrap();
    log.save_committed(at(40));
    close(log);
    let log = open(&disk);
    let state = log.state();
    assert_eq!(
        (state.last, state.vote, state.committed),
        (Some(at(49)), Some(vote(3)), Some(at(40)))
    );
    assert_eq!(read(&log, 0..100), (0..50).map(entry).collect::<Vec<_>>());
}

fn a_torn_tail_is_cut_at_every_byte_of_the_last_write() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, (0..10).map(entry).collect()).unwrap();
    let path = files(&disk).pop().unwrap();
    let before = disk.read(&path).len();
    append(&log, vec![entry(10)]).unwrap();
    let whole = disk.read(&path);
    for length in before..=whole.len() {
        let disk = disk.copy();
        disk.edit(&path, |bytes| bytes.truncate(length));
        let log = open(&disk);
        let last = if length == whole.len() { 10 } else { 9 };
        assert_eq!(log.state().last, Some(at(last)), "cut at {length}");
        append(&log, vec![entry(last + 1)]).unwrap();
        close(log);
        assert_eq!(
            read(&open(&disk), 0..99).len() as u64,
            last + 2,
            "appended after the cut at {length}"
        );
    }
}

fn zeros_after_a_torn_tail_are_cut_too() {
    let disk = FaultyDisk::new(1);
    append(&open(&disk), (0..10).map(entry).collect()).unwrap();
    let path = files(&disk).pop().unwrap();
    disk.edit(&path, |bytes| bytes.resize(bytes.len() + 4096, 0));
    assert_eq!(open(&disk).state().last, Some(at(9)));
}

fn a_flipped_bit_in_what_was_synced_before_later_writes_refuses_to_start() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, (0..10).map(entry).collect()).unwrap();
    let path = files(&disk).pop().unwrap();
    let synced = disk.read(&path).len();
    append(&log, vec![entry(10)]).unwrap();
    for byte in 0..synced {
        let disk = disk.copy();
        disk.flip(&path, byte, 1 << (byte % 8));
        let refused = try_open(&disk, config()).map(drop);
        assert!(
            matches!(refused, Err(LogError::Damaged { .. })),
            "byte {byte}: {refused:?}"
        );
    }
}

fn a_flipped_bit_in_an_earlier_segment_refuses_to_start() {
    let disk = FaultyDisk::new(1);
    append(&open(&disk), (0..10).map(entry).collect()).unwrap();
    append(&open(&disk), (10..20).map(entry).collect()).unwrap();
    let path = &files(&disk)[0];
    for byte in 0..disk.read(path).len() {
        let disk = disk.copy();
        disk.flip(path, byte, 0x40);
        assert!(
            matches!(try_open(&disk, config()), Err(LogError::Damaged { .. })),
            "byte {byte}"
        );
    }
}

fn a_missing_segment_refuses_to_start() {
    let disk = FaultyDisk::new(1);
    for start in [0, 10, 20] {
        append(&open(&disk), (start..start + 10).map(entry).collect()).unwrap();
    }
    for missing in 0..2 {
        let disk = disk.copy();
        disk.remove(&files(&disk)[missing]).unwrap();
        assert!(
            matches!(try_open(&disk, config()), Err(LogError::Damaged { .. })),
            "file {missing}"
        );
    }
}

fn an_index_behind_which_there_is_none_refuses_to_start() {
    let entry = entry(u64::MAX);
    let records: [&dyn Fn(&mut record::Encoder<'_>); 2] = [&|segment| segment.entry(&entry), &|segment| {
        segment.purge(entry.position)
    }];
    for put in records {
        let mut buffer = Vec::new();
        let mut segment = record::Encoder {
            segment_id: 1,
            buffer: &mut buffer,
        };
        segment.header();
        put(&mut segment);
        let disk = FaultyDisk::new(1);
        let file = disk.create(&Path::new(FOLDER).join(segment_name(1))).unwrap();
        file.write_at(0, &buffer).unwrap();
        let refused = try_open(&disk, config()).map(drop);
        assert!(matches!(refused, Err(LogError::Damaged { .. })), "{refused:?}");
    }
}

fn an_entry_behind_which_there_could_be_none_is_not_taken() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, vec![entry(0)]).unwrap();
    log.purge(entry(u64::MAX - 1).position).unwrap();
    let last = entry(u64::MAX);
    let refused = log.append(vec![last], Box::new(|_| {})).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(
        log.state().last,
        Some(entry(u64::MAX - 1).position),
        "nothing was added"
    );
}

fn records_of_another_segment_are_never_taken_for_this_ones() {
    let disk = FaultyDisk::new(1);
    append(&open(&disk), (0..10).map(entry).collect()).unwrap();
    let other = FaultyDisk::new(2);
    append(&open(&other), (0..20).map(entry).collect()).unwrap();
    let stale = other.read(&files(&other)[0]);
    disk.edit(&files(&disk)[0], |bytes| {
        let length = bytes.len();
        bytes.extend_from_slice(&stale[length..]);
    });
    assert_eq!(open(&disk).state().last, Some(at(9)));
}

fn votes_and_entries_reach_the_disk_in_the_order_of_the_calls() {
    // Whatever byte the log is cut at, an entry of a term is there only if the vote for the term is.
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    let path = files(&disk).pop().unwrap();
    let start = disk.read(&path).len();
    let mut index = 0;
    for term in 1..=5 {
        log.save_vote(vote(term), Box::new(|_| {})).unwrap();
        for _ in 0..3 {
            log.append(vec![entry_in(term, index, 20)], Box::new(|_| {})).unwrap();
            index += 1;
        }
    }
    wait(|done| log.flush(done)).unwrap();
    for length in start..=disk.read(&path).len() {
        let disk = disk.copy();
        disk.edit(&path, |bytes| bytes.truncate(length));
        let state = open(&disk).state();
        assert!(
            state.last.map(|last| last.term) <= state.vote.map(|vote| vote.term),
            "cut at {length}: {state:?}"
        );
    }
}

fn a_truncation_and_what_follows_it_survive_a_restart() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, (0..10).map(entry).collect()).unwrap();
    log.truncate_after(Some(4)).unwrap();
    append(&log, vec![entry_in(2, 5, 20)]).unwrap();
    close(log);
    let log = open(&disk);
    let mut expected: Vec<_> = (0..5).map(entry).collect();
    expected.push(entry_in(2, 5, 20));
    assert_eq!(read(&log, 0..99), expected);
    log.truncate_after(None).unwrap();
    close(log);
    assert_eq!(open(&disk).state().last, None);
}

fn purging_removes_files_and_keeps_vote_and_position() {
    let disk = FaultyDisk::new(1);
    let small = || LogConfig {
        segment_bytes: 500,
        ..config()
    };
    let log = try_open(&disk, small()).unwrap();
    wait(|done| log.save_vote(vote(3), done)).unwrap();
    for index in 0..100 {
        append(&log, vec![entry(index)]).unwrap();
    }
    let before = files(&disk).len();
    log.purge(at(89)).unwrap();
    wait(|done| log.flush(done)).unwrap();
    close(log);
    assert!(
        files(&disk).len() < before / 2,
        "{before} files before, {} after",
        files(&disk).len()
    );
    let log = try_open(&disk, small()).unwrap();
    let state = log.state();
    assert_eq!(
        (state.purged, state.last, state.vote),
        (Some(at(89)), Some(at(99)), Some(vote(3)))
    );
    assert_eq!(read(&log, 0..99999), (90..100).map(entry).collect::<Vec<_>>());
}

fn a_snapshot_beyond_the_log_purges_it_whole_and_the_log_goes_on_behind_it() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, (0..10).map(entry).collect()).unwrap();
    log.purge(at(500)).unwrap();
    append(&log, vec![entry(501)]).unwrap();
    close(log);
    let log = open(&disk);
    assert_eq!((log.state().purged, log.state().last), (Some(at(500)), Some(at(501))));
}

fn a_hole_is_refused() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, vec![entry(0)]).unwrap();
    assert_eq!(
        append(&log, vec![entry(2)]).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

fn the_cache_is_bounded_and_older_entries_come_from_disk() {
    let disk = FaultyDisk::new(1);
    let config = LogConfig {
        cache_bytes: 20_000,
        segment_bytes: 30_000,
        ..config()
    };
    let log = try_open(&disk, config).unwrap();
    for index in 0..100 {
        append(&log, vec![entry_in(1, index, 1_000)]).unwrap();
    }
    assert!(log.table.lock().cached_bytes() <= 20_000);
    assert!(matches!(log.read(0..10, usize::MAX), Reading::OnDisk(_)));
    assert!(matches!(log.read(95..100, usize::MAX), Reading::Ready(_)));
    assert_eq!(
        read(&log, 0..100),
        (0..100).map(|index| entry_in(1, index, 1_000)).collect::<Vec<_>>()
    );
    let Reading::OnDisk(some) = log.read(0..100, 4_500) else {
        panic!("not cached")
    };
    assert_eq!(some.run().unwrap().len(), 4, "as many as fit");
    let Reading::OnDisk(one) = log.read(0..100, 10) else {
        panic!("not cached")
    };
    assert_eq!(one.run().unwrap().len(), 1, "at least one");
}

#[test]
fn the_queue_says_when_it_is_full_and_when_there_is_room_again() {
    let queue = Queue::new(1_000);
    let (told, hears) = mpsc::channel();
    let tell = |what: u8| {
        let told = told.clone();
        Box::new(move || told.send(what).unwrap())
    };
    queue.when_room(tell(1));
    assert_eq!(hears.try_recv(), Ok(1));
    let entries = vec![entry_in(1, 0, 2_000)];
    queue.push(Job::Append {
        entries,
        done: Box::new(|_| {}),
    });
    queue.when_room(tell(2));
    assert!(hears.try_recv().is_err(), "full");
    queue.take_for_test();
    assert_eq!(hears.try_recv(), Ok(2));
}

fn a_full_disk_fails_everything_from_there_on_and_loses_nothing_before() {
    let disk = FaultyDisk::new(1);
    let (told, hears) = mpsc::channel();
    let log = try_open_telling(&disk, config(), Box::new(move |text| told.send(text).unwrap())).unwrap();
    append(&log, (0..10).map(entry).collect()).unwrap();
    disk.fill_up_after(30);
    assert_eq!(
        append(&log, vec![entry(10)]).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert!(hears.recv().unwrap().contains("no space left"));
    assert!(append(&log, vec![entry(11)]).is_err());
    assert!(wait(|done| log.save_vote(vote(9), done)).is_err());
    close(log);
    disk.lose_power();
    assert_eq!(open(&disk).state().last, Some(at(9)));
}

fn a_failed_sync_is_never_tried_again() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    append(&log, vec![entry(0)]).unwrap();
    disk.fail_syncs();
    assert!(append(&log, vec![entry(1)]).is_err());
    let syncs = disk.syncs();
    for index in 2..10 {
        assert!(append(&log, vec![entry(index)]).is_err());
    }
    close(log);
    assert_eq!(disk.syncs(), syncs);
}

fn one_sync_carries_all_that_waits() {
    let disk = FaultyDisk::new(1);
    let log = open(&disk);
    let before = disk.syncs();
    let (told, hears) = mpsc::channel();
    for index in 0..5_000 {
        let told = told.clone();
        log.append(vec![entry(index)], Box::new(move |result| told.send(result).unwrap()))
            .unwrap();
    }
    wait(|done| log.flush(done)).unwrap();
    for _ in 0..5_000 {
        hears.try_recv().unwrap().unwrap();
    }
    assert!(disk.syncs() - before < 2_500, "{} syncs", disk.syncs() - before);
}

#[test]
fn segments_stay_while_a_purge_that_frees_them_is_not_on_the_disk() {
    with_a_task(|| {
        let disk = FaultyDisk::new(1);
        let small = LogConfig {
            segment_bytes: 500,
            ..config()
        };
        let log = try_open(&disk, small).unwrap();
        for index in 0..100 {
            append(&log, vec![entry(index)]).unwrap();
        }
        let run = |ms| {
            RUNTIME.with_borrow(|runtime| {
                let wait = async { tokio::time::sleep(Duration::from_millis(ms)).await };
                runtime.as_ref().unwrap().block_on(wait);
            });
        };
        log.purge(at(27)).unwrap();
        // The flusher has written the first purge and waits for its disk when the second one comes, which is lost.
        run(1);
        log.purge(at(89)).unwrap();
        disk.fill_up_after(0);
        run(1_000);
        disk.lose_power();
        let log = open(&disk);
        assert_eq!((log.state().purged, log.state().last), (Some(at(27)), Some(at(99))));
        assert_eq!(read(&log, 0..999), (28..100).map(entry).collect::<Vec<_>>());
    });
}

/// One life of a node between two power losses.
#[derive(Clone, Debug)]
enum Step {
    Append { count: u64, bytes: usize },
    Vote,
    Truncate { back: u64 },
    Purge { back: u64 },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u64, 1..2_000_usize).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        2 => Just(Step::Vote),
        1 => (0..4_u64).prop_map(|back| Step::Truncate { back }),
        1 => (0..20_u64).prop_map(|back| Step::Purge { back }),
        2 => Just(Step::Wait),
    ]
}

/// The log as a list of calls; the state after each is what may be found after a crash.
#[derive(Clone, Default, Debug, PartialEq)]
struct Model {
    purged: Option<u64>,
    entries: Vec<LogEntry>,
    vote: Option<Vote>,
}

impl Model {
    fn next(&self) -> u64 {
        self.entries
            .last()
            .map(|entry| entry.position.index + 1)
            .or(self.purged.map(|purged| purged + 1))
            .unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Promise 3 of the module: after each power loss the log is one of the states between the last acknowledged one and the
    /// last requested one.
    #[test]
    fn nothing_acknowledged_is_lost_when_the_power_goes(seed: u64, lives in prop::collection::vec(prop::collection::vec(step(), 1..25), 1..6)) {
        let disk = FaultyDisk::new(seed);
        let mut model = Model::default();
        let mut term = 1;
        for life in lives {
            let small = LogConfig { segment_bytes: 8_000, cache_bytes: 10_000, ..config() };
            let log = try_open(&disk, small).unwrap();
            // states[n] is the state after n record-writing calls; the flusher may have stopped after any.
            let mut states = vec![model.clone()];
            let acked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let ack = |number: usize| -> Done {
                let acked = acked.clone();
                Box::new(move |result| { if result.is_err() { return } acked.fetch_max(number, std::sync::atomic::Ordering::SeqCst); })
            };
            for step in life {
                match step {
                    Step::Append { count, bytes } => {
                        let mut added = Vec::new();
                        for _ in 0..count {
                            let entry = entry_in(term, model.next(), bytes);
                            model.entries.push(entry.clone());
                            added.push(entry);
                            states.push(model.clone());
                        }
                        log.append(added, ack(states.len() - 1)).unwrap();
                    }
                    Step::Vote => {
                        term += 1;
                        model.vote = Some(vote(term));
                        states.push(model.clone());
                        log.save_vote(vote(term), ack(states.len() - 1)).unwrap();
                    }
                    Step::Truncate { back } => {
                        let keep = model.entries.len().saturating_sub(back as usize);
                        model.entries.truncate(keep);
                        states.push(model.clone());
                        log.truncate_after(model.next().checked_sub(1)).unwrap();
                    }
                    Step::Purge { back } => {
                        let Some(last) = model.entries.last() else { continue };
                        let upto = last.position.index.saturating_sub(back);
                        let Some(upto) = model.entries.iter().find(|entry| entry.position.index == upto) else { continue };
                        let upto = upto.position;
                        model.purged = Some(upto.index);
                        model.entries.retain(|entry| entry.position.index > upto.index);
                        states.push(model.clone());
                        log.purge(upto).unwrap();
                    }
                    Step::Wait => {
                        let number = states.len() - 1;
                        wait(|done| log.flush(done)).unwrap();
                        acked.fetch_max(number, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            }
            let acked = acked.load(std::sync::atomic::Ordering::SeqCst);
            disk.lose_power();
            close(log);
            let log = open(&disk);
            let found = Model {
                purged: log.state().purged.map(|purged| purged.index),
                entries: read(&log, 0..u64::MAX),
                vote: log.state().vote,
            };
            prop_assert!(
                states[acked..].contains(&found),
                "found {found:?}, acknowledged {:?}", states[acked]
            );
            model = found;
        }
    }
}

fn what_a_start_finds_is_on_the_disk_before_it_counts() {
    for seed in 1..=20 {
        let disk = FaultyDisk::new(seed);
        let unsynced = LogConfig {
            sync: Sync::Never,
            ..config()
        };
        let log = try_open(&disk, unsynced).unwrap();
        append(&log, (0..10).map(entry).collect()).unwrap();
        close(log);
        // the process is gone and the machine is not: what was written is in the kernel's memory alone
        let found = open(&disk).state().last;
        assert_eq!(found, Some(at(9)));
        disk.lose_power();
        assert_eq!(open(&disk).state().last, found, "seed {seed}");
    }
}
