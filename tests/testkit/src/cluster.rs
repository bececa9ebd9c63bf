//! Several nodes that know of each other.

use crate::http::Http;
use crate::node::{Node, Place, Signal};
use crate::ports::free_port;
use crate::v1::V1;
use crate::wait::eventually;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A debug build on a busy machine needs some seconds.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The drain has deadlines of its own that come to less.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// The nodes of one test, their folders and their logs. Dropped, it ends them all; if the test is failing it prints what
/// they logged.
pub struct Cluster {
    nodes: BTreeMap<u64, Node>,
    /// Flags that every node is given.
    arguments: Vec<String>,
    /// What the nodes are told of each other; the founders, at the places they have now.
    founders: Vec<u64>,
    folder: TempDir,
    http: Http,
    _turn: OwnedSemaphorePermit,
}

/// Starts a cluster of `count` nodes on loopback and waits until all are ready.
///
/// # Errors
/// It does not come up.
pub async fn cluster(count: u64) -> anyhow::Result<Cluster> {
    let places = (0..count).map(|_| loopback()).collect::<Result<_, _>>()?;
    cluster_at(places, &[]).await
}

/// Starts a cluster of nodes 1, 2, … at the given places, with further flags, and waits until all are ready.
///
/// # Errors
/// It does not come up.
pub async fn cluster_at(places: Vec<Place>, arguments: &[&str]) -> anyhow::Result<Cluster> {
    found(places, arguments, &[], |_| Ok(())).await
}

/// Starts a cluster of `count` nodes on loopback, with further flags, and waits until all are ready. `prepare` is shown each node
/// before it is started for the first time, to move its folder or give it an environment.
///
/// # Errors
/// It does not come up; those of `prepare`.
pub async fn cluster_prepared(
    count: u64,
    arguments: &[&str],
    prepare: impl FnMut(&mut Node) -> anyhow::Result<()>,
) -> anyhow::Result<Cluster> {
    let places = (0..count).map(|_| loopback()).collect::<Result<_, _>>()?;
    found(places, arguments, &[], prepare).await
}

/// Starts a cluster on loopback whose node 1, 2, … is started so long after the test, and waits until all are ready.
///
/// # Errors
/// It does not come up.
pub async fn cluster_staggered(delays: &[Duration]) -> anyhow::Result<Cluster> {
    let places = delays.iter().map(|_| loopback()).collect::<Result<_, _>>()?;
    found(places, &[], delays, |_| Ok(())).await
}

/// A node without a delay starts at once.
async fn found(
    places: Vec<Place>,
    arguments: &[&str],
    delays: &[Duration],
    prepare: impl FnMut(&mut Node) -> anyhow::Result<()>,
) -> anyhow::Result<Cluster> {
    static TURN: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));
    let turn = TURN.clone().acquire_owned().await?;
    let folder = tempfile::tempdir()?;
    let nodes = (1..)
        .zip(places)
        .map(|(id, place)| (id, Node::new(id, place, folder.path())));
    let mut nodes: BTreeMap<_, _> = nodes.collect();
    nodes.values_mut().try_for_each(prepare)?;
    let mut cluster = Cluster {
        founders: nodes.keys().copied().collect(),
        nodes,
        arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
        folder,
        http: Http::new(),
        _turn: turn,
    };
    let delays = delays.iter().copied().chain(std::iter::repeat(Duration::ZERO));
    let mut starts: Vec<_> = delays.zip(cluster.ids()).collect();
    starts.sort_unstable();
    let begun = Instant::now();
    for (delay, id) in starts {
        tokio::time::sleep_until(begun + delay).await;
        cluster.start(id)?;
    }
    for id in cluster.ids() {
        cluster.ready(id).await?;
    }
    cluster.voters(READY_WITHIN).await?;
    Ok(cluster)
}

fn loopback() -> anyhow::Result<Place> {
    Ok(Place {
        ip: Ipv4Addr::LOCALHOST.into(),
        port: free_port()?,
        namespace: None,
    })
}

impl Cluster {
    pub fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// The ids of the nodes that run.
    pub fn running(&self) -> Vec<u64> {
        self.nodes
            .values()
            .filter(|node| node.is_running())
            .map(|node| node.id)
            .collect()
    }

