//! What is done to the cluster meanwhile.

use crate::client::{Client, Place, Places};
use crate::dice::Dice;
use crate::disk::Disks;
use crate::recorder::Recorder;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use hyper::Method;
use muster_history::Event;
use muster_testkit::{Cluster, Hosts, PEER_OFFSET, Signal};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// A debug build on a busy machine.
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// Each waits 30 s. On two cores with ten other builds a node that was killed has taken 31 s.
const READY_TRIES: usize = 4;
/// The jerks of a slow node: it stands, and runs. Under the 500 ms after which a follower stands for election, mostly.
const STANDS: Duration = Duration::from_millis(250);
const RUNS: Duration = Duration::from_millis(100);
const MEMBERS: &str = "/nacos/v3/admin/muster/cluster/members";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Nemesis {
    /// `kill -9` of one node, of the leader, or of all at once.
    Kill,
    /// A node or the leader stands still for some seconds (SIGSTOP).
    Pause,
    /// Links are cut: one node is isolated, one way, one link, or all. Needs network namespaces.
    Cut,
    /// A node or the leader runs in jerks.
    Slow,
    /// The disk of a node is full. Needs a mount.
    Disk,
    /// A node ends in order and starts again.
    Restart,
    /// A member is removed and a new one added in its place.
    Membership,
}

impl Nemesis {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Nemesis::Kill => "kill",
            Nemesis::Pause => "pause",
            Nemesis::Cut => "cut",
            Nemesis::Slow => "slow",
            Nemesis::Disk => "disk",
            Nemesis::Restart => "restart",
            Nemesis::Membership => "membership",
        }
    }
}

/// How a strike is taken back.
enum Undo {
    Start(Vec<u64>),
    Continue(u64),
    Jerk(u64),
    Heal,
    MakeRoom(u64),
}

/// The cluster and who strikes it.
pub(crate) struct Storm<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) hosts: Option<&'a Hosts>,
    pub(crate) disks: &'a Disks,
    pub(crate) recorder: Recorder,
    pub(crate) places: Places,
    pub(crate) nemeses: Vec<Nemesis>,
    pub(crate) dice: Dice,
    pub(crate) operator: Client,
    /// Nodes that are no founders.
    pub(crate) joined: BTreeSet<u64>,
    /// Logs of nodes that are gone for good.
    pub(crate) gone: Vec<(u64, String)>,
}

