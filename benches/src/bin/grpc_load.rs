//! Drives one unary call of the gRPC door from many connections and prints rate, delays, CPU and memory.
//!
//! ```text
//! cargo run --release -p muster-benches --bin grpc_load -- register --pids $(pgrep -d, -f 'muster server')
//! cargo run --release -p muster-benches --bin grpc_load -- register --serve-constant 127.0.0.1:7998   # then --servers 127.0.0.1:7998
//! ```
//! A closed loop: each connection has `--in-flight` requests under way. A connection publishes one instance under each of
//! many services, as real clients do. The constant answer comes from tonic's own server, in a process of its own.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::disallowed_methods, reason = "tasks of a benchmark end with it")]

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use muster_benches::grpc::{self, Client, Event};
use muster_benches::push::{fresh_service, now};
use muster_benches::usage::Usage;
use muster_testkit::encode;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Connections opened at once.
const OPENING_MAX: usize = 64;

#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    call: Call,
    /// gRPC addresses on loopback that take the load in turn.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:9848")]
    servers: Vec<SocketAddr>,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests under way on each connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    in_flight: u32,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Services that a connection publishes in or asks for.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    services: u64,
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
enum Call {
    /// `InstanceRequest`, one instance of this connection in each service.
    Register,
    /// `ServiceQueryRequest` of services that have an instance of each connection.
    Query,
    /// `HealthCheckRequest`: the door and nothing behind it.
    Health,
}

impl Call {
    fn frame(self, run: &str, connection: u32, service: u64) -> Bytes {
        let name = format!("{run}-{service}");
        let ip = format!(
            "10.{}.{}.{}",
            connection >> 16,
            (connection >> 8) & 255,
            connection & 255
        );
        match self {
            Call::Register => grpc::register_request(&name, &ip, 8080, &json!({"zone": "a"})),
            Call::Query => encode(
                "ServiceQueryRequest",
                json!({"headers": {}, "namespace": "public", "serviceName": name, "groupName": "DEFAULT_GROUP",
                    "cluster": "", "healthyOnly": false, "udpPort": 0, "module": "naming"})
                .to_string(),
            ),
            Call::Health => grpc::health_request(),
        }
    }
}

