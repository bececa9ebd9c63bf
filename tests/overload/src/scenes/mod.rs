//! The scenes, each a load and what must hold under it.

mod bad_peers;
mod churn;
mod connections;
mod dead_subscribers;
mod setups;
mod slow_readers;
mod ten_times;

use crate::http::{self, Connection};
use crate::report::Report;
use crate::watch::{Samples, metric};
use anyhow::{Context, Result, bail};
use muster_testkit::{Cluster, Place, cluster_at, eventually, free_port};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// What all scenes are told.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// Small and quick, for every push.
    pub(crate) short: bool,
    /// Of a soak.
    pub(crate) minutes: u64,
    pub(crate) seed: u64,
}

/// In the order in which they run.
pub(crate) const NAMES: [&str; 7] = [
    "connections",
    "setups",
    "slow-readers",
    "dead-subscribers",
    "ten-times",
    "bad-peers",
    "churn",
];

/// Runs a scene by its name.
///
/// # Errors
/// It could not be played to its end.
pub(crate) async fn play(name: &str, ground: &Ground) -> Result<Report> {
    match name {
        "connections" => connections::run(ground).await,
        "setups" => setups::run(ground).await,
        "slow-readers" => slow_readers::run(ground).await,
        "dead-subscribers" => dead_subscribers::run(ground).await,
        "ten-times" => ten_times::run(ground).await,
        "bad-peers" => bad_peers::run(ground).await,
        "churn" => churn::run(ground).await,
        other => bail!("no scene {other:?}; there are {}", NAMES.join(", ")),
    }
}

/// Nodes on this machine with settings of a scene's own.
async fn start(nodes: u64, settings: &[&str]) -> Result<Cluster> {
    let places: Result<Vec<_>> = (0..nodes)
        .map(|_| {
            Ok(Place {
                ip: Ipv4Addr::LOCALHOST.into(),
                port: free_port()?,
                namespace: None,
            })
        })
        .collect();
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    cluster_at(places?, &arguments).await
}

/// A port of a node, by its distance from the main one.
fn door(cluster: &Cluster, id: u64, offset: u16) -> Result<SocketAddr> {
    let place = &cluster.node(id).place;
    let port = place.port.checked_add(offset).context("a port that high")?;
    Ok(SocketAddr::new(place.ip, port))
}

/// A quiet while, for what comes before to be over, and for figures to compare with.
async fn settle(ground: &Ground) {
    tokio::time::sleep(Duration::from_secs(if ground.short { 1 } else { 5 })).await;
}

/// Waits until newcomers are served again, each by a new connection; answers how long that took.
async fn recovered(node: SocketAddr, within: Duration) -> Result<Duration> {
    let began = Instant::now();
    let served = || async {
        let one_second = Duration::from_secs(1);
        let mut connection = Connection::open(node, one_second).await?;
        connection.call(&http::list("live"), one_second).await?.ok().map(drop)
    };
    eventually(within, "a newcomer is served", served).await?;
    Ok(began.elapsed())
}

/// Holds that each of the three members has counted three living ones all the time.
fn hold_members_together(samples: &Samples, report: &mut Report) {
    let alive = samples
        .values()
        .flat_map(|samples| metric(samples, "muster_members_alive"));
    let fewest = alive.map(|point| point.1).fold(3.0, f64::min);
    report.hold(
        "the members stay together",
        fewest == 3.0,
        format!("{fewest} alive at the least"),
    );
}
