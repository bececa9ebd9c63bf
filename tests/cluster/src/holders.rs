//! Instances that connections hold.

use anyhow::{Context, ensure};
use muster_testkit::{GrpcClient, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// A client that hears nothing for this long looks for another node; real ones wait 3 s for the answer to a health check.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A refusal comes at once, and asking for the next one as quickly would take the nodes' time.
const CONNECT_AGAIN: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(15);

/// Clients of 2.x and 3.x that each publish one instance over a stream, and go to the next node when theirs is gone, silent,
/// or says that it stops. As Java's, they leave the old connection once they have the new one.
pub struct Holders {
    addresses: Vec<String>,
    moved: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Holders {
    /// Opens `count` connections, spread over the nodes, and waits until each has published.
    ///
    /// # Errors
    /// Not all could within 15 s.
    pub async fn start(nodes: &[String], service: &str, ip: &str, count: u16) -> anyhow::Result<Self> {
        let nodes: Arc<[String]> = nodes.into();
        let (published, moved) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for port in 1..=count {
            let holder = Holder {
                nodes: nodes.clone(),
                service: service.to_owned(),
                ip: ip.to_owned(),
                port,
                published: published.clone(),
                moved: moved.clone(),
            };
            tasks.spawn(holder.hold());
        }
        eventually(SOON, "all connections have published", || async {
            let so_far = published.load(Ordering::Relaxed);
            ensure!(so_far >= usize::from(count), "{so_far} of {count}");
            Ok(())
        })
        .await?;
        Ok(Self {
            addresses: (1..=count).map(|port| format!("{ip}:{port}")).collect(),
            moved,
            _tasks: tasks,
        })
    }

    /// `ip:port` of all.
    pub fn published(&self) -> impl Iterator<Item = String> + '_ {
        self.addresses.iter().cloned()
    }

    /// How often a client went to another node.
    pub fn moved(&self) -> usize {
        self.moved.load(Ordering::Relaxed)
    }
}

struct Holder {
    nodes: Arc<[String]>,
    service: String,
    ip: String,
    port: u16,
    published: Arc<AtomicUsize>,
    moved: Arc<AtomicUsize>,
}

impl Holder {
    async fn hold(self) {
        // What is left behind is closed once its instance is published elsewhere.
        let mut left = Vec::new();
        for turn in usize::from(self.port).. {
            let node = &self.nodes[turn % self.nodes.len()];
            let Ok(Ok(mut client)) = tokio::time::timeout(ANSWER_WITHIN, GrpcClient::connect(node)).await else {
                tokio::time::sleep(CONNECT_AGAIN).await;
                continue;
            };
            let registered = client.register(&self.service, &self.ip, self.port);
            if let Ok(Ok(())) = tokio::time::timeout(ANSWER_WITHIN, registered).await {
                left.clear();
                self.published.fetch_add(1, Ordering::Relaxed);
                // Ends with the reason why the client leaves.
                let _ = stay(&mut client).await;
                self.moved.fetch_add(1, Ordering::Relaxed);
            }
            left.push(client);
        }
    }
}

/// # Errors
/// Always in the end: the node is silent, gone, or sends its clients elsewhere.
async fn stay(client: &mut GrpcClient) -> anyhow::Result<()> {
    loop {
        let check = json!({"headers": {}, "module": "internal"});
        let answered = client.ok("HealthCheckRequest", &check);
        tokio::time::timeout(ANSWER_WITHIN, answered)
            .await
            .context("no answer to a health check")??;
        match client.next(CHECK_EVERY).await {
            Ok(heard) => ensure!(heard.kind != "ConnectResetRequest", "sent elsewhere"),
            Err(error) => ensure!(error.to_string().contains("nothing heard"), "{error:#}"),
        }
    }
}
