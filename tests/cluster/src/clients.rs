//! Writes that must get through.

use anyhow::ensure;
use muster_testkit::{Cluster, Spec, V1};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two writes of one client.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of the writes of some clients.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Registrations that were answered well, by service.
    pub acknowledged: BTreeSet<(String, String)>,
    /// Of those, at the second node that was asked.
    pub at_the_second: usize,
    /// Those that two nodes refused one after the other.
    pub failed: Vec<String>,
    pub slowest: Duration,
}

/// One client per node and kind of instance, each writing one registration after the other: to its own node, and if that
/// does not take it, once more, to the next one.
pub struct Clients {
    written: Arc<Mutex<Written>>,
    ending: tokio::sync::watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Clients {
    /// Starts to write; services are `persistent-TAG` and `ephemeral-TAG`.
    pub fn start(cluster: &Cluster, tag: u8) -> Self {
        let written = Arc::new(Mutex::new(Written::default()));
        let (ending, _) = tokio::sync::watch::channel(false);
        let mut tasks = JoinSet::new();
        let nodes = cluster.ids();
        for (home, id) in nodes.iter().enumerate() {
            let second = nodes[(home + 1) % nodes.len()];
            for ephemeral in [false, true] {
                let client = Client {
                    nodes: [cluster.v1(*id), cluster.v1(second)],
                    home: *id as u8,
                    tag,
                    ephemeral,
                    written: written.clone(),
                };
                tasks.spawn(client.write(ending.subscribe()));
            }
        }
        Self { written, ending, tasks }
    }

    /// Lets each client finish the write that it is at, and answers what became of all.
    ///
    /// # Errors
    /// A client failed, or nothing was written.
    pub async fn stop(mut self) -> anyhow::Result<Written> {
        self.ending.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(!written.acknowledged.is_empty(), "nothing was written");
        Ok(written)
    }
}

struct Client {
    nodes: [V1; 2],
    home: u8,
    tag: u8,
    ephemeral: bool,
    written: Arc<Mutex<Written>>,
}

impl Client {
    async fn write(self, ending: tokio::sync::watch::Receiver<bool>) {
        for number in 1..=u16::MAX {
            if *ending.borrow() {
                return;
            }
            let kind = if self.ephemeral { "ephemeral" } else { "persistent" };
            let service = format!("{kind}-{}", self.tag);
            let ip = format!("10.3.{}.{}", self.tag, self.home);
            let spec = Spec {
                ephemeral: self.ephemeral,
                ..Spec::persistent(&service, &ip, number)
            };
            self.register(&spec).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn register(&self, spec: &Spec) {
        let begun = Instant::now();
        let mut refusals = Vec::new();
        for node in &self.nodes {
            match node.register(spec).await {
                Ok(answer) if answer.status == 200 => break,
                Ok(answer) => refusals.push(format!("{}: {}", answer.status, answer.body)),
                Err(error) => refusals.push(format!("{error:#}")),
            }
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.slowest = written.slowest.max(begun.elapsed());
        if refusals.len() == self.nodes.len() {
            written.failed.push(format!(
                "{} {} of node {}'s client: {refusals:?}",
                spec.service,
                spec.address(),
                self.home
            ));
            return;
        }
        written.at_the_second += refusals.len();
        written.acknowledged.insert((spec.service.clone(), spec.address()));
    }
}
