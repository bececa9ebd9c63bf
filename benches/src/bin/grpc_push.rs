//! How long a change takes to reach gRPC subscribers: one on the node it was made on and one on another, or very many of
//! one service.
//!
//! ```text
//! cargo run --release -p muster-benches --bin grpc_push -- --servers 127.0.0.1:9848,127.0.0.1:9858
//! cargo run --release -p muster-benches --bin grpc_push -- --servers 127.0.0.1:9848 --subscribers 10000 --changes 10 --interval-ms 2000
//! ```
//! An instance is registered again and again with a counter in its metadata; what is measured is the time from sending the
//! request to the push that carries the counter, or a later one. It needs as many open files as subscribers (`ulimit -n`),
//! and so does the server.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "tasks of a benchmark end with it")]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hdrhistogram::Histogram;
use muster_benches::grpc::{self, Client, Event};
use muster_benches::push::{fresh_service, now};
use muster_benches::usage::Usage;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Connections opened at once.
const OPENING_MAX: usize = 64;
/// As often as SDKs check a connection that has nothing to say.
const HEALTH_EVERY: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Args {
    /// gRPC addresses on loopback: changes go to the first; subscribers are spread over all.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:9848")]
    servers: Vec<SocketAddr>,
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    subscribers: u32,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    changes: u64,
    /// Pause between two changes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    interval_ms: u64,
    /// Server processes whose memory is to be told.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    #[arg(long)]
    json: bool,
}

/// Which change a subscriber was told of, and when.
struct Told {
    place: usize,
    n: u64,
    at: Instant,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let service = fresh_service("push");
    let mut publisher = Client::connect(args.servers[0], None).await?;
    change(&mut publisher, &service, 0).await?;
    let idle = Usage::of(&args.pids)?;
    let (told, mut heard) = mpsc::unbounded_channel();
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..args.subscribers {
        let place = number as usize % args.servers.len();
        let (server, subscribe, told) = (args.servers[place], grpc::subscribe_request(&service), told.clone());
        opening.spawn(async move {
            let mut client = Client::connect(server, None).await?;
            client.call(&subscribe).await?;
            tokio::spawn(listen(client, place, told));
            anyhow::Ok(())
        });
        if opening.len() == OPENING_MAX || number + 1 == args.subscribers {
            while let Some(opened) = opening.join_next().await {
                opened?.with_context(|| format!("about subscriber {number}"))?;
            }
        }
    }
    // What a subscription is told first is over before the clock starts.
    tokio::time::sleep(Duration::from_secs(2)).await;
    while heard.try_recv().is_ok() {}
    let connected = Usage::of(&args.pids)?;
    let mut delays = vec![Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?; args.servers.len()];
    // From a change until the last subscriber knew it.
    let mut complete = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut missed = 0;
    for n in 1..=args.changes {
        let sent = now();
        change(&mut publisher, &service, n).await?;
        let mut waiting = args.subscribers;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while waiting > 0 {
            match tokio::time::timeout_at(deadline, heard.recv()).await {
                Ok(Some(told)) if told.n == n => {
                    let took = told.at.saturating_duration_since(sent).as_micros().max(1) as u64;
                    delays[told.place].record(took)?;
                    waiting -= 1;
                    if waiting == 0 {
                        complete.record(took)?;
                    }
                }
                Ok(Some(_)) => {}
                _ => break,
            }
        }
        missed += u64::from(waiting);
        tokio::time::sleep(Duration::from_millis(args.interval_ms)).await;
    }
    print(&args, &delays, &complete, missed, &idle, &connected);
    ensure!(missed == 0, "{missed} pushes did not come");
    Ok(())
}

/// Acknowledges what the server tells, says what it was, and lives as SDKs do.
async fn listen(mut client: Client, place: usize, told: mpsc::UnboundedSender<Told>) -> Result<()> {
    let health = grpc::health_request();
    let mut quiet = tokio::time::interval(HEALTH_EVERY);
    quiet.reset();
    loop {
        let message = tokio::select! {
            event = client.next() => match event? {
                Event::Told(message) => message,
                Event::Answered { .. } => continue,
            },
            _ = quiet.tick() => {
                client.ask(&health)?;
                client.flush().await?;
                continue;
            }
        };
        let at = now();
        if let Some(ack) = grpc::push_ack(&message) {
            client.answer(&ack);
        }
        if let Some(n) = grpc::text_of(&message, "n").and_then(|n| n.parse().ok())
            && told.send(Told { place, n, at }).is_err()
        {
            return Ok(());
        }
    }
}

async fn change(publisher: &mut Client, service: &str, n: u64) -> Result<()> {
    let request = grpc::register_request(service, "10.9.8.7", 80, &json!({"n": n.to_string()}));
    publisher.call(&request).await
}

fn print(
    args: &Args,
    delays: &[Histogram<u64>],
    complete: &Histogram<u64>,
    missed: u64,
    idle: &Usage,
    connected: &Usage,
) {
    let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    let each_kib = connected.resident_kib.saturating_sub(idle.resident_kib) as f64 / f64::from(args.subscribers);
    let place = |place: usize| if place == 0 { "same node" } else { "other node" };
    if args.json {
        let places: Vec<_> = delays
            .iter()
            .enumerate()
            .map(|(n, delays)| json!({"place": place(n), "p50_ms": ms(delays, 0.5), "p99_ms": ms(delays, 0.99), "max_ms": ms(delays, 1.0)}))
            .collect();
        println!(
            "{}",
            json!({"bench": "grpc_push", "subscribers": args.subscribers, "changes": args.changes, "places": places,
                "all_told_p50_ms": ms(complete, 0.5), "all_told_max_ms": ms(complete, 1.0), "missed": missed, "server_kib_per_subscriber": each_kib})
        );
        return;
    }
    println!(
        "{} subscribers, {} changes, {missed} pushes missed",
        args.subscribers, args.changes
    );
    for (n, delays) in delays.iter().enumerate().filter(|(_, delays)| !delays.is_empty()) {
        println!(
            "{}: p50 {:.2} ms  p99 {:.2} ms  max {:.2} ms",
            place(n),
            ms(delays, 0.5),
            ms(delays, 0.99),
            ms(delays, 1.0)
        );
    }
    println!(
        "all told: p50 {:.2} ms  max {:.2} ms",
        ms(complete, 0.5),
        ms(complete, 1.0)
    );
    if !args.pids.is_empty() {
        println!(
            "server memory: {each_kib:.1} KiB a subscriber, {} MiB in all",
            connected.resident_kib / 1024
        );
    }
}