#[derive(Default)]
struct Load {
    over: AtomicBool,
    refused: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(listen) = args.serve_constant {
        return constant::serve(listen).await;
    }
    let run = fresh_service("grpc");
    let mut opening = tokio::task::JoinSet::new();
    let mut clients = Vec::new();
    for number in 0..args.connections {
        let server = args.servers[number as usize % args.servers.len()];
        opening.spawn(async move {
            Client::connect(server, None)
                .await
                .with_context(|| format!("connection {number}"))
        });
        if opening.len() == OPENING_MAX || number + 1 == args.connections {
            while let Some(client) = opening.join_next().await {
                clients.push(client??);
            }
        }
    }
    if args.call == Call::Query {
        // Ten instances in each service, as a list usually has.
        for (number, client) in (0..10).zip(&mut clients) {
            for service in 0..args.services {
                client.call(&Call::Register.frame(&run, number, service)).await?;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = Usage::of(&args.pids)?;
    let load = Arc::new(Load::default());
    let started = now();
    let mut drivers = Vec::new();
    for (number, client) in (0..).zip(clients) {
        let frames = (0..args.services)
            .map(|service| args.call.frame(&run, number, service))
            .collect();
        drivers.push(tokio::spawn(drive(client, frames, args.in_flight, load.clone())));
    }
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    load.over.store(true, Ordering::Relaxed);
    let mut delays = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for driver in drivers {
        delays.add(driver.await??)?;
    }
    let took = started.elapsed();
    report(&args, &delays, &load, took, &Usage::of(&args.pids)?.since(&before));
    Ok(())
}

async fn drive(mut client: Client, frames: Vec<Bytes>, in_flight: u32, load: Arc<Load>) -> Result<Histogram<u64>> {
    let mut delays = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut frames = frames.iter().cycle();
    let mut under_way = Vec::new();
    let mut ask = |client: &mut Client, under_way: &mut Vec<_>| {
        let frame = frames.next().context("no requests")?;
        under_way.push((client.ask(frame)?, now()));
        anyhow::Ok(())
    };
    for _ in 0..in_flight {
        ask(&mut client, &mut under_way)?;
    }
    while !under_way.is_empty() {
        let Event::Answered { request, ok } = client.next().await? else {
            continue;
        };
        let place = under_way.iter().position(|(asked, _)| *asked == request);
        let (_, sent) = under_way.swap_remove(place.context("an answer to nothing")?);
        delays.record(sent.elapsed().as_micros().max(1) as u64)?;
        if !ok {
            load.refused.fetch_add(1, Ordering::Relaxed);
        }
        if !load.over.load(Ordering::Relaxed) {
            ask(&mut client, &mut under_way)?;
        }
    }
    Ok(delays)
}

fn report(args: &Args, delays: &Histogram<u64>, load: &Load, took: Duration, usage: &Usage) {
    let count = delays.len();
    let rate = count as f64 / took.as_secs_f64();
    let at = |quantile| delays.value_at_quantile(quantile) as f64 / 1_000.0;
    let refused = load.refused.load(Ordering::Relaxed);
    let cpu = usage.cpu_us_each(count);
    if args.json {
        println!(
            "{}",
            json!({
                "bench": "grpc_load", "call": format!("{:?}", args.call), "connections": args.connections,
                "in_flight": args.in_flight, "requests": count, "per_second": rate.round(), "p50_ms": at(0.5),
                "p99_ms": at(0.99), "max_ms": at(1.0), "refused": refused, "server_cpu_us_per_request": cpu,
                "server_resident_mib": usage.resident_kib / 1024,
            })
        );
        return;
    }
    println!(
        "{:?} x{}x{}: {rate:.0}/s  p50 {:.2} ms  p99 {:.2} ms  max {:.1} ms  refused {refused}  server cpu {cpu:.1} us/request  server memory {} MiB",
        args.call,
        args.connections,
        args.in_flight,
        at(0.5),
        at(0.99),
        at(1.0),
        usage.resident_kib / 1024,
    );
}

/// tonic with nothing behind it.
mod constant {
    use anyhow::Result;
    use bytes::Bytes;
    use muster_wire::grpc::{Any, Metadata, Payload};
    use std::convert::Infallible;
    use std::future::{Future, ready};
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tonic::body::Body;
    use tonic::codegen::http;
    use tonic::{Request, Response, Status, Streaming};
    use tonic_prost::ProstCodec;

    /// Serves until the process is ended.
    pub(super) async fn serve(listen: SocketAddr) -> Result<()> {
        tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .add_service(Unary)
            .add_service(Stream)
            .serve(listen)
            .await?;
        Ok(())
    }

    fn constant(request: &Payload) -> Payload {
        let (kind, json): (_, &'static [u8]) = match request.metadata.as_ref().map(|metadata| metadata.r#type.as_str()) {
            Some("ServerCheckRequest") => (
                "ServerCheckResponse",
                br#"{"resultCode":200,"errorCode":0,"connectionId":"constant","supportAbilityNegotiation":true,"success":true}"#,
            ),
            _ => (
                "InstanceResponse",
                br#"{"resultCode":200,"errorCode":0,"type":"registerInstance","success":true}"#,
            ),
        };
        payload(kind, json)
    }

    fn payload(kind: &str, json: &'static [u8]) -> Payload {
        Payload {
            metadata: Some(Metadata {
                r#type: kind.to_owned(),
                ..Metadata::default()
            }),
            body: Some(Any {
                type_url: String::new(),
                value: Bytes::from_static(json),
            }),
        }
    }

    type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    #[derive(Clone)]
    struct Unary;

    impl tonic::server::NamedService for Unary {
        const NAME: &'static str = "Request";
    }

    impl tower::Service<http::Request<Body>> for Unary {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = Answer;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Answer {
            struct Once;
            impl tonic::server::UnaryService<Payload> for Once {
                type Response = Payload;
                type Future = std::future::Ready<Result<Response<Payload>, Status>>;
                fn call(&mut self, request: Request<Payload>) -> Self::Future {
                    ready(Ok(Response::new(constant(request.get_ref()))))
                }
            }
            Box::pin(async move {
                let codec = ProstCodec::<Payload, Payload>::default();
                Ok(tonic::server::Grpc::new(codec).unary(Once, request).await)
            })
        }
    }

    #[derive(Clone)]
    struct Stream;

    impl tonic::server::NamedService for Stream {
        const NAME: &'static str = "BiRequestStream";
    }

    impl tower::Service<http::Request<Body>> for Stream {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = Answer;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Answer {
            struct Open;
            impl tonic::server::StreamingService<Payload> for Open {
                type Response = Payload;
                type ResponseStream =
                    Pin<Box<dyn tonic::codegen::tokio_stream::Stream<Item = Result<Payload, Status>> + Send>>;
                type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;
                fn call(&mut self, request: Request<Streaming<Payload>>) -> Self::Future {
                    let acknowledged = payload(
                        "SetupAckRequest",
                        br#"{"headers":{},"abilityTable":{},"module":"internal"}"#,
                    );
                    // The acknowledgement, then silence for as long as the client's half stands.
                    let stream = Held {
                        acknowledged: Some(acknowledged),
                        client: request.into_inner(),
                    };
                    ready(Ok(Response::new(Box::pin(stream))))
                }
            }
            Box::pin(async move {
                let codec = ProstCodec::<Payload, Payload>::default();
                Ok(tonic::server::Grpc::new(codec).streaming(Open, request).await)
            })
        }
    }

    struct Held {
        acknowledged: Option<Payload>,
        client: Streaming<Payload>,
    }

    impl tonic::codegen::tokio_stream::Stream for Held {
        type Item = Result<Payload, Status>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            if let Some(acknowledged) = self.acknowledged.take() {
                return Poll::Ready(Some(Ok(acknowledged)));
            }
            loop {
                match Pin::new(&mut self.client).poll_next(context) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(_) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }
}
