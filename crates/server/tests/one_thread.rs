//! A cluster in one thread, on disks and a network in memory: what a simulation stands on.

use muster_model::{
    GroupName, Host, Instance, InstanceKey, Kind, MemberId, NamespaceId, Principal, ServiceKey, ServiceName,
};
use muster_naming::Context;
use muster_push::{Delivery, Handed, Sink};
use muster_runtime::{Clock, Shutdown, Tasks, keep_to_one_thread};
use muster_server::core::{Core, World};
use muster_server::settings::Settings;
use muster_storage::testing::FaultyDisk;
use muster_transport::memory::Network;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const LEADER_WAIT: Duration = Duration::from_secs(10);

/// Nobody subscribes here.
struct NoClients;

impl Sink for NoClients {
    fn deliver(&self, _: &Delivery) -> Handed {
        Handed::Unreachable
    }
}

fn settings(id: u64, folder: &Path) -> Settings {
    Settings {
        id,
        data_dir: folder.join(id.to_string()),
        members: "1@10.0.0.1:8848,2@10.0.0.2:8848,3@10.0.0.3:8848".parse().unwrap(),
        ..Settings::default()
    }
}

async fn cluster(disks: &[FaultyDisk], folder: &Path) -> Vec<Core> {
    let network = Network::new();
    let mut cores = Vec::new();
    for (id, disk) in (1..).zip(disks) {
        let disk = Arc::new(disk.mount());
        let world = World {
            disk: disk.clone(),
            tables: disk,
            transport: network.join(MemberId(id)),
            clock: Clock::manual(1_700_000_000_000),
            sink: Arc::new(NoClients),
            tasks: Tasks::new(Shutdown::new()),
        };
        cores.push(Core::start(&settings(id, folder), world).await.unwrap());
    }
    for core in &cores {
        core.loaded(LEADER_WAIT).await;
        core.open();
    }
    cores
}

fn service(name: &str) -> ServiceKey {
    let name = ServiceName::parse(name).unwrap();
    ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name)
}

fn instance(kind: Kind) -> Instance {
    Instance::new(InstanceKey::new(Host::parse("10.1.0.1").unwrap(), 80), kind)
}

fn context() -> Context {
    let now = tokio::time::Instant::now().into_std();
    Context {
        principal: Principal::Anonymous,
        received: now,
        deadline: now + Duration::from_secs(5),
    }
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
            .register(&context(), &service("kept"), instance(Kind::Persistent))
            .await
            .unwrap();
        naming
            .register(&context(), &service("leased"), instance(Kind::Ephemeral))
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
