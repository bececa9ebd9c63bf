//! Writes a second and their latency: three members in this process, each with its log on disk and a sync before every
//! acknowledgement, beside (a) the log alone under as many threads and (b) a task that answers a constant.
//!
//! `cargo run --release -p muster-consensus --example propose [folder]`; 3 s a cell.

#![allow(clippy::print_stdout, reason = "a benchmark's output")]

use bytes::Bytes;
use muster_consensus::testing::Journal;
use muster_consensus::{Config, Consensus, Role};
use muster_model::{Member, MemberId};
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks};
use muster_storage::{LogConfig, LogEntry, Position, RaftLog, RealDisk};
use muster_transport::memory::Network;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const CELL: Duration = Duration::from_secs(3);
const WRITERS: [usize; 4] = [1, 8, 64, 512];
/// A registered instance is about this long.
const COMMAND: Bytes = Bytes::from_static(&[7; 300]);

fn print(what: &str, writers: usize, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    println!(
        "{what:<24} {writers:>4} writers {:>9.0}/s  p50 {:>8.2?}  p99 {:>8.2?}",
        took.len() as f64 / CELL.as_secs_f64(),
        at(50),
        at(99)
    );
}

fn log_alone(folder: &Path, clock: &Clock) {
    for writers in WRITERS {
        let config = LogConfig::new(folder.join(format!("log-{writers}")));
        let log = RaftLog::open(config, Arc::new(RealDisk), Box::new(|_| {})).expect("the log opens");
        let next = Mutex::new(0);
        let end = clock.now() + CELL;
        let took = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|_| {
                    scope.spawn(|| {
                        let mut took = Vec::new();
                        while clock.now() < end {
                            let start = clock.now();
                            let (tell, told) = mpsc::sync_channel(1);
                            {
                                let mut index = next.lock().expect("no panics");
                                let position = Position {
                                    term: 1,
                                    leader: 1,
                                    index: *index,
                                };
                                *index += 1;
                                let entry = LogEntry {
                                    position,
                                    tag: 1,
                                    payload: COMMAND,
                                };
                                let done = Box::new(move |result| tell.send(result).expect("it is waited for"));
                                log.append(vec![entry], done).expect("the log is well");
                            }
                            told.recv().expect("it is told").expect("the disk is well");
                            took.push(clock.now() - start);
                        }
                        took
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("no panics"))
                .collect()
        });
        print("log alone, synced", writers, took);
    }
}

async fn measure<F>(what: &str, clock: &Clock, write: impl Fn() -> F + Send + Sync + Clone + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    for writers in WRITERS {
        let tasks = Tasks::new(Shutdown::new());
        let took = Arc::new(Mutex::new(Vec::new()));
        let end = clock.now() + CELL;
        for _ in 0..writers {
            let (write, clock, took) = (write.clone(), clock.clone(), took.clone());
            tasks.spawn("writer", TaskKind::Contained, async move {
                let mut mine = Vec::new();
                while clock.now() < end {
                    let start = clock.now();
                    write().await;
                    mine.push(clock.now() - start);
                }
                took.lock().expect("no panics").extend(mine);
            });
        }
        assert!(tasks.ended_within(Duration::from_secs(30)).await);
        let took = std::mem::take(&mut *took.lock().expect("no panics"));
        print(what, writers, took);
    }
}

async fn group(folder: &Path, network: &Network, clock: &Clock, tasks: &Tasks) -> Vec<Consensus> {
    let founders: Vec<_> = (1..=3)
        .map(|id| Member {
            id: MemberId(id),
            client_address: String::new(),
            peer_address: String::new(),
        })
        .collect();
    let mut group = Vec::new();
    for local in &founders {
        let config = Config::new(folder.join(local.id.to_string()), local.clone(), founders.clone());
        let transport = network.join(local.id);
        let machine = Arc::new(Journal::new());
        let started = Consensus::start(config, transport, machine, clock.clone(), tasks).await;
        group.push(started.expect("it starts"));
    }
    group
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("muster-propose-{}", std::process::id()));
    let clock = Clock::system();
    {
        let (folder, clock) = (folder.clone(), clock.clone());
        muster_runtime::blocking(move || log_alone(&folder, &clock))
            .await
            .expect("no panics");
    }

    let (send, mut hear) = tokio::sync::mpsc::channel::<(Bytes, oneshot::Sender<Bytes>)>(10_000);
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn("constant", TaskKind::Contained, async move {
        while let Some((_, answer)) = hear.recv().await {
            let _ = answer.send(Bytes::from_static(b"ok"));
        }
    });
    measure("constant", &clock, move || {
        let send = send.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            send.send((COMMAND, answer)).await.expect("the task runs");
            answered.await.expect("it answers");
        }
    })
    .await;

    let network = Network::new();
    let group = group(&folder, &network, &clock, &tasks).await;
    let leads = async {
        loop {
            if let Some(leader) = group.iter().position(|member| member.status().role == Role::Leader) {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let leader = tokio::time::timeout(Duration::from_secs(20), leads)
        .await
        .expect("a leader");
    for (what, at) in [
        ("3 members, at the leader", leader),
        ("3 members, forwarded", (leader + 1) % 3),
    ] {
        let (door, clock_of) = (group[at].clone(), clock.clone());
        measure(what, &clock, move || {
            let (door, clock) = (door.clone(), clock_of.clone());
            async move {
                let deadline: Instant = clock.now() + Duration::from_secs(5);
                door.propose(COMMAND, deadline).await.expect("committed");
            }
        })
        .await;
    }
    for member in group {
        member.stop().await;
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}
