//! A member that keeps a log, a vote, snapshots, a checkpoint and its identity on one disk, through many lives.

use crate::chance::Chance;
use crate::model::{Committed, Log, Records, body};
use bytes::Bytes;
use muster_storage::testing::FaultyDisk;
use muster_storage::{
    Disk, Done, Identity, LogConfig, LogEntry, Position, RaftLog, Reading, SnapshotMeta, Snapshots, StateTable,
    TableChanges, TableConfig, TableError, Tables, Vote,
};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Builder;

const FOLDER: &str = "/data/raft";
const LOCAL: u64 = 1;

/// How a life ends, beside the end of its work.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// The power goes while nothing is asked of the disk, or while the log's flusher is at work.
    Power,
    /// It goes in the middle of an operation.
    PowerDuring(u64),
    /// The disk refuses to sync, then the power goes.
    SyncsFail,
    /// The disk is full, then the power goes.
    Full(u64),
    /// The process alone dies.
    Killed,
}

/// How often what has happened, so that a run can say what it was worth.
#[derive(Default, Debug)]
pub(crate) struct Counts {
    pub(crate) losses: u64,
    /// During an operation.
    pub(crate) during: u64,
    /// While it was opening.
    pub(crate) opening: u64,
    /// Less was found than had been asked for.
    pub(crate) cut: u64,
    pub(crate) checkpoints_earlier: u64,
    pub(crate) checkpoints_damaged: u64,
    pub(crate) committed: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.losses += other.losses;
        self.during += other.during;
        self.opening += other.opening;
        self.cut += other.cut;
        self.checkpoints_earlier += other.checkpoints_earlier;
        self.checkpoints_damaged += other.checkpoints_damaged;
        self.committed += other.committed;
    }
}

pub(crate) struct Member {
    disk: FaultyDisk,
    chance: Chance,
    term: u64,
    committed: Committed,
    /// The log after each call since it was opened; the first one is what was found.
    asked: Vec<Log>,
    /// The last of them that is known to be on the disk. Shared with what the flusher calls.
    acked: Arc<AtomicUsize>,
    /// Entries in the newest snapshot and checkpoint that were said to be kept.
    snapshot: u64,
    checkpoint: u64,
    marker: Option<u64>,
    pub(crate) counts: Counts,
}

/// What one life works with.
struct Open {
    log: RaftLog,
    snapshots: Arc<Snapshots>,
    table: Box<dyn StateTable>,
    /// Entries in the table; none after it was put aside.
    sealed: Option<u64>,
}

