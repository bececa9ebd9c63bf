//! A member whose state was kept and whose log was not: it had applied what a majority of others had on their disks, and lost
//! power before its own disk had it.

use bytes::Bytes;
use muster_consensus::testing::Journal;
use muster_consensus::{Config, Consensus};
use muster_model::{Member, MemberId};
use muster_runtime::{Clock, Shutdown, Tasks};
use muster_storage::{LogConfig, LogEntry, RaftLog, Reading, RealDisk};
use muster_transport::memory::Network;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);
/// Commands in the log that is left, and in the state.
const IN_LOG: u64 = 30;
const IN_STATE: u64 = 60;

/// One member, which is a whole group.
struct Lone {
    consensus: Consensus,
    tasks: Tasks,
    clock: Clock,
}

impl Lone {
    async fn start(data_dir: &Path, journal: &Journal) -> Self {
        let local = Member {
            id: MemberId(1),
            client_address: "10.0.0.1:8848".to_owned(),
            peer_address: "10.0.0.1:9849".to_owned(),
        };
        let config = Config {
            heartbeat: Duration::from_millis(30),
            election_min: Duration::from_millis(150),
            election_max: Duration::from_millis(300),
            snapshot_every_entries: 10,
            ..Config::new(data_dir.to_owned(), local.clone(), vec![local.clone()])
        };
        let (tasks, clock) = (Tasks::new(Shutdown::new()), Clock::system());
        let transport = Network::new().join(local.id);
        let machine = Arc::new(journal.clone());
        let consensus = Consensus::start(config, transport, machine, clock.clone(), &tasks).await;
        Self {
            consensus: consensus.unwrap(),
            tasks,
            clock,
        }
    }

    async fn propose(&self, count: u64) {
        for number in 0..count {
            let command = Bytes::from(number.to_string());
            let deadline = self.clock.now() + SOON;
            self.consensus.propose(command, deadline).await.unwrap();
        }
    }

    async fn end(self) {
        self.consensus.stop().await;
        assert!(self.tasks.ended_within(SOON).await);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}

/// A journal, and the folder of a log that ends before it.
async fn behind(folder: &Path) -> (Journal, PathBuf) {
    let (journal, kept, lost) = (Journal::new(), folder.join("kept"), folder.join("lost"));
    let lone = Lone::start(&kept, &journal).await;
    lone.propose(IN_LOG).await;
    lone.end().await;
    copy(&kept, &lost);
    let lone = Lone::start(&kept, &journal).await;
    lone.propose(IN_STATE - IN_LOG).await;
    lone.end().await;
    (journal, lost)
}

/// It goes on, and what its log does not hold any more is in its snapshot.
async fn goes_on(data_dir: &Path, journal: &Journal) {
    let lone = Lone::start(data_dir, journal).await;
    lone.propose(1).await;
    assert_eq!(journal.commands().len() as u64, IN_STATE + 1);
    let status = lone.consensus.status();
    assert!(status.snapshot_index >= status.purged_index, "{status:?}");
    assert!(status.snapshot_index >= IN_STATE, "{status:?}");
    lone.end().await;
    // And again, from what is on the disk by now and no journal.
    let empty = Journal::new();
    let lone = Lone::start(data_dir, &empty).await;
    lone.propose(1).await;
    assert_eq!(empty.commands().len() as u64, IN_STATE + 2);
    lone.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_state_is_ahead_of_its_log_goes_on_and_has_a_snapshot_of_what_the_log_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, lost) = behind(folder.path()).await;
    goes_on(&lost, &journal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_overtaken_leader_wrote_where_something_else_was_committed_is_taken_back_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, lost) = behind(folder.path()).await;
    // As long as the state, or longer, and of an earlier term.
    let log = RaftLog::open(LogConfig::new(lost.join("log")), Arc::new(RealDisk), Box::new(|_| {})).unwrap();
    let last = log.state().last.unwrap();
    let read = match log.read(last.index..last.index + 1, 1) {
        Reading::Ready(entries) => entries,
        Reading::OnDisk(reading) => reading.run().unwrap(),
    };
    let tail: Vec<_> = (1..=2 * IN_STATE)
        .map(|step| LogEntry {
            position: muster_storage::Position {
                index: last.index + step,
                ..last
            },
            ..read[0].clone()
        })
        .collect();
    log.append(tail, Box::new(|written| written.unwrap())).unwrap();
    log.close();
    goes_on(&lost, &journal).await;
}
