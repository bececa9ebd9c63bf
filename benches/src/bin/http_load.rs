//! Drives one hot path of the HTTP door from many connections and prints rate, delays, CPU and memory.
//!
//! A closed loop: each connection sends the next request when it has the last answer, so the delays are those under the
//! full load that the rate shows, not those of a given load. `--constant` answers every request with the same bytes from a
//! process of its own on the same HTTP stack as the product's: the rate that the machine, the kernel and the stack allow.

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use muster_benches::usage::Usage;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    scenario: Scenario,
    /// Addresses that take the load in turn.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:8848")]
    servers: Vec<SocketAddr>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Instances that beats, lists and registrations are spread over.
    #[arg(long, default_value_t = 10_000)]
    instances: u64,
    /// Instances of one service.
    #[arg(long, default_value_t = 10)]
    per_service: u64,
    /// Server processes whose CPU and memory are to be told.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    /// Answer a constant at this address instead of loading one.
    #[arg(long)]
    serve_constant: Option<SocketAddr>,
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Scenario {
    Beat,
    List,
    Register,
    RegisterPersistent,
}

impl Scenario {
    /// The request number `n`, ready to send.
    fn request(self, n: u64, per_service: u64, host: SocketAddr) -> Vec<u8> {
        let (service, ip) = (
            n / per_service,
            format!("10.{}.{}.{}", (n >> 16) & 255, (n >> 8) & 255, n & 255),
        );
        let (method, target) = match self {
            Scenario::Beat => (
                "PUT",
                format!(
                    "instance/beat?namespaceId=public&serviceName=DEFAULT_GROUP%40%40load-{service}&clusterName=DEFAULT&ip={ip}&port=8080"
                ),
            ),
            Scenario::List => (
                "GET",
                format!(
                    "instance/list?namespaceId=public&serviceName=DEFAULT_GROUP%40%40load-{service}&clusters=&udpPort=0&clientIP=10.9.9.9&healthyOnly=false"
                ),
            ),
            Scenario::Register | Scenario::RegisterPersistent => (
                "POST",
                format!(
                    "instance?namespaceId=public&serviceName=DEFAULT_GROUP%40%40{}-{service}&groupName=DEFAULT_GROUP&clusterName=DEFAULT&ip={ip}&port=8080&weight=1.0&enable=true&healthy=true&ephemeral={}&metadata=%7B%22zone%22%3A%22a%22%7D",
                    if self == Scenario::Register { "load" } else { "kept" },
                    self == Scenario::Register,
                ),
            ),
        };
        format!("{method} /nacos/v1/ns/{target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Nacos-Java-Client:v1.4.6\r\nContent-Length: 0\r\n\r\n")
            .into_bytes()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(listen) = args.serve_constant {
        return constant::serve(listen).await;
    }
    if matches!(args.scenario, Scenario::Beat | Scenario::List) {
        fill(&args)
            .await
            .context("registering what is to be beaten and listed")?;
    }
    let before = Usage::of(&args.pids)?;
    let load = Arc::new(Load::default());
    let started = now();
    let mut connections = Vec::new();
    for connection in 0..args.connections {
        let server = args.servers[connection % args.servers.len()];
        let requests = Requests {
            scenario: args.scenario,
            server,
            instances: args.instances,
            per_service: args.per_service,
        };
        #[allow(clippy::disallowed_methods, reason = "a benchmark without a product's tasks")]
        connections.push(tokio::spawn(drive(requests, Arc::clone(&load))));
    }
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    load.over.store(true, Ordering::Relaxed);
    let mut delays = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for connection in connections {
        delays.add(connection.await??)?;
    }
    report(
        &args,
        &delays,
        &load,
        started.elapsed(),
        &Usage::of(&args.pids)?.since(&before),
    )
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]
fn now() -> Instant {
    Instant::now()
}

#[derive(Default)]
struct Load {
    next: AtomicU64,
    refused: AtomicU64,
    over: AtomicBool,
}

struct Requests {
    scenario: Scenario,
    server: SocketAddr,
    instances: u64,
    per_service: u64,
}

/// Registers every instance once.
async fn fill(args: &Args) -> Result<()> {
    let mut stream = Connection::open(args.servers[0]).await?;
    for n in 0..args.instances {
        let status = stream
            .exchange(&Scenario::Register.request(n, args.per_service, args.servers[0]))
            .await?;
        ensure!(status == 200, "registering answered {status}");
    }
    // Copies reach the other members within milliseconds; a beat at another node before that would be an unknown one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn drive(requests: Requests, load: Arc<Load>) -> Result<Histogram<u64>> {
    let mut delays = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut connection = Connection::open(requests.server).await?;
    while !load.over.load(Ordering::Relaxed) {
        // Registrations go round the instances again and again with nothing changed but the first time; steps by a prime
        // keep neighbours in time from being neighbours in one service.
        let n = load.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(7_919) % requests.instances;
        let request = requests.scenario.request(n, requests.per_service, requests.server);
        let sent = now();
        if connection.exchange(&request).await? != 200 {
            load.refused.fetch_add(1, Ordering::Relaxed);
        }
        delays.record(sent.elapsed().as_micros().max(1) as u64)?;
    }
    Ok(delays)
}

/// A kept-alive connection that reads just as much of HTTP/1.1 as answers with a `Content-Length` need.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server)
            .await
            .with_context(|| format!("connecting to {server}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(16 * 1024),
        })
    }

    /// Sends a request and reads its answer; returns the status.
    async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(
                self.stream.read_buf(&mut self.read).await? > 0,
                "the server closed the connection"
            );
        };
        let text = std::str::from_utf8(&self.read[..head])?;
        let status = text.get(9..12).context("no status line")?.parse()?;
        let Some(length) = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        }) else {
            bail!("an answer without Content-Length:\n{text}")
        };
        while self.read.len() < head + length {
            ensure!(
                self.stream.read_buf(&mut self.read).await? > 0,
                "the server closed the connection"
            );
        }
        Ok(status)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn report(args: &Args, delays: &Histogram<u64>, load: &Load, took: Duration, usage: &Usage) -> Result<()> {
    let (count, seconds) = (delays.len(), took.as_secs_f64());
    let per_second = count as f64 / seconds;
    let cpu_us_per_request = usage.cpu_us_each(count);
    let at = |quantile| delays.value_at_quantile(quantile) as f64 / 1_000.0;
    let refused = load.refused.load(Ordering::Relaxed);
    let row = serde_json::json!({
        "scenario": format!("{:?}", args.scenario), "connections": args.connections, "requests": count,
        "per_second": per_second.round(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": delays.max() as f64 / 1_000.0,
        "refused": refused, "server_cpu_us_per_request": cpu_us_per_request, "server_resident_mib": usage.resident_kib / 1024,
    });
    #[allow(clippy::print_stdout, reason = "the result")]
    if args.json {
        println!("{row}");
    } else {
        println!(
            "{:?} x{}: {per_second:.0}/s  p50 {:.2} ms  p99 {:.2} ms  max {:.1} ms  refused {refused}  server cpu {cpu_us_per_request:.1} us/request  server memory {} MiB",
            args.scenario,
            args.connections,
            at(0.5),
            at(0.99),
            delays.max() as f64 / 1_000.0,
            usage.resident_kib / 1024,
        );
    }
    Ok(())
}

/// The same HTTP stack with nothing behind it.
mod constant {
    use anyhow::Result;
    use http_body_util::Full;
    use hyper::body::{Bytes, Incoming};
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use tokio::net::TcpListener;

    /// Serves until the process is ended.
    pub(super) async fn serve(listen: SocketAddr) -> Result<()> {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            #[allow(clippy::disallowed_methods, reason = "a benchmark without a product's tasks")]
            tokio::spawn(async move {
                let answer = service_fn(|_: Request<Incoming>| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                });
                // A client that goes away is no news here.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    }
}