impl Member {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            disk: FaultyDisk::new(seed),
            chance: Chance::new(seed),
            term: 0,
            committed: Committed::default(),
            asked: vec![Log::default()],
            acked: Arc::default(),
            snapshot: 0,
            checkpoint: 0,
            marker: None,
            counts: Counts::default(),
        }
    }

    /// Opens what there is, holds it against what must be there, works, and ends somehow.
    pub(crate) fn live(&mut self) {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let end = match self.chance.below(10) {
            0..4 => End::PowerDuring(self.chance.below(120)),
            4..7 => End::Power,
            7 => End::SyncsFail,
            8 => End::Full(self.chance.below(20_000)),
            _ => End::Killed,
        };
        let losses = self.disk.losses();
        if let End::PowerDuring(operations) = end {
            self.disk.lose_power_after(operations);
        }
        runtime.block_on(self.run(end));
        if end != End::Killed && self.disk.losses() == losses {
            self.disk.lose_power();
        } else if end != End::Killed {
            self.counts.during += 1;
        }
        self.counts.losses += self.disk.losses() - losses;
        // After the power went: nothing may be written on the way out.
        drop(runtime);
    }

    async fn run(&mut self, end: End) {
        let mount = Arc::new(self.disk.mount());
        let mut open = match self.open(&mount) {
            Ok(open) => open,
            Err(error) => {
                assert!(mount.is_gone(), "it does not open: {error}");
                self.counts.opening += 1;
                return;
            }
        };
        if let End::Full(bytes) = end {
            self.disk.fill_up_after(bytes);
        }
        let steps = self.chance.below(60);
        for step in 0..steps {
            if end == End::SyncsFail && step == steps / 2 {
                self.disk.fail_syncs();
            }
            if self.step(&mut open).await.is_err() {
                let faulty = mount.is_gone() || matches!(end, End::SyncsFail | End::Full(_));
                assert!(faulty, "a step failed on a disk without a fault");
                return;
            }
        }
    }

    async fn step(&mut self, open: &mut Open) -> io::Result<()> {
        match self.chance.below(16) {
            0..5 => self.append(&open.log),
            5 => self.vote(&open.log),
            6 => self.truncate(&open.log),
            7..11 => {
                tokio::time::sleep(Duration::from_millis(self.chance.below(30))).await;
                Ok(())
            }
            11..13 => {
                self.commit(&open.log);
                Ok(())
            }
            13..15 => self.write_checkpoint(open),
            _ => self.write_snapshot(open),
        }
    }

    fn now(&self) -> Log {
        self.asked.last().expect("what was found").clone()
    }

    /// Tells when all that was asked for by now is on the disk.
    fn done(&self) -> Done {
        let (acked, number) = (self.acked.clone(), self.asked.len() - 1);
        Box::new(move |result| {
            if result.is_ok() {
                acked.fetch_max(number, Ordering::SeqCst);
            }
        })
    }

    fn append(&mut self, log: &RaftLog) -> io::Result<()> {
        let mut now = self.now();
        let mut added = Vec::new();
        for _ in 0..=self.chance.below(4) {
            let most = if self.chance.one_in(20) { 4_000 } else { 200 };
            let position = Position {
                term: self.term,
                leader: LOCAL,
                index: now.next(),
            };
            let fill = (position.index * 31 + self.term) as u8;
            added.push(LogEntry {
                position,
                tag: 1,
                payload: Bytes::from(vec![fill; 1 + self.chance.below(most) as usize]),
            });
            now.entries.extend(added.last().cloned());
            self.asked.push(now.clone());
        }
        log.append(added, self.done())
    }

    fn vote(&mut self, log: &RaftLog) -> io::Result<()> {
        self.term += 1;
        let vote = Vote {
            term: self.term,
            leader: LOCAL,
            committed: self.chance.one_in(2),
        };
        let mut now = self.now();
        now.vote = Some(vote);
        self.asked.push(now);
        log.save_vote(vote, self.done())
    }

    /// Takes back entries that are not committed, as a new leader makes a follower do.
    fn truncate(&mut self, log: &RaftLog) -> io::Result<()> {
        let mut now = self.now();
        let open = now.next() - self.committed.count();
        if open == 0 {
            return Ok(());
        }
        let keep = self.committed.count() + self.chance.below(open);
        now.entries.retain(|entry| entry.position.index < keep);
        self.asked.push(now);
        log.truncate_after(keep.checked_sub(1))
    }

    /// What is known to be on the disk, and was not taken back since, may be committed and applied.
    fn commit(&mut self, log: &RaftLog) {
        let acked = &self.asked[self.acked.load(Ordering::SeqCst)];
        let now = self.now();
        let to = acked.alike(&now, self.committed.count());
        if to == self.committed.count() {
            return;
        }
        let from = self.committed.count();
        let new = now.entries.into_iter();
        self.committed
            .0
            .extend(new.filter(|entry| (from..to).contains(&entry.position.index)));
        self.counts.committed = self.committed.count();
        log.save_committed(self.committed.0[to as usize - 1].position);
    }

    fn write_checkpoint(&mut self, open: &mut Open) -> io::Result<()> {
        let (count, seal) = (self.committed.count(), self.committed.count().to_le_bytes());
        if count == 0 {
            return Ok(());
        }
        let state = self.committed.state(count);
        let written = match open.sealed {
            Some(sealed) => {
                let before = self.committed.state(sealed);
                let put = state.iter().filter(|(key, value)| before.get(*key) != Some(*value));
                let changes = TableChanges {
                    put: put.map(|(key, value)| (key.clone(), value.clone())).collect(),
                    remove: before.keys().filter(|key| !state.contains_key(*key)).cloned().collect(),
                };
                open.table.checkpoint(&changes, &seal)
            }
            None => open.table.replace(&mut state.into_iter(), &seal),
        };
        written.map_err(io::Error::other)?;
        open.sealed = Some(count);
        self.checkpoint = count;
        Ok(())
    }

    /// Writes a snapshot and lets the log before it go, but for a few entries.
    fn write_snapshot(&mut self, open: &Open) -> io::Result<()> {
        let count = self.committed.count();
        if count == 0 {
            return Ok(());
        }
        let meta = SnapshotMeta {
            position: Some(self.committed.0[count as usize - 1].position),
            note: Bytes::from_static(b"members"),
        };
        let mut writer = open.snapshots.create(meta)?;
        writer.write_all(&body(&self.committed.state(count)))?;
        writer.finish()?;
        self.snapshot = count;
        open.snapshots.remove_older()?;
        let upto = count.saturating_sub(1 + self.chance.below(8));
        let mut now = self.now();
        if now.purged >= Some(upto) || now.entries.is_empty() {
            return Ok(());
        }
        now.purged = Some(upto);
        now.entries.retain(|entry| entry.position.index > upto);
        self.asked.push(now);
        open.log.purge(self.committed.0[upto as usize].position)
    }

    /// In the order of `consensus`: the log before the identity, so that an identity without a log is a loss.
    fn open(&mut self, mount: &Arc<FaultyDisk>) -> Result<Open, Box<dyn std::error::Error>> {
        let folder = Path::new(FOLDER);
        let disk: Arc<dyn Disk> = mount.clone();
        let identity = Identity::load(&*disk, folder)?;
        if identity.is_some() {
            assert_ne!(disk.list(&folder.join("log"))?.len(), 0, "an identity without a log");
        }
        let small = LogConfig {
            segment_bytes: 6_000,
            cache_bytes: 3_000,
            ..LogConfig::new(folder.join("log"))
        };
        let log = RaftLog::open(small, disk.clone(), Box::new(|_| {}))?;
        let snapshots = Arc::new(Snapshots::open(disk.clone(), folder.join("snapshots"))?);
        let found = Log {
            purged: log.state().purged.map(|purged| purged.index),
            entries: read(&log)?,
            vote: log.state().vote,
        };
        self.check_log(&found);
        self.check_snapshot(&snapshots, &found)?;
        let mark = log.state().committed.map_or(0, |mark| mark.index + 1);
        assert!(
            mark <= self.committed.count(),
            "the commit mark {mark} names what never was"
        );
        let identity = Identity::claim(&*disk, folder, LOCAL, identity, log.state().is_pristine())?;
        let marker = *self.marker.get_or_insert(identity.marker);
        assert_eq!(identity.marker, marker, "the folder is another one");
        let (table, sealed) = self.open_table(&**mount)?;
        self.asked = vec![found];
        self.acked = Arc::default();
        Ok(Open {
            log,
            snapshots,
            table,
            sealed,
        })
    }

    /// One of the logs between the last acknowledged and the last asked for, and so with every vote and entry that counts.
    fn check_log(&mut self, found: &Log) {
        let acked = self.acked.load(Ordering::SeqCst);
        let place = self.asked[acked..].iter().position(|asked| asked == found);
        let place = place.unwrap_or_else(|| panic!("found {found:?}\nacknowledged {:?}", self.asked[acked]));
        self.counts.cut += u64::from(acked + place + 1 < self.asked.len());
        assert!(found.vote.map(|vote| vote.term) >= self.asked[acked].vote.map(|vote| vote.term));
        let kept_from = found.purged.map_or(0, |purged| purged + 1);
        for entry in self.committed.0.iter().skip(kept_from as usize) {
            assert!(
                found.entries.contains(entry),
                "committed entry {:?} is lost",
                entry.position
            );
        }
    }

    fn check_snapshot(&self, snapshots: &Snapshots, found: &Log) -> io::Result<()> {
        let newest = snapshots.newest();
        let count = newest
            .as_ref()
            .and_then(|newest| newest.meta.position)
            .map_or(0, |position| position.index + 1);
        assert!(
            count >= self.snapshot,
            "the snapshot of {} entries is lost",
            self.snapshot
        );
        let purged = found.purged.map_or(0, |purged| purged + 1);
        assert!(purged <= count, "{purged} entries are gone, a snapshot has {count}");
        if let Some(newest) = newest {
            let mut bytes = Vec::new();
            newest.reader().read_to_end(&mut bytes)?;
            assert_eq!(
                bytes,
                body(&self.committed.state(count)),
                "the snapshot of {count} entries"
            );
        }
        Ok(())
    }

    fn open_table(&mut self, tables: &dyn Tables) -> Result<(Box<dyn StateTable>, Option<u64>), TableError> {
        let config = TableConfig {
            dir: "/data/state".into(),
            cache_bytes: 1 << 20,
        };
        let mut records = Records::new();
        let loaded = tables.open(&config).and_then(|table| {
            let seal = table.load(&mut |key, value| {
                records.insert(key.to_vec(), value);
                Ok(())
            })?;
            Ok((table, seal))
        });
        let (table, seal) = match loaded {
            Err(TableError::Damaged { .. }) => {
                self.counts.checkpoints_damaged += 1;
                self.checkpoint = 0;
                return Ok((tables.start_over(&config)?, None));
            }
            loaded => loaded?,
        };
        let sealed = seal.map(|seal| u64::from_le_bytes(seal.try_into().expect("a count")));
        let count = sealed.unwrap_or(0);
        assert!(count <= self.committed.count());
        assert_eq!(
            records,
            self.committed.state(count),
            "the checkpoint of {count} entries"
        );
        self.counts.checkpoints_earlier += u64::from(count < self.checkpoint);
        self.checkpoint = count;
        Ok((table, sealed))
    }
}

fn read(log: &RaftLog) -> io::Result<Vec<LogEntry>> {
    match log.read(0..u64::MAX, usize::MAX) {
        Reading::Ready(entries) => Ok(entries),
        Reading::OnDisk(reading) => reading.run(),
    }
}
