//! How long a node with very many persistent instances needs to start.

use crate::Started;
use anyhow::{Context, Result, ensure};
use clap::Args;
use muster_benches::load::{Door, Scenario, Shape, send_each, switch_checks_off};
use muster_benches::peers::Peer;
use muster_benches::push::{Http, fresh_service, now};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const NODE: u64 = 1;
/// What was applied is written to the checkpoint in the background.
const SETTLE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Restart {
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=2_000_000))]
    instances: u64,
    /// Instances of one service
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    per_service: u64,
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    connections: u32,
    #[command(flatten)]
    started: Started,
    #[arg(long)]
    json: bool,
}

impl Restart {
    pub(crate) async fn run(self) -> Result<()> {
        let mut running = self.started.start(Peer::Muster).await?;
        let empty_mib = running.usage()?.resident_mib();
        let begun = now();
        self.fill(running.http[0]).await?;
        let filled_s = begun.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLE).await;
        let full_mib = running.usage()?.resident_mib();
        let mut cluster = running.cluster.take().context("muster is a cluster")?;
        cluster.stop(NODE).await?;
        let begun = now();
        cluster.start(NODE)?;
        cluster.ready(NODE).await?;
        let ordered_s = begun.elapsed().as_secs_f64();
        cluster.kill(NODE).await?;
        let begun = now();
        cluster.start(NODE)?;
        cluster.ready(NODE).await?;
        let killed_s = begun.elapsed().as_secs_f64();
        self.check(running.http[0])?;
        if self.json {
            println!(
                "{}",
                json!({"instances": self.instances, "filled_in_s": filled_s, "empty_mib": empty_mib, "full_mib": full_mib,
                    "start_after_stop_s": ordered_s, "start_after_kill_s": killed_s})
            );
        } else {
            println!(
                "{} persistent instances, registered in {filled_s:.1} s, {empty_mib:.0} MiB before and {full_mib:.0} MiB with them",
                self.instances
            );
            println!(
                "ready {ordered_s:.2} s after the start that followed an orderly stop, {killed_s:.2} s after kill -9"
            );
        }
        Ok(())
    }

    /// That all are there: the sum that the node itself tells.
    fn check(&self, server: SocketAddr) -> Result<()> {
        let metrics = Http::connect(server)?.call("GET", "/metrics")?;
        let metrics = String::from_utf8(metrics)?;
        let told = metrics
            .lines()
            .find_map(|line| line.strip_prefix("muster_persistent_instances "));
        let told: u64 = told.context("no muster_persistent_instances")?.trim().parse()?;
        ensure!(told == self.instances, "{told} instances of {}", self.instances);
        Ok(())
    }

    async fn fill(&self, server: SocketAddr) -> Result<()> {
        switch_checks_off(server).await?;
        let shape = Shape {
            instances: self.instances,
            per_service: self.per_service,
            services: 0,
        };
        let run = fresh_service("kept");
        let requests = Scenario::Persistent.requests(Door::Http, &shape, &run, 0);
        send_each(server, requests, self.connections).await
    }
}
