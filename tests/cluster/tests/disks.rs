//! Disks that fill up, and files whose bits have flipped. Full disks are small file systems in memory and need root; says so
//! where they cannot be had.
//!
//! What holds of all: the node says what is wrong and ends, or goes on without what is damaged; it shows no list that lacks
//! what was acknowledged; the others go on; and the way back that the runbook names works.

use anyhow::{Context, ensure};
use muster_cluster::{WRITTEN_WITHIN, written};
use muster_testkit::{Cluster, Listed, Place, Signal, Spec, Writer, cluster, cluster_at, eventually, free_port};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const SMALL_DISK: &str = "size=48m";
/// What is left of a disk that is about to be full: a hundred registrations.
const LEFT_BYTES: u64 = 16 * 1024;

/// A small disk under the data folder of a node, with what lay there before; taken away when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts a stopped node's folder on a small disk.
    fn under(cluster: &Cluster, node: u64) -> anyhow::Result<Self> {
        let folder = cluster.node(node).data_dir.clone();
        let aside = folder.with_extension("aside");
        fs::rename(&folder, &aside)?;
        fs::create_dir(&folder)?;
        run("mount", &["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"], &folder)?;
        let disk = Self(folder.clone());
        run("cp", &["-a", &format!("{}/.", aside.display())], &folder)?;
        Ok(disk)
    }

    /// Leaves little room.
    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = fs::File::create(self.ballast())?;
        while ballast.write_all(&[7; 4096]).is_ok() {}
        let length = ballast.metadata()?.len();
        ensure!(length > LEFT_BYTES, "the disk was full before");
        ballast.set_len(length - LEFT_BYTES)?;
        Ok(())
    }

    fn make_room(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: its node may still run, and the folder is removed next.
        let _ = run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).arg(last).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(())
}

/// Why there can be no small disks here.
fn small_disks_missing() -> Option<String> {
    let folder = tempfile::tempdir().ok()?;
    let mounted = run("mount", &["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"], folder.path());
    let unmounted = mounted.and_then(|()| run("umount", &[], folder.path()));
    unmounted.err().map(|error| format!("{error:#}"))
}

/// Waits until a node has ended by itself.
async fn ends_by_itself(cluster: &mut Cluster, node: u64) -> anyhow::Result<ExitStatus> {
    let ended = cluster.node_mut(node).ended(WRITTEN_WITHIN).await;
    ended.with_context(|| format!("it goes on: {}", cluster.node(node).log_tail()))
}

/// Stops a node with a full disk that may be ending by itself: whether it was still given something to write is a race.
async fn stopped_or_full(cluster: &mut Cluster, id: u64) -> anyhow::Result<()> {
    let node = cluster.node_mut(id);
    node.signal(Signal::Term)?;
    let status = node.ended(WRITTEN_WITHIN).await?;
    let named = node.log().contains("No space left");
    ensure!(status.success() || named, "node {id}: {status}: {}", node.log_tail());
    Ok(())
}

