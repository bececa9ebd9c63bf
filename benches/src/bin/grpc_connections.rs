//! What connections cost that do nothing but live: memory while they stand and after they have gone, and CPU.
//!
//! ```text
//! cargo run --release -p muster-benches --bin grpc_connections -- --connections 15000 --used --pid $(pgrep -f 'muster server')
//! ```
//! Each is set up as a naming client's and sends a health check every five seconds, as SDKs do. With `--used` each publishes
//! one instance and subscribes to one service. It needs as many open files as connections (`ulimit -n`), and so does the
//! server.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "tasks of a benchmark end with it")]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use muster_benches::grpc::{self, Client};
use muster_benches::load::address_of;
use muster_benches::push::{fresh_service, now};
use muster_benches::usage::Usage;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is to be held by one node.
const GOAL: u64 = 50_000;
/// Connections opened at once.
const OPENING_MAX: usize = 64;
/// From the last connection to the first look: what was only needed to open them is given back by then.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:9848")]
    server: SocketAddr,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    connections: u32,
    /// Each publishes one instance and subscribes to one service.
    #[arg(long)]
    used: bool,
    /// Instances in each service.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    per_service: u32,
    /// How long they are held.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The address to come from: each has some 28,000 ports.
    #[arg(long, default_value = "127.0.0.1")]
    from: IpAddr,
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let of = || Usage::of(&[args.pid]);
    let before = of()?;
    let run = fresh_service("held");
    let began = now();
    let lost = Arc::new(AtomicU64::new(0));
    let (over, held) = watch::channel(());
    let (mut opening, mut holding) = (JoinSet::new(), JoinSet::new());
    for number in 0..args.connections {
        opening.spawn(open(
            args.server,
            args.from,
            args.used.then(|| own(&run, number, args.per_service)),
        ));
        if opening.len() == OPENING_MAX || number + 1 == args.connections {
            while let Some(client) = opening.join_next().await {
                let client = client?.with_context(|| format!("about connection {number}"))?;
                let (lost, held) = (lost.clone(), held.clone());
                holding.spawn(async move {
                    if client.hold(held).await.is_err() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
    }
    let opened_in = began.elapsed();
    tokio::time::sleep(SETTLE).await;
    let settled = of()?;
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let later = of()?;
    let lost = lost.load(Ordering::Relaxed);
    drop((over, held));
    while holding.join_next().await.is_some() {}
    tokio::time::sleep(SETTLE).await;
    let after = of()?;

    let kib = |usage: &Usage| usage.resident_kib.saturating_sub(before.resident_kib);
    let each = kib(&later) as f64 / f64::from(args.connections);
    let goal_mib = (before.resident_kib as f64 + each * GOAL as f64) / 1_024.0;
    let cpu = later.since(&settled).cpu_percent(Duration::from_secs(args.seconds));
    let opened = f64::from(args.connections) / opened_in.as_secs_f64();
    if args.json {
        println!(
            "{}",
            json!({
                "bench": "grpc_connections", "connections": args.connections, "used": args.used, "lost": lost,
                "opened_per_second": opened.round(), "kib_each": each, "resident_before_mib": before.resident_mib(),
                "resident_mib": later.resident_mib(), "resident_after_mib": after.resident_mib(), "cpu_percent_of_one": cpu,
                "resident_at_50000_mib": goal_mib,
            })
        );
    } else {
        println!(
            "{} connections, {}, opened at {opened:.0}/s, {lost} lost",
            args.connections,
            if args.used {
                "each publishes and subscribes"
            } else {
                "idle"
            }
        );
        println!(
            "memory: {each:.1} KiB each ({:.0} MiB before, {:.0} MiB with them, {:.0} MiB after they have gone); {GOAL} would be {goal_mib:.0} MiB",
            before.resident_mib(),
            later.resident_mib(),
            after.resident_mib()
        );
        println!("cpu while held: {cpu:.1} % of one processor");
    }
    ensure!(lost == 0, "{lost} connections were lost");
    Ok(())
}

/// What one connection publishes and subscribes to.
struct Own {
    publish: bytes::Bytes,
    subscribe: bytes::Bytes,
}

fn own(run: &str, number: u32, per_service: u32) -> Own {
    let service = format!("{run}-{}", number / per_service);
    let ip = address_of(number.into());
    Own {
        publish: grpc::register_request(&service, &ip, 8_080, &json!({"zone": "a"})),
        subscribe: grpc::subscribe_request(&service),
    }
}

async fn open(server: SocketAddr, from: IpAddr, own: Option<Own>) -> Result<Client> {
    let mut client = Client::connect(server, Some(from)).await?;
    if let Some(own) = own {
        client.call(&own.publish).await.context("publish")?;
        client.call(&own.subscribe).await.context("subscribe")?;
    }
    Ok(client)
}
