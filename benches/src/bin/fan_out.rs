//! How long it takes until every one of many UDP subscribers of one service has been told of a change.
//!
//! ```text
//! cargo run --release -p muster-benches --bin fan_out -- --server 127.0.0.1:8848 --subscribers 10000
//! ```
//! Each subscriber is a socket of its own on an address of 127.0.0.0/8, and acks as Java does. It needs as many open
//! files as subscribers (`ulimit -n`).
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "tasks of a benchmark end with it")]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hdrhistogram::Histogram;
use muster_benches::push::{Http, Told, fresh_service, now, read_datagram};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

#[derive(Parser)]
struct Args {
    /// Main HTTP address on loopback.
    #[arg(long, default_value = "127.0.0.1:8848")]
    server: SocketAddr,
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    subscribers: u32,
    /// Changes, one after the other.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// How long the last subscriber of a round is waited for.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=60))]
    wait_s: u64,
    #[arg(long)]
    json: bool,
}

/// Subscribers get the same bytes, so they are read once.
#[derive(Default)]
struct LastDatagram(Mutex<Option<(Vec<u8>, Told)>>);

impl LastDatagram {
    fn read(&self, datagram: &[u8]) -> Result<Told> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told)) = last.as_ref().filter(|(bytes, _)| bytes == datagram) {
            return Ok(told.clone());
        }
        let told = read_datagram(datagram)?;
        *last = Some((datagram.to_vec(), told.clone()));
        Ok(told)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let service = fresh_service("fan");
    let mut http = Http::connect(args.server)?;
    http.change(&service, 0)?;
    let (told, mut heard) = mpsc::channel(1 + args.subscribers as usize);
    let (last, round) = (Arc::new(LastDatagram::default()), Arc::new(AtomicU64::new(0)));
    let mut addresses = Vec::new();
    for n in 0..args.subscribers {
        let host = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + n % 4_000);
        let socket = UdpSocket::bind((host, 0))
            .await
            .with_context(|| format!("socket {n} on {host}"))?;
        addresses.push(socket.local_addr()?);
        tokio::spawn(listen(socket, last.clone(), round.clone(), told.clone()));
    }
    let mut rounds = Vec::new();
    for n in 1..=args.rounds {
        // As a client's poll every few seconds does, this keeps the subscription.
        for address in &addresses {
            http.subscribe(&service, *address)?;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        round.store(n, Ordering::Release);
        let start = now();
        http.change(&service, n)?;
        rounds.push(collect(&mut heard, args.subscribers, n, start, args.wait_s).await?);
        tokio::time::sleep(Duration::from_millis(1_000)).await;
    }
    print(&args, &rounds);
    ensure!(
        rounds.iter().all(|round| round.missed == 0),
        "some subscribers were not told"
    );
    Ok(())
}

async fn listen(
    socket: UdpSocket,
    last: Arc<LastDatagram>,
    round: Arc<AtomicU64>,
    told: mpsc::Sender<(u64, Instant)>,
) -> Result<()> {
    let mut buffer = vec![0; 2_048];
    let mut newest = 0;
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let at = now();
        let list = last.read(&buffer[..length])?;
        socket.send_to(list.ack.as_bytes(), from).await?;
        if let Some(n) = list.n.filter(|n| *n > newest && *n == round.load(Ordering::Acquire)) {
            newest = n;
            told.send((n, at)).await?;
        }
    }
}

struct Round {
    micros: Histogram<u64>,
    missed: u64,
}

async fn collect(
    heard: &mut mpsc::Receiver<(u64, Instant)>,
    subscribers: u32,
    round: u64,
    start: Instant,
    wait_s: u64,
) -> Result<Round> {
    let mut micros = Histogram::new(3)?;
    let deadline = tokio::time::Instant::from_std(start + Duration::from_secs(wait_s));
    while micros.len() < u64::from(subscribers) {
        match tokio::time::timeout_at(deadline, heard.recv()).await {
            Ok(Some((n, at))) if n == round => micros.record((at - start).as_micros() as u64)?,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    let missed = u64::from(subscribers) - micros.len();
    Ok(Round { micros, missed })
}

fn print(args: &Args, rounds: &[Round]) {
    let ms = |round: &Round, quantile| round.micros.value_at_quantile(quantile) as f64 / 1_000.0;
    if args.json {
        let rounds = rounds.iter().map(|round| {
            serde_json::json!({
                "p50_ms": ms(round, 0.5),
                "p99_ms": ms(round, 0.99),
                "all_ms": ms(round, 1.0),
                "missed": round.missed,
            })
        });
        let rounds: Vec<_> = rounds.collect();
        println!(
            "{}",
            serde_json::json!({"bench": "fan_out", "subscribers": args.subscribers, "rounds": rounds})
        );
        return;
    }
    println!("{} subscribers of one service", args.subscribers);
    println!(
        "{:>5} {:>9} {:>9} {:>9} {:>7}",
        "round", "p50 ms", "p99 ms", "all ms", "missed"
    );
    for (n, round) in rounds.iter().enumerate() {
        println!(
            "{:>5} {:>9.2} {:>9.2} {:>9.2} {:>7}",
            n + 1,
            ms(round, 0.5),
            ms(round, 0.99),
            ms(round, 1.0),
            round.missed
        );
    }
}
