//! Very many ephemeral instances: each connection publishes one in every service, all stay for a while, then all connections
//! close.

use crate::Started;
use anyhow::{Context, Result, ensure};
use clap::Args;
use muster_benches::grpc::{self, Client};
use muster_benches::load::address_of;
use muster_benches::peers::{Peer, Running};
use muster_benches::push::{Http, fresh_service, now};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// From the last registration, and from the last close, to the look that counts.
const SETTLE: Duration = Duration::from_secs(20);
/// How long they are held then.
const HELD: Duration = Duration::from_secs(20);
/// Looks after the last close: tombstones and the allocator have times of their own.
const AFTERWARDS: [u64; 8] = [5, 20, 60, 120, 300, 600, 780, 900];

#[derive(Args)]
pub(crate) struct Memory {
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=2_000_000))]
    instances: u32,
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    services: u32,
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["muster"])]
    peers: Vec<Peer>,
    #[command(flatten)]
    started: Started,
    /// For how many seconds memory is looked at after the last has gone; removals are remembered for 600 and some
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(..=900))]
    watched: u64,
    #[arg(long)]
    json: bool,
}

impl Memory {
    pub(crate) async fn run(self) -> Result<()> {
        ensure!(
            self.instances.is_multiple_of(self.services),
            "as many instances in each service"
        );
        self.started.check(&self.peers)?;
        for peer in &self.peers {
            let running = self.started.start(*peer).await?;
            self.measure(*peer, &running).await.context(peer.name())?;
        }
        Ok(())
    }

    async fn measure(&self, peer: Peer, running: &Running) -> Result<()> {
        let mib = || anyhow::Ok(running.usage()?.resident_mib());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let empty = mib()?;
        let (begun, run) = (now(), fresh_service("many"));
        let (over, held) = watch::channel(());
        let mut opening = JoinSet::new();
        for number in 0..self.instances / self.services {
            opening.spawn(publish(running.grpc[0], run.clone(), number, self.services));
        }
        let mut holding = JoinSet::new();
        while let Some(client) = opening.join_next().await {
            holding.spawn(client??.hold(held.clone()));
        }
        let took = begun.elapsed();
        tokio::time::sleep(SETTLE).await;
        self.check(running, &run)?;
        let settled = running.usage()?;
        tokio::time::sleep(HELD).await;
        let usage = running.usage()?;
        let cpu_percent = usage.since(&settled).cpu_percent(HELD);
        let (full, peak) = (usage.resident_mib(), usage.peak_mib());
        drop((over, held));
        while let Some(held) = holding.join_next().await {
            held??;
        }
        let (closed, mut after) = (now(), Vec::new());
        for second in AFTERWARDS.into_iter().filter(|second| *second <= self.watched) {
            tokio::time::sleep(Duration::from_secs(second).saturating_sub(closed.elapsed())).await;
            after.push((second, mib()?));
        }
        let bytes_each = (full - empty) * 1_048_576.0 / f64::from(self.instances);
        if self.json {
            println!(
                "{}",
                json!({"peer": peer.name(), "instances": self.instances, "services": self.services, "empty_mib": empty,
                    "full_mib": full, "peak_mib": peak, "bytes_each": bytes_each, "filled_in_s": took.as_secs_f64(),
                    "cpu_percent": cpu_percent,
                    "after_s_mib": after})
            );
            return Ok(());
        }
        println!(
            "{}: {} instances in {} services, registered in {:.1} s",
            peer.name(),
            self.instances,
            self.services,
            took.as_secs_f64()
        );
        println!("  empty {empty:.0} MiB, full {full:.0} MiB (peak {peak:.0}), {bytes_each:.0} bytes an instance");
        println!("  {cpu_percent:.1} % of one processor while they are held");
        for (second, mib) in after {
            println!("  {second} s after the last had gone: {mib:.0} MiB");
        }
        Ok(())
    }

    /// That they are there.
    fn check(&self, running: &Running, run: &str) -> Result<()> {
        let mut http = Http::connect(running.http[0])?;
        let wanted = (self.instances / self.services) as usize;
        for service in [0, self.services / 2, self.services - 1] {
            let list = http.call(
                "GET",
                &format!("/nacos/v1/ns/instance/list?serviceName={run}-{service}"),
            )?;
            let list: serde_json::Value = serde_json::from_slice(&list)?;
            let listed = list["hosts"].as_array().map_or(0, Vec::len);
            ensure!(
                listed == wanted,
                "service {service} lists {listed} instances of {wanted}"
            );
        }
        Ok(())
    }
}

async fn publish(server: SocketAddr, run: String, number: u32, services: u32) -> Result<Client> {
    let mut client = Client::connect(server, None).await?;
    let ip = address_of(number.into());
    // What an instance of Spring Cloud says of itself, and something that no other says.
    let metadata =
        json!({"preserved.register.source": "SPRING_CLOUD", "zone": "a", "version": format!("1.0.{number}")});
    for service in 0..services {
        let request = grpc::register_request(&format!("{run}-{service}"), &ip, 8_080, &metadata);
        client
            .call(&request)
            .await
            .with_context(|| format!("service {service}"))?;
    }
    Ok(client)
}
