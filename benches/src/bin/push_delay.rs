//! How long a change takes to reach a UDP subscriber, on the node it was made on and on another.
//!
//! ```text
//! cargo run --release -p muster-benches --bin push_delay -- --servers 127.0.0.1:8848,127.0.0.1:8858,127.0.0.1:8868
//! ```
//! One ephemeral instance is registered again and again with a counter in its metadata; the time from sending the
//! request to the datagram that carries the counter, or a later one, is what is measured.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use anyhow::{Context, Result};
use clap::Parser;
use hdrhistogram::Histogram;
use muster_benches::push::{Http, fresh_service, now, read_datagram};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// As often as 1.x clients poll at most; keeps the subscription and earns nothing else.
const POLL_EVERY: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Args {
    /// Main HTTP addresses on loopback: changes and the near subscriber go to the first, the far one to the second.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:8848")]
    servers: Vec<SocketAddr>,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    changes: u64,
    /// Pause between two changes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    interval_ms: u64,
    /// How long the last change is waited for.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    wait_ms: u64,
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let service = fresh_service("push");
    let done = Arc::new(AtomicBool::new(false));
    let mut publisher = Http::connect(args.servers[0])?;
    publisher.change(&service, 0)?;
    let places = [("same node", args.servers.first()), ("other node", args.servers.get(1))];
    let mut subscribers = Vec::new();
    for (place, server) in places {
        if let Some(server) = server {
            subscribers.push((place, Subscriber::start(*server, &service, args.changes, done.clone())?));
        }
    }
    // The nodes learn of the service from each other before the clock starts.
    thread::sleep(Duration::from_millis(500));
    let mut sent_at = vec![now()];
    for n in 1..=args.changes {
        sent_at.push(now());
        publisher.change(&service, n)?;
        thread::sleep(Duration::from_millis(args.interval_ms));
    }
    let deadline = now() + Duration::from_millis(args.wait_ms);
    while now() < deadline && !subscribers.iter().all(|(_, subscriber)| subscriber.is_finished()) {
        thread::sleep(Duration::from_millis(5));
    }
    done.store(true, Ordering::Relaxed);
    let mut figures = Vec::new();
    for (place, subscriber) in subscribers {
        figures.push((place, Figures::of(&sent_at, &subscriber.end()?)?));
    }
    print(&args, &figures);
    Ok(())
}

/// When which counter was heard.
type Heard = Vec<(u64, Instant)>;

struct Subscriber {
    listening: thread::JoinHandle<Result<Heard>>,
    polling: thread::JoinHandle<Result<()>>,
}

impl Subscriber {
    fn start(server: SocketAddr, service: &str, last: u64, done: Arc<AtomicBool>) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("bind the subscriber's socket")?;
        let local = socket.local_addr()?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut http = Http::connect(server)?;
        http.subscribe(service, local)?;
        let ended = done.clone();
        let listening = thread::spawn(move || listen(&socket, last, &ended));
        let service = service.to_owned();
        let polling = thread::spawn(move || {
            let mut next = now() + POLL_EVERY;
            while !done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
                if now() >= next {
                    http.subscribe(&service, local)?;
                    next += POLL_EVERY;
                }
            }
            Ok(())
        });
        Ok(Self { listening, polling })
    }

    fn is_finished(&self) -> bool {
        self.listening.is_finished()
    }

    fn end(self) -> Result<Heard> {
        self.polling.join().expect("polling does not panic")?;
        self.listening.join().expect("listening does not panic")
    }
}

fn listen(socket: &UdpSocket, last: u64, ended: &AtomicBool) -> Result<Heard> {
    let mut heard = Vec::new();
    let mut buffer = vec![0; 65_536];
    while !ended.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let at = now();
        let told = read_datagram(&buffer[..length])?;
        socket.send_to(told.ack.as_bytes(), from)?;
        if let Some(n) = told.n {
            heard.push((n, at));
            if n >= last {
                break;
            }
        }
    }
    Ok(heard)
}

struct Figures {
    micros: Histogram<u64>,
    datagrams: usize,
    /// Changes told only as part of a later list.
    merged: u64,
    /// Changes that no datagram told.
    missed: u64,
    /// Times that an older list came after a newer one.
    back: u64,
}

impl Figures {
    fn of(sent_at: &[Instant], heard: &Heard) -> Result<Self> {
        let mut figures = Self {
            micros: Histogram::new(3)?,
            datagrams: heard.len(),
            merged: 0,
            missed: 0,
            back: 0,
        };
        let mut told = 0;
        for (n, at) in heard {
            figures.back += u64::from(*n < told);
            for change in told + 1..=*n {
                let micros = at.saturating_duration_since(sent_at[change as usize]).as_micros() as u64;
                figures.micros.record(micros.max(1))?;
                figures.merged += u64::from(change < *n);
            }
            told = told.max(*n);
        }
        figures.missed = sent_at.len() as u64 - 1 - told;
        Ok(figures)
    }

    fn ms(&self, quantile: f64) -> f64 {
        self.micros.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

fn print(args: &Args, figures: &[(&str, Figures)]) {
    if args.json {
        let places = figures.iter().map(|(place, figures)| {
            serde_json::json!({
                "place": place,
                "p50_ms": figures.ms(0.5),
                "p99_ms": figures.ms(0.99),
                "max_ms": figures.ms(1.0),
                "datagrams": figures.datagrams,
                "merged": figures.merged,
                "missed": figures.missed,
                "back": figures.back,
            })
        });
        let places: Vec<_> = places.collect();
        println!(
            "{}",
            serde_json::json!({"bench": "push_delay", "changes": args.changes, "places": places})
        );
        return;
    }
    println!(
        "{} changes, one every {} ms and its answer",
        args.changes, args.interval_ms
    );
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>10} {:>7} {:>7} {:>5}",
        "subscriber", "p50 ms", "p99 ms", "max ms", "datagrams", "merged", "missed", "back"
    );
    for (place, f) in figures {
        println!(
            "{place:<12} {:>9.2} {:>9.2} {:>9.2} {:>10} {:>7} {:>7} {:>5}",
            f.ms(0.5),
            f.ms(0.99),
            f.ms(1.0),
            f.datagrams,
            f.merged,
            f.missed,
            f.back
        );
    }
}
