//! Floods of what gRPC clients do once: setups, streams, connections that come and go, and streams that are opened and left.
//!
//! Every third of the load is one of these, at one node; afterwards nothing of it may be left.

use super::{Ground, door, settle, start};
use crate::http;
use crate::live::Live;
use crate::report::{Report, mib};
use crate::watch::{Watch, Watched, column, highest, last, metric, slope_per_minute};
use anyhow::{Context, Result};
use muster_testkit::{GrpcClient, SDK_OFFSET, eventually, naming_setup};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Streams that one client opens and sets up; a node takes 32 on one transport.
const STREAMS_EACH: usize = 60;
/// HTTP/2 allows a client no more calls at once than the node has said.
const LEFT_EACH: usize = 90;
/// From the end of the flood: closing a transport takes a node a moment, a stream that was never set up ten seconds.
const GONE_WITHIN: Duration = Duration::from_secs(40);
/// What a burst may leave in the pools of the allocator.
const KIB_LEFT_MAX: f64 = 48.0 * 1_024.0;
const KIB_HIGHEST_MAX: f64 = 256.0 * 1_024.0;

#[derive(Default)]
struct Counts {
    setups: AtomicUsize,
    left: AtomicUsize,
    came_and_went: AtomicUsize,
    half_open: AtomicUsize,
    refused: AtomicUsize,
}

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("setups");
    let length = Duration::from_secs(if ground.short { 3 } else { 60 });
    let workers = if ground.short { 4 } else { 16 };
    let cluster = start(1, &[]).await?;
    let grpc = door(&cluster, 1, SDK_OFFSET)?;
    let watched = Watched::all(&cluster)?;
    let watch = Watch::start(&watched, Duration::from_millis(500));
    let live = Live::start(door(&cluster, 1, 0)?, grpc).await?;
    settle(ground).await;
    live.take().figures("before", &mut report);
    let before = watch.samples()[&1].last().cloned().context("no sample")?;

    let (counts, until) = (Arc::new(Counts::default()), Instant::now() + length);
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(until_then(until, counts.clone(), move |counts| {
            set_up_often(grpc, counts)
        }));
        tasks.spawn(until_then(until, counts.clone(), move |counts| {
            open_and_leave(grpc, counts)
        }));
        tasks.spawn(until_then(until, counts.clone(), move |counts| {
            come_and_go(grpc, counts)
        }));
        tasks.spawn(until_then(until, counts.clone(), move |counts| {
            begin_and_go(grpc, counts)
        }));
    }
    while tasks.join_next().await.is_some() {}

    let during = live.take();
    during.figures("during", &mut report);
    let base = before.metric("muster_grpc_connections");
    let gone = eventually(GONE_WITHIN, "the connections of the flood are gone", || async {
        let samples = watch.samples();
        let now = last(&metric(&samples[&1], "muster_grpc_connections"));
        // One more is a newcomer's.
        anyhow::ensure!(now <= base + 1.0, "{now} connections, {base} before");
        Ok(now)
    })
    .await;
    report.hold(
        "no connection of the flood is left",
        gone.is_ok(),
        match &gone {
            Ok(left) => format!("{left} connections, {base} before"),
            Err(error) => format!("{error:#}"),
        },
    );
    settle(ground).await;
    let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    report.figure(
        "flood",
        format!(
            "{} setups, {} streams left, {} clients came and went, {} half-open transports, {} refused",
            read(&counts.setups),
            read(&counts.left),
            read(&counts.came_and_went),
            read(&counts.half_open),
            read(&counts.refused)
        ),
    );
    let mut all = during.clone();
    all.add(&live.take());
    all.hold_nobody_lost(&mut report);
    all.hold_nothing_failed(&mut report);
    all.hold_pushed(&mut report);
    let samples = watch.stop().await;
    let resident = column(&samples[&1], |sample| sample.resident_kib);
    report.figure(
        "RSS before / highest / at the end",
        format!(
            "{} / {} / {}",
            mib(before.resident_kib),
            mib(highest(&resident)),
            mib(last(&resident))
        ),
    );
    report.figure("RSS slope", format!("{:+.0} KiB/min", slope_per_minute(&resident)));
    let (most, left) = (
        highest(&resident) - before.resident_kib,
        last(&resident) - before.resident_kib,
    );
    report.hold(
        "memory is bounded",
        most <= KIB_HIGHEST_MAX,
        format!("{} more at the most", mib(most)),
    );
    report.hold(
        "memory is given back",
        left <= KIB_LEFT_MAX,
        format!("{} more at the end", mib(left)),
    );
    Ok(report)
}

/// One client after the other; what goes wrong is the flood's own business.
async fn until_then<F: Future<Output = Result<()>>>(
    until: Instant,
    counts: Arc<Counts>,
    one: impl Fn(Arc<Counts>) -> F,
) {
    while Instant::now() < until {
        if one(counts.clone()).await.is_err() {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            // A node that refuses is not asked again at once, or this machine would do nothing else.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One transport, and setup after setup on streams of their own.
async fn set_up_often(grpc: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    let mut client = GrpcClient::open(&grpc.to_string()).await?;
    for _ in 0..STREAMS_EACH {
        client.set_up(&naming_setup()).await?;
        counts.setups.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Streams that never say who they are.
async fn open_and_leave(grpc: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    let mut client = GrpcClient::open(&grpc.to_string()).await?;
    for _ in 0..LEFT_EACH {
        // No setup is an object without members; this is none.
        client.set_up(&serde_json::json!(null)).await?;
        counts.left.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A whole client: it publishes, subscribes, and is killed.
async fn come_and_go(grpc: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    let client = GrpcClient::connect(&grpc.to_string()).await?;
    let number = counts.came_and_went.fetch_add(1, Ordering::Relaxed);
    client
        .register("came", "10.6.0.1", 1 + (number % 60_000) as u16)
        .await?;
    client.subscribe("came").await?;
    Ok(())
}

/// The beginning of HTTP/2, and the end.
async fn begin_and_go(grpc: SocketAddr, counts: Arc<Counts>) -> Result<()> {
    let mut stream = http::open(grpc, Duration::from_secs(3)).await?;
    stream.write_all(&crate::flood::http2_begin()).await?;
    counts.half_open.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}
