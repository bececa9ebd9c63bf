//! A real node alone on a disk that keeps what was synced and nothing else for sure.

use anyhow::ensure;
use muster_power::{Disk, Random};
use muster_testkit::{Cluster, Spec, cluster_prepared, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// A node, and the disk on which its data lies in `folder`.
async fn alone(folder: &str) -> (Cluster, Disk) {
    let mut disks = Vec::new();
    let cluster = cluster_prepared(1, &[], |node| {
        let disk = Disk::new(node.data_dir.with_extension("root"))?;
        node.data_dir = disk.root().join(folder);
        node.environment = disk.environment()?;
        disks.push(disk);
        Ok(())
    })
    .await
    .unwrap();
    (cluster, disks.pop().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_acknowledges_right_after_its_first_start_survives_a_loss_of_power() {
    // Made by the node itself, so that its name can be lost with all that is in it.
    let (mut cluster, disk) = alone("a/data").await;
    for seed in 0..6 {
        let spec = Spec::persistent("kept", "10.0.0.1", seed + 1);
        eventually(SOON, "a write is acknowledged", || async {
            cluster.v1(1).register(&spec).await?.ok().map(drop)
        })
        .await
        .unwrap();
        cluster.kill(1).await.unwrap();
        disk.lose_power(&mut Random::new(seed.into())).unwrap();
        cluster.restart(1).await.unwrap();
        let listed = cluster.v1(1).list("kept").await.unwrap().all;
        assert!(listed.contains(&spec.address()), "seed {seed}: {listed:?}");
        // the next one begins with a folder that is not there
        cluster.kill(1).await.unwrap();
        disk.empty().unwrap();
        cluster.restart(1).await.unwrap();
    }
    let seen = disk.seen().unwrap();
    assert!(
        seen.syncs > 0 && seen.folder_syncs > 0 && seen.half_syncs > 0,
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_sync_fails_ends_and_has_acknowledged_nothing_that_is_not_kept() {
    use muster_power::Faults;
    let (mut cluster, disk) = alone("data").await;
    let kept = Spec::persistent("kept", "10.0.0.1", 1);
    eventually(SOON, "a write is acknowledged", || async {
        cluster.v1(1).register(&kept).await?.ok().map(drop)
    })
    .await
    .unwrap();
    disk.tell(&Faults {
        syncs_to_fail: u64::MAX,
        ..Faults::default()
    })
    .unwrap();
    let refused = cluster.v1(1).register(&Spec::persistent("kept", "10.0.0.1", 2)).await;
    assert!(refused.is_err() || refused.unwrap().status != 200);
    let status = cluster.node_mut(1).ended(SOON).await.unwrap();
    assert!(!status.success());
    assert!(disk.seen().unwrap().failures > 0);
    disk.lose_power(&mut Random::new(1)).unwrap();
    disk.tell(&Faults::default()).unwrap();
    cluster.restart(1).await.unwrap();
    let listed = eventually(SOON, "what was acknowledged is listed", || async {
        let listed = cluster.v1(1).list("kept").await?.all;
        ensure!(listed.contains(&kept.address()), "{listed:?}");
        Ok(())
    });
    listed.await.unwrap();
}
