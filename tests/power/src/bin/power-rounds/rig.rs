//! Three nodes, their disks, and a fourth one for changes of the members.

use anyhow::{Context, ensure};
use hyper::Method;
use muster_power::{Disk, Faults, Loss, Random};
use muster_testkit::{Cluster, Node, Signal, cluster_prepared};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The node that comes and goes.
pub(crate) const FOURTH: u64 = 4;
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Each of 30 s.
const READY_WAITS: u32 = 4;

/// Snapshots, purges and checkpoints several times in a round, and leaders soon after a start.
const SETTINGS: [&str; 8] = [
    "raft.heartbeat_ms=100",
    "raft.election_min_ms=400",
    "raft.election_max_ms=800",
    "raft.snapshot_every_entries=150",
    "persistent.checkpoint_every_ms=150",
    "http.write_timeout_ms=1500",
    "membership.ping_every_ms=200",
    "membership.dead_after_ms=1000",
];

pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    disks: BTreeMap<u64, Disk>,
    /// How far each log has been read.
    logs_read: BTreeMap<u64, usize>,
}

impl Rig {
    pub(crate) async fn new(further: &[String]) -> anyhow::Result<Self> {
        let settings = SETTINGS.iter().copied().chain(further.iter().map(String::as_str));
        let arguments: Vec<_> = settings.flat_map(|setting| ["--set", setting]).collect();
        let mut disks = BTreeMap::new();
        let cluster = cluster_prepared(3, &arguments, |node| {
            disks.insert(node.id, on_a_disk(node)?);
            Ok(())
        })
        .await?;
        Ok(Self {
            cluster,
            disks,
            logs_read: BTreeMap::new(),
        })
    }

    pub(crate) fn founders(&self) -> [u64; 3] {
        [1, 2, 3]
    }

    pub(crate) fn disk(&self, id: u64) -> &Disk {
        &self.disks[&id]
    }

    pub(crate) fn tell(&self, id: u64, faults: &Faults) -> anyhow::Result<()> {
        self.disk(id).tell(faults)
    }

    /// `kill -9` of these at once. One that has ended by itself has ended.
    pub(crate) async fn kill(&mut self, ids: &[u64]) -> anyhow::Result<()> {
        for id in ids {
            let node = self.cluster.node_mut(*id);
            if node.is_running() && node.exit_status()?.is_none() {
                node.signal(Signal::Kill)?;
            }
        }
        for id in ids {
            let node = self.cluster.node_mut(*id);
            if node.is_running() {
                node.ended(ENDED_WITHIN).await?;
            }
        }
        Ok(())
    }

    /// These lose power at once.
    pub(crate) async fn lose_power(&mut self, ids: &[u64], random: &mut Random) -> anyhow::Result<Loss> {
        self.kill(ids).await?;
        let mut loss = Loss::default();
        for id in ids {
            let disk = self.disk(*id);
            loss += disk.lose_power(random).with_context(|| format!("node {id}"))?;
            disk.tell(&Faults::default())?;
        }
        Ok(loss)
    }

    pub(crate) fn start(&mut self, ids: &[u64]) -> anyhow::Result<()> {
        ids.iter().try_for_each(|id| self.cluster.start(*id))
    }

    pub(crate) async fn ready(&mut self, ids: &[u64]) -> anyhow::Result<()> {
        for id in ids {
            let mut waits = 1;
            while let Err(error) = self.cluster.ready(*id).await {
                // On a machine that is busy with other things it may be slow; one that has ended has refused.
                ensure!(self.cluster.node(*id).is_running() && waits < READY_WAITS, error);
                waits += 1;
            }
        }
        Ok(())
    }

    /// New disks for all, and all start; they are not waited for.
    pub(crate) async fn begin_anew(&mut self) -> anyhow::Result<()> {
        let founders = self.founders();
        self.kill(&founders).await?;
        for id in founders {
            self.disk(id).empty()?;
        }
        self.start(&founders)
    }

    /// Starts the fourth node with an empty disk; it waits to be added.
    pub(crate) fn start_fourth(&mut self) -> anyhow::Result<()> {
        self.cluster.prepare(FOURTH)?;
        let disk = on_a_disk(self.cluster.node_mut(FOURTH))?;
        disk.empty()?;
        self.disks.insert(FOURTH, disk);
        self.cluster.start_joining(FOURTH)
    }

    /// Ends the fourth node; its disk is not used again.
    pub(crate) async fn forget_fourth(&mut self) -> anyhow::Result<()> {
        self.kill(&[FOURTH]).await?;
        self.disk(FOURTH).tell(&Faults::default())?;
        self.cluster.forget(FOURTH);
        Ok(())
    }

    /// Asks node `at` to add or remove the fourth node; answers the status.
    pub(crate) fn change_members(
        &self,
        at: u64,
        add: bool,
    ) -> impl Future<Output = anyhow::Result<u16>> + Send + use<> {
        let (http, address) = (self.cluster.http().clone(), self.cluster.address(at));
        let place = self.cluster.node(FOURTH).place.clone();
        async move {
            let peer = format!("{}:{}", place.ip, place.port + muster_testkit::PEER_OFFSET);
            let (id, client) = (FOURTH.to_string(), place.address());
            let added = [
                ("id", id.as_str()),
                ("client_address", &client),
                ("peer_address", &peer),
            ];
            let (method, parameters) = if add {
                (Method::POST, &added[..])
            } else {
                (Method::DELETE, &added[..1])
            };
            let path = "/nacos/v3/admin/muster/cluster/members";
            Ok(http.call(method, &address, path, parameters).await?.status)
        }
    }

    pub(crate) async fn status(&self, id: u64) -> anyhow::Result<Value> {
        self.cluster.status(id).await
    }

    /// What a node has logged since this was last asked.
    pub(crate) fn new_log(&mut self, id: u64) -> anyhow::Result<String> {
        let log = self.cluster.node(id).log();
        let read = self.logs_read.insert(id, log.len()).unwrap_or(0);
        log.get(read..).map(str::to_owned).context("a log became shorter")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.cluster.folder()
    }

    pub(crate) fn keep(&mut self) {
        self.cluster.keep_folder();
    }

    /// The shim stands between: a run without it would prove nothing.
    pub(crate) fn is_watched(&self) -> anyhow::Result<()> {
        for id in self.founders() {
            let seen = self.disk(id).seen()?;
            ensure!(seen.syncs > 0 && seen.writes > 0, "node {id} is not watched: {seen:?}");
        }
        Ok(())
    }
}

fn on_a_disk(node: &mut Node) -> anyhow::Result<Disk> {
    // The node's own folder is made by itself, below what is watched, so that its name can be lost too.
    let disk = Disk::new(node.data_dir.with_extension("root"))?;
    node.data_dir = disk.root().join("data");
    node.environment = disk.environment()?;
    Ok(disk)
}