/// Every running node lists everything that was acknowledged.
async fn nothing_lost(cluster: &Cluster, acknowledged: &BTreeSet<String>) -> anyhow::Result<()> {
    for node in cluster.running() {
        eventually(SOON, "all that was acknowledged is listed", || async {
            let listed = cluster.v1(node).list("kept").await?;
            let lost = acknowledged.difference(&listed.all).count();
            ensure!(lost == 0, "{lost} of {} are lost at node {node}", acknowledged.len());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn put_on_small_disk(cluster: &mut Cluster, node: u64) -> SmallDisk {
    cluster.stop(node).await.unwrap();
    let disk = SmallDisk::under(cluster, node).unwrap();
    cluster.restart(node).await.unwrap();
    disk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_says_so_and_ends_and_the_others_go_on() {
    if let Some(why) = small_disks_missing() {
        eprintln!("not run, there are no small disks here: {why}");
        return;
    }
    let mut cluster = cluster(3).await.unwrap();
    let node = cluster.leader(SOON).await.unwrap();
    let disk = put_on_small_disk(&mut cluster, node).await;
    cluster.voters(SOON).await.unwrap();
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", 8);
    written(&writer, 50).await.unwrap();
    disk.fill().unwrap();
    let status = ends_by_itself(&mut cluster, node).await.unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
    let log = cluster.node(node).log();
    let named = log
        .lines()
        .rev()
        .find(|line| line.contains("this node cannot go on"))
        .unwrap_or_default();
    eprintln!("node {node} ended: {named}");
    assert!(named.contains("No space left"), "{named}");
    cluster.leader(SOON).await.unwrap();
    written(&writer, 100).await.unwrap();
    // Still full: it does not come back, and says why again.
    cluster.start(node).unwrap();
    let again = ends_by_itself(&mut cluster, node).await;
    eprintln!("started again on the full disk: {again:?}");
    if again.is_err() {
        cluster.kill(node).await.unwrap();
    }
    disk.make_room().unwrap();
    cluster.restart(node).await.unwrap();
    let (acknowledged, refused, last) = writer.stop().await;
    eprintln!("{} acknowledged, {refused} not, the last: {last}", acknowledged.len());
    nothing_lost(&cluster, &acknowledged).await.unwrap();
    cluster.converged(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_disks_of_all_nodes_are_full_nothing_acknowledged_is_lost() {
    if let Some(why) = small_disks_missing() {
        eprintln!("not run, there are no small disks here: {why}");
        return;
    }
    let mut cluster = cluster(3).await.unwrap();
    let mut disks = Vec::new();
    for node in cluster.ids() {
        disks.push(put_on_small_disk(&mut cluster, node).await);
    }
    cluster.voters(SOON).await.unwrap();
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", 8);
    written(&writer, 50).await.unwrap();
    for disk in &disks {
        disk.fill().unwrap();
    }
    // With two of them gone the third has no majority to write with. It ends, too, if it was given something to write before.
    let ids = cluster.ids();
    let mut ended = BTreeSet::new();
    let begun = tokio::time::Instant::now();
    while ended.len() < 2 && begun.elapsed() < WRITTEN_WITHIN {
        for id in &ids {
            if cluster.node(*id).is_running() && cluster.node_mut(*id).exit_status().unwrap().is_some() {
                assert!(
                    cluster.node(*id).log().contains("No space left"),
                    "{}",
                    cluster.node(*id).log_tail()
                );
                ended.insert(*id);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ended.len() >= 2, "only {ended:?} have ended");
    let (acknowledged, refused, last) = writer.stop().await;
    eprintln!(
        "{ended:?} ended; {} acknowledged, {refused} not, the last: {last}",
        acknowledged.len()
    );
    for id in cluster.running() {
        let refused = cluster.v1(id).register(&Spec::persistent("kept", "10.9.9.9", 9)).await;
        assert!(
            !refused.is_ok_and(|answer| answer.status == 200),
            "acknowledged by one of three"
        );
        stopped_or_full(&mut cluster, id).await.unwrap();
    }
    for disk in &disks {
        disk.make_room().unwrap();
    }
    for id in &ids {
        cluster.start(*id).unwrap();
    }
    for id in &ids {
        cluster.ready(*id).await.unwrap();
    }
    cluster.leader(SOON).await.unwrap();
    nothing_lost(&cluster, &acknowledged).await.unwrap();
    cluster.converged(SOON).await.unwrap();
}

/// Files of a folder and those below it.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Flips a bit in every `every`-th byte from `from` on.
fn damage(path: &Path, from: usize, every: usize) {
    let mut bytes = fs::read(path).unwrap();
    assert!(bytes.len() > from, "{} has {} bytes", path.display(), bytes.len());
    for byte in bytes[from..].iter_mut().step_by(every) {
        *byte ^= 0x10;
    }
    fs::write(path, bytes).unwrap();
}

/// Asks a node that is starting for lists until it is ready or has ended: it refuses, or shows all.
async fn refuses_or_shows_all(cluster: &mut Cluster, node: u64, wanted: &BTreeSet<String>) -> Option<ExitStatus> {
    let (http, address) = (cluster.http().clone(), cluster.address(node));
    let begun = tokio::time::Instant::now();
    let mut shown = 0;
    while shown < 20 {
        assert!(begun.elapsed() < SOON * 2, "{}", cluster.node(node).log_tail());
        if let Some(status) = cluster.node_mut(node).exit_status().unwrap() {
            return Some(status);
        }
        let answer = http
            .get(&address, "/nacos/v1/ns/instance/list", &[("serviceName", "kept")])
            .await;
        if let Ok(answer) = answer.as_ref()
            && answer.status == 200
        {
            let listed = Listed::parse(&answer.json().unwrap()).unwrap();
            let lacking = wanted.difference(&listed.all).count();
            assert_eq!(lacking, 0, "node {node} shows a list without {lacking} instances");
            shown += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// A cluster that takes a snapshot every 200 entries, with 700 writes behind it; and all that was acknowledged.
async fn with_snapshots() -> (Cluster, u64, BTreeSet<String>) {
    let places = (0..3).map(|_| Place {
        ip: Ipv4Addr::LOCALHOST.into(),
        port: free_port().unwrap(),
        namespace: None,
    });
    let flags = [
        "--set",
        "raft.snapshot_every_entries=200",
        "--set",
        "persistent.checkpoint_every_ms=500",
    ];
    let cluster = cluster_at(places.collect(), &flags).await.unwrap();
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", 8);
    let mut acknowledged = BTreeSet::new();
    written(&writer, 700).await.unwrap();
    acknowledged.extend(writer.stop().await.0);
    cluster.converged(SOON).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let victim = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    eventually(SOON, "a snapshot is taken and the log before it is gone", || async {
        let status = cluster.status(victim).await?;
        ensure!(status["snapshot_index"].as_u64() >= Some(200), "{status}");
        Ok(())
    })
    .await
    .unwrap();
    // The checkpoint follows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    (cluster, victim, acknowledged)
}

fn snapshots_of(cluster: &Cluster, node: u64) -> Vec<PathBuf> {
    let all = files_below(&cluster.node(node).data_dir.join("raft"));
    let found: Vec<_> = all
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("snap"))
        .collect();
    assert!(
        !found.is_empty(),
        "no snapshot: {:?}",
        files_below(&cluster.node(node).data_dir)
    );
    found
}

fn damage_checkpoint(cluster: &Cluster, node: u64) {
    let all = files_below(&cluster.node(node).data_dir.join("state"));
    assert!(!all.is_empty(), "no checkpoint");
    for path in all {
        if fs::metadata(&path).unwrap().len() > 64 {
            damage(&path, 16, 7);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_and_a_damaged_checkpoint_are_named_and_no_list_lacks_what_was_acknowledged() {
    let (mut cluster, victim, acknowledged) = with_snapshots().await;

    cluster.stop(victim).await.unwrap();
    for path in snapshots_of(&cluster, victim) {
        damage(&path, 100, 50);
    }
    cluster.start(victim).unwrap();
    let ended = refuses_or_shows_all(&mut cluster, victim, &acknowledged).await;
    assert!(ended.is_none(), "{}", cluster.node(victim).log_tail());
    let log = cluster.node(victim).log();
    assert!(log.contains("a snapshot is damaged and passed over"), "{log}");

    cluster.stop(victim).await.unwrap();
    damage_checkpoint(&cluster, victim);
    cluster.start(victim).unwrap();
    let ended = refuses_or_shows_all(&mut cluster, victim, &acknowledged).await;
    let log = cluster.node(victim).log();
    assert!(log.contains("checkpoint is damaged: put aside"), "{log}");
    eprintln!("with a damaged checkpoint and no snapshot: ended {ended:?}");
    if ended.is_some() {
        taken_in_with_an_empty_folder(&mut cluster, victim, &acknowledged).await;
    }
    cluster.converged(SOON).await.unwrap();
    nothing_lost(&cluster, &acknowledged).await.unwrap();
}

async fn taken_in_with_an_empty_folder(cluster: &mut Cluster, node: u64, acknowledged: &BTreeSet<String>) {
    cluster.empty(node).unwrap();
    cluster.start(node).unwrap();
    let ended = refuses_or_shows_all(cluster, node, acknowledged).await;
    assert!(ended.is_none(), "{}", cluster.node(node).log_tail());
    cluster.voters(SOON).await.unwrap();
    assert!(cluster.node(node).log().contains("taken in again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_damaged_log_names_it_and_does_not_start_until_its_folder_is_emptied() {
    let mut cluster = cluster(3).await.unwrap();
    let writer = Writer::start(cluster.http(), &cluster.addresses(), "kept", 8);
    written(&writer, 200).await.unwrap();
    let (acknowledged, ..) = writer.stop().await;
    cluster.converged(SOON).await.unwrap();
    let victim = cluster.leader(SOON).await.unwrap();
    cluster.kill(victim).await.unwrap();
    let segments: Vec<_> = files_below(&cluster.node(victim).data_dir.join("raft"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    let segment = segments
        .iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let length = fs::metadata(segment).unwrap().len() as usize;
    damage(segment, length / 2, length);
    cluster.start(victim).unwrap();
    let ended = refuses_or_shows_all(&mut cluster, victim, &acknowledged).await;
    let status = ended.expect("it does not start");
    assert_eq!(status.code(), Some(1));
    let log = cluster.node(victim).log();
    let named = log
        .lines()
        .rev()
        .find(|line| line.contains("damaged"))
        .unwrap_or_default();
    eprintln!("refused: {named}");
    assert!(
        named.contains(segment.file_name().unwrap().to_str().unwrap()),
        "{named}"
    );
    taken_in_with_an_empty_folder(&mut cluster, victim, &acknowledged).await;
    nothing_lost(&cluster, &acknowledged).await.unwrap();
    cluster.converged(SOON).await.unwrap();
}
