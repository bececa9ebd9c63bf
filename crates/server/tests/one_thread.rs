//! A cluster in one thread, on disks and a network in memory: what a simulation stands on.

mod cores;

use cores::{NoClients, context, instance, service, settings};
use muster_model::{Kind, MemberId};
use muster_runtime::{Clock, Shutdown, Tasks, keep_to_one_thread};
use muster_server::core::{Core, World};
use muster_storage::testing::FaultyDisk;
use muster_transport::memory::Network;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
const LEADER_WAIT: Duration = Duration::from_secs(10);

async fn cluster(disks: &[FaultyDisk], folder: &Path) -> Vec<Core> {
    let network = Network::new();
    let mut cores = Vec::new();
    for (id, disk) in (1..).zip(disks) {
        let disk = Arc::new(disk.mount());
        let tasks = Tasks::new(Shutdown::new());
        let world = World {
            disk: disk.clone(),
            tables: disk,
            transport: network.join(MemberId(id)),
            clock: Clock::manual(1_700_000_000_000),
            sink: Arc::new(NoClients),
            tasks: tasks.clone(),
            peer_tasks: tasks,
        };
        cores.push(Core::start(&settings(id, folder), world).await.unwrap());
    }
    for core in &cores {
        core.loaded(LEADER_WAIT).await;
        core.open();
    }
    cores
}

/// Both services have their instance on all nodes within `within`.
async fn listed(cores: &[Core], within: Duration) {
    let found = |core: &Core, name: &str| core.naming.snapshot(&service(name)).instances.len();
    let all = async {
        while !cores
            .iter()
            .all(|core| found(core, "kept") == 1 && found(core, "leased") == 1)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(within, all).await.unwrap();
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

#[test]
fn a_whole_cluster_runs_in_one_thread_and_outlives_a_loss_of_power_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let disks: Vec<_> = (1..=3).map(FaultyDisk::new).collect();
    let before = threads();
    keep_to_one_thread(true);
    let runtime = paused();
    runtime.block_on(async {
        let cores = cluster(&disks, folder.path()).await;
        let naming = &cores[1].naming;
        naming
            .register(
                &context(WRITTEN_WITHIN),
                &service("kept"),
                instance(80, Kind::Persistent),
            )
            .await
            .unwrap();
        naming
            .register(
                &context(WRITTEN_WITHIN),
                &service("leased"),
                instance(80, Kind::Ephemeral),
            )
            .await
            .unwrap();
        listed(&cores, Duration::from_secs(5)).await;
        // Until the next checkpoint and warm copy.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(threads(), before);
    });
    disks.iter().for_each(FaultyDisk::lose_power);
    drop(runtime);
    paused().block_on(async {
        let cores = cluster(&disks, folder.path()).await;
        listed(&cores, Duration::from_secs(1)).await;
        assert_eq!(threads(), before);
    });
    keep_to_one_thread(false);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "the real disk is left alone"
    );
}