impl Storm<'_> {
    /// Strikes and takes it back, again and again; all is well when it returns.
    ///
    /// # Errors
    /// The cluster does not get well within a minute, or a node ends that should not.
    pub(crate) async fn rage(&mut self, until: Instant) -> anyhow::Result<usize> {
        let mut strikes = 0;
        let pause = self.dice.between_ms(1_500, 3_000);
        tokio::time::sleep(pause).await;
        while Instant::now() < until && !self.nemeses.is_empty() {
            let mut undos = Vec::new();
            undos.extend(self.strike().await?);
            let mut dwell = self.dice.between_ms(800, 5_000);
            if self.dice.once_in(3) {
                // long enough for a node to miss another for 3 s, take over for it and grant the publishers' 9 s
                dwell = self.dice.between_ms(15_000, 18_000);
            }
            if self.nemeses.len() > 1 && self.dice.once_in(3) {
                // a second one on top
                self.dwell(dwell / 2, &undos).await?;
                undos.extend(self.strike().await?);
                dwell /= 2;
            }
            self.dwell(dwell, &undos).await?;
            for undo in undos.into_iter().rev() {
                self.undo(undo).await?;
            }
            self.well().await?;
            self.recorder.add(Event::Healed {
                at_us: self.recorder.now(),
            });
            strikes += 1;
            let pause = self.dice.between_ms(1_000, 4_000);
            tokio::time::sleep(pause).await;
        }
        Ok(strikes)
    }

    async fn strike(&mut self) -> anyhow::Result<Option<Undo>> {
        let Some(nemesis) = self.dice.pick(&self.nemeses) else {
            return Ok(None);
        };
        match nemesis {
            Nemesis::Kill => self.kill().await,
            Nemesis::Pause => self.pause().await,
            Nemesis::Slow => self.slow().await,
            Nemesis::Cut => self.cut().await,
            Nemesis::Disk => self.fill().await,
            Nemesis::Restart => self.restart().await,
            Nemesis::Membership => self.replace().await,
        }
    }

    fn fault(&self, what: String, nodes: &[u64]) {
        eprintln!("  {:>8.3} s  {what}", self.recorder.now() as f64 / 1e6);
        self.recorder.add(Event::Fault {
            what,
            nodes: nodes.to_vec(),
            at_us: self.recorder.now(),
        });
    }

    /// A running node, the leader as often as not.
    async fn victim(&mut self) -> Option<u64> {
        let running = self.cluster.running();
        if self.dice.once_in(2)
            && let Some(leader) = self.leader().await
        {
            return Some(leader);
        }
        self.dice.pick(&running)
    }

    /// The first running node that says that it leads.
    async fn leader(&self) -> Option<u64> {
        for id in self.cluster.running() {
            let status = tokio::time::timeout(Duration::from_millis(500), self.cluster.status(id)).await;
            if let Ok(Ok(status)) = status
                && status["role"] == "leader"
            {
                return Some(id);
            }
        }
        None
    }

    async fn kill(&mut self) -> anyhow::Result<Option<Undo>> {
        if self.dice.once_in(4) {
            let all = self.cluster.running();
            self.fault(format!("kill -9 of all: {all:?}"), &all);
            self.cluster.kill_all().await?;
            return Ok(Some(Undo::Start(all)));
        }
        let Some(victim) = self.victim().await else {
            return Ok(None);
        };
        self.fault(format!("kill -9 of node {victim}"), &[victim]);
        self.cluster.kill(victim).await?;
        Ok(Some(Undo::Start(vec![victim])))
    }

    async fn pause(&mut self) -> anyhow::Result<Option<Undo>> {
        let Some(victim) = self.victim().await else {
            return Ok(None);
        };
        self.fault(format!("node {victim} stands still"), &[victim]);
        self.cluster.node_mut(victim).signal(Signal::Stop)?;
        Ok(Some(Undo::Continue(victim)))
    }

    async fn slow(&mut self) -> anyhow::Result<Option<Undo>> {
        let Some(victim) = self.victim().await else {
            return Ok(None);
        };
        self.fault(format!("node {victim} runs in jerks"), &[victim]);
        Ok(Some(Undo::Jerk(victim)))
    }

    async fn cut(&mut self) -> anyhow::Result<Option<Undo>> {
        let hosts = self.hosts.context("cuts need hosts")?;
        let all = self.cluster.ids();
        let Some(victim) = self.victim().await else {
            return Ok(None);
        };
        let others: Vec<_> = all.iter().copied().filter(|id| *id != victim).collect();
        let other = self.dice.pick(&others).context("a cluster has several nodes")?;
        match self.dice.below(6) {
            0..3 => {
                self.fault(format!("node {victim} is isolated"), &[victim]);
                hosts.isolate(victim as u8)?;
            }
            3 => {
                self.fault(format!("nothing goes from node {victim} to node {other}"), &[]);
                hosts.cut_way(victim as u8, other as u8)?;
            }
            4 => {
                self.fault(format!("the link of nodes {victim} and {other} is cut"), &[]);
                hosts.cut(victim as u8, other as u8)?;
            }
            _ => {
                self.fault("all links are cut".to_owned(), &all);
                for id in &all {
                    hosts.isolate(*id as u8)?;
                }
            }
        }
        Ok(Some(Undo::Heal))
    }

    async fn fill(&mut self) -> anyhow::Result<Option<Undo>> {
        let Some(victim) = self.victim().await else {
            return Ok(None);
        };
        self.fault(format!("the disk of node {victim} is full"), &[victim]);
        self.disks.fill(self.cluster.node(victim))?;
        Ok(Some(Undo::MakeRoom(victim)))
    }

    async fn restart(&mut self) -> anyhow::Result<Option<Undo>> {
        let Some(victim) = self.victim().await else {
            return Ok(None);
        };
        self.fault(format!("node {victim} ends in order"), &[victim]);
        let node = self.cluster.node_mut(victim);
        // one that stands still hears it when it goes on
        node.signal(Signal::Continue)?;
        node.signal(Signal::Term)?;
        let status = node.ended(WELL_WITHIN).await?;
        ensure!(status.success(), "node {victim} ended with {status}");
        Ok(Some(Undo::Start(vec![victim])))
    }

    async fn replace(&mut self) -> anyhow::Result<Option<Undo>> {
        let founders: Vec<_> = self
            .cluster
            .running()
            .into_iter()
            .filter(|id| !self.joined.contains(id))
            .collect();
        let all_run = self.cluster.running().len() == self.cluster.ids().len();
        // a new node finds the group by a founder
        if founders.len() < 2 || !all_run {
            return Ok(None);
        }
        let victim = self.dice.pick(&founders).context("there are founders")?;
        let new = self.cluster.ids().into_iter().max().unwrap_or(0) + 1;
        self.fault(format!("node {victim} is replaced by node {new}"), &[victim, new]);
        let other = self.places.all().into_iter().find(|place| place.id != victim);
        let other = other.context("a cluster has several nodes")?;
        self.change(Method::DELETE, &other, &[("id", &victim.to_string())])
            .await?;
        self.gone.push((victim, self.cluster.node(victim).log()));
        self.cluster.forget(victim);
        self.cluster.prepare(new)?;
        let places = places_of(self.cluster);
        self.cluster.start_joining(new)?;
        self.joined.insert(new);
        let node = self.cluster.node(new);
        let (client, peer) = (
            node.address(),
            format!("{}:{}", node.place.ip, node.place.port + PEER_OFFSET),
        );
        let added = [
            ("id", new.to_string()),
            ("client_address", client),
            ("peer_address", peer),
        ];
        let added: Vec<_> = added.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.change(Method::POST, &other, &added).await?;
        self.places.set(places);
        Ok(None)
    }

    /// Changes the membership; an answer that leaves it open, or a leader that is away, is asked again.
    async fn change(&self, method: Method, at: &Place, parameters: &[(&str, &str)]) -> anyhow::Result<()> {
        let end = Instant::now() + WELL_WITHIN;
        loop {
            let answer = self.operator.operate(method.clone(), at, MEMBERS, parameters).await;
            match answer {
                Ok((200, _)) => return Ok(()),
                other if Instant::now() > end => anyhow::bail!("{method} {MEMBERS} {parameters:?}: {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn dwell(&mut self, time: Duration, undos: &[Undo]) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        let jerks = undos.iter().find_map(|undo| match undo {
            Undo::Jerk(victim) => Some(*victim),
            _ => None,
        });
        let Some(victim) = jerks else {
            tokio::time::sleep_until(end).await;
            return Ok(());
        };
        while Instant::now() < end {
            for (signal, time) in [(Signal::Stop, STANDS), (Signal::Continue, RUNS)] {
                // killed meanwhile, it feels nothing
                if self.cluster.node(victim).is_running() {
                    self.cluster.node_mut(victim).signal(signal)?;
                }
                tokio::time::sleep(time).await;
            }
        }
        Ok(())
    }

    async fn undo(&mut self, undo: Undo) -> anyhow::Result<()> {
        match undo {
            Undo::Start(nodes) => {
                for node in nodes {
                    self.start(node)?;
                }
            }
            Undo::Continue(node) | Undo::Jerk(node) => {
                if self.cluster.node(node).is_running() {
                    self.cluster.node_mut(node).signal(Signal::Continue)?;
                }
            }
            Undo::Heal => self.hosts.context("cuts need hosts")?.heal()?,
            Undo::MakeRoom(node) => {
                self.disks.make_room(self.cluster.node(node))?;
                // it ends by itself when it cannot write; one that wrote nothing meanwhile runs on
                tokio::time::sleep(Duration::from_secs(1)).await;
                if self.cluster.node(node).is_running() && self.cluster.node_mut(node).exit_status()?.is_some() {
                    eprintln!("             node {node} had ended for want of room");
                }
                if !self.cluster.node(node).is_running() {
                    self.start(node)?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, node: u64) -> anyhow::Result<()> {
        if self.cluster.node(node).is_running() {
            return Ok(());
        }
        if self.joined.contains(&node) {
            return self.cluster.start_joining(node);
        }
        self.cluster.start(node)
    }

    /// Waits until all nodes are ready and name one leader.
    async fn well(&mut self) -> anyhow::Result<()> {
        for id in self.cluster.ids() {
            let mut last = Ok(());
            for _ in 0..READY_TRIES {
                last = self.cluster.ready(id).await;
                // one that has ended will not be ready
                if last.is_ok() || !self.cluster.node(id).is_running() {
                    break;
                }
            }
            last?;
        }
        self.cluster.leader(WELL_WITHIN).await.map(drop)
    }
}

/// Where the nodes of a cluster are asked.
pub(crate) fn places_of(cluster: &Cluster) -> Vec<Place> {
    let place = |id: u64| Place {
        id,
        address: cluster.address(id),
        grpc: cluster.grpc_address(id),
    };
    cluster.ids().into_iter().map(place).collect()
}