    /// # Panics
    /// There is no such node: the test is wrong.
    pub fn node(&self, id: u64) -> &Node {
        self.nodes.get(&id).expect("the test names nodes that it made")
    }

    /// # Panics
    /// There is no such node: the test is wrong.
    pub fn node_mut(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).expect("the test names nodes that it made")
    }

    /// `ip:port` of a node.
    pub fn address(&self, id: u64) -> String {
        self.node(id).address()
    }

    /// `ip:port` where gRPC clients of a node are answered.
    pub fn grpc_address(&self, id: u64) -> String {
        self.node(id).grpc_address()
    }

    /// `ip:port` where gRPC clients of all nodes are answered.
    pub fn grpc_addresses(&self) -> Vec<String> {
        self.nodes.values().map(Node::grpc_address).collect()
    }

    /// `ip:port` of all nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.values().map(Node::address).collect()
    }

    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The calls of 1.x clients, at one node.
    pub fn v1(&self, id: u64) -> V1 {
        V1::new(self.http.clone(), self.address(id))
    }

    fn members(&self) -> String {
        let members: Vec<_> = self
            .founders
            .iter()
            .map(|id| format!("{id}@{}", self.address(*id)))
            .collect();
        members.join(",")
    }

    /// Starts a node that does not run, without waiting for it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self, id: u64) -> anyhow::Result<()> {
        let mut arguments = vec!["--members".to_owned(), self.members()];
        arguments.extend(self.arguments.iter().cloned());
        self.node_mut(id).start(&arguments)
    }

    /// Gives a further node a place and a folder, without starting it.
    ///
    /// # Errors
    /// No port is free.
    pub fn prepare(&mut self, id: u64) -> anyhow::Result<()> {
        if !self.nodes.contains_key(&id) {
            self.nodes.insert(id, Node::new(id, loopback()?, self.folder.path()));
        }
        Ok(())
    }

    /// Starts a node that is no founder: it waits until it is added.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_joining(&mut self, id: u64) -> anyhow::Result<()> {
        self.prepare(id)?;
        let peers = self.founders.iter().filter(|&&founder| founder != id);
        let mut members: Vec<_> = peers.map(|peer| format!("{peer}@{}", self.address(*peer))).collect();
        members.push(format!("{id}@{}", self.address(id)));
        let mut arguments = vec!["--members".to_owned(), members.join(",")];
        arguments.extend(self.arguments.iter().cloned());
        self.node_mut(id).start(&arguments)
    }

    /// Waits until a node is ready.
    ///
    /// # Errors
    /// It ended, or is not within 30 s.
    pub async fn ready(&mut self, id: u64) -> anyhow::Result<()> {
        let address = self.address(id);
        let http = self.http.clone();
        let node = self.node_mut(id);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = node.exit_status()? {
                bail!("node {id} ended with {status}:\n{}", node.log_tail());
            }
            let answer = http.get(&address, "/health/ready", &[]).await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("node {id} is not ready within {READY_WITHIN:?}: {answer:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&mut self, id: u64) -> anyhow::Result<()> {
        let node = self.node_mut(id);
        node.signal(Signal::Kill)?;
        node.ended(STOPPED_WITHIN).await.map(drop)
    }

    /// `kill -9` of all at once.
    ///
    /// # Errors
    /// They do not run.
    pub async fn kill_all(&mut self) -> anyhow::Result<()> {
        for node in self.nodes.values_mut().filter(|node| node.is_running()) {
            node.signal(Signal::Kill)?;
        }
        for node in self.nodes.values_mut().filter(|node| node.is_running()) {
            node.ended(STOPPED_WITHIN).await?;
        }
        Ok(())
    }

    /// SIGTERM, and the node's orderly end.
    ///
    /// # Errors
    /// It ends with an error, or not at all.
    pub async fn stop(&mut self, id: u64) -> anyhow::Result<()> {
        let node = self.node_mut(id);
        node.signal(Signal::Term)?;
        let status = node.ended(STOPPED_WITHIN).await?;
        ensure!(status.success(), "node {id} ended with {status}:\n{}", node.log_tail());
        Ok(())
    }

    /// Starts a node that does not run and waits until it is ready.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn restart(&mut self, id: u64) -> anyhow::Result<()> {
        self.start(id)?;
        self.ready(id).await
    }

    /// Gives a node that does not run another port; its folder stays.
    ///
    /// # Errors
    /// No port is free.
    pub fn move_to_another_port(&mut self, id: u64) -> anyhow::Result<()> {
        self.node_mut(id).place.port = free_port()?;
        Ok(())
    }

    /// Takes the folder of a node that does not run away, as a new disk would.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn empty(&mut self, id: u64) -> anyhow::Result<()> {
        let folder = &self.node(id).data_dir;
        std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())
    }

    /// Where the nodes' folders and logs lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folders and logs where they are when the cluster ends; for a failure that is to be looked at.
    pub fn keep_folder(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Takes a node that was removed out of the test's own list; it is ended if it runs.
    pub fn forget(&mut self, id: u64) {
        self.founders.retain(|founder| *founder != id);
        self.nodes.remove(&id);
    }

    /// What a node knows of the cluster.
    ///
    /// # Errors
    /// It does not say.
    pub async fn status(&self, id: u64) -> anyhow::Result<Value> {
        let answer = self
            .http
            .get(&self.address(id), "/nacos/v3/admin/muster/cluster", &[])
            .await?;
        answer.ok()?.json()
    }

    /// The leader that all running nodes name, once they name the same and it runs.
    ///
    /// # Errors
    /// They do not within `deadline`.
    pub async fn leader(&self, deadline: Duration) -> anyhow::Result<u64> {
        let running = self.running();
        self.leader_among(&running, deadline).await
    }

    /// As [`Cluster::leader`], asking these nodes alone.
    ///
    /// # Errors
    /// They do not agree within `deadline`.
    pub async fn leader_among(&self, ids: &[u64], deadline: Duration) -> anyhow::Result<u64> {
        eventually(deadline, "one leader", || async {
            let mut named = None;
            for id in ids {
                let leader = self.status(*id).await?["leader"].as_u64().context("no leader")?;
                ensure!(ids.contains(&leader), "{id} still names {leader}");
                ensure!(
                    named.is_none_or(|other| other == leader),
                    "{id} names {leader}, another {named:?}"
                );
                named = Some(leader);
            }
            named.context("nobody was asked")
        })
        .await
    }

    /// Waits until all nodes vote, as every running node sees it. A founder that came late is a learner for a moment, in
    /// which the others cannot spare anyone.
    ///
    /// # Errors
    /// They do not within `deadline`.
    pub async fn voters(&self, deadline: Duration) -> anyhow::Result<()> {
        eventually(deadline, "all nodes vote", || async {
            for id in self.running() {
                let status = self.status(id).await?;
                let members = status["members"].as_array().context("no members")?;
                let voters: Vec<_> = members.iter().filter(|it| it["voter"] == true).collect();
                ensure!(voters.len() == self.nodes.len(), "node {id} sees the voters {voters:?}");
            }
            Ok(())
        })
        .await
    }

    /// Waits until the running nodes hold the same ephemeral instances by digest and have applied the same entries.
    ///
    /// # Errors
    /// They do not within `deadline`; names the digests.
    pub async fn converged(&self, deadline: Duration) -> anyhow::Result<()> {
        eventually(deadline, "equal digests", || async {
            let mut seen = Vec::new();
            for id in self.running() {
                let status = self.status(id).await?;
                seen.push((status["digest"].clone(), status["applied_index"].clone()));
            }
            ensure!(!seen[0].0.is_null(), "no digest is shown");
            ensure!(seen.iter().all(|it| *it == seen[0]), "they differ: {seen:?}");
            Ok(())
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

impl Cluster {
    /// Prints the end of all logs; a test that answers `Err` calls it, one that panics need not.
    pub fn print_logs(&self) {
        for node in self.nodes.values() {
            eprintln!("--- node {} at {}:\n{}", node.id, node.address(), node.log_tail());
        }
    }
}
