//! A thousand connections that never read, half of them gRPC subscribers and half HTTP clients that ask for lists, while a
//! large service changes twenty times a second.

use super::{Ground, door, settle, start};
use crate::http::{self, Answer, Connection, Spec};
use crate::live::Live;
use crate::report::{Report, mib};
use crate::watch::{Watch, Watched, column, highest, last, metric, second_half, slope_per_minute};
use anyhow::{Context, Result};
use muster_testkit::{GrpcClient, SDK_OFFSET};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SERVICE: &str = "large";
const CHANGE_EVERY: Duration = Duration::from_millis(50);
/// Lists that a client asks for and does not read: more than the kernel takes for it.
const LISTS_ASKED: usize = 200;
const WITHIN: Duration = Duration::from_secs(10);
/// Of an answer of 64 KiB at the gRPC door, of the list of a stream, and of hyper's buffers.
const KIB_PER_CONNECTION_MAX: f64 = 256.0;
const KIB_BESIDE_MAX: f64 = 64.0 * 1_024.0;
/// Of the connections, that which is still there at the end: nodes end who reads nothing for a minute.
const ENDED_AFTER: Duration = Duration::from_secs(85);
/// Nobody polls when they are gone; the allocator may keep its pools.
const KIB_LEFT_MAX: f64 = 96.0 * 1_024.0;

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("slow-readers");
    let (readers, instances) = if ground.short { (100, 100) } else { (1_000, 500) };
    let length = if ground.short {
        Duration::from_secs(6)
    } else {
        ENDED_AFTER
    };
    let cluster = start(1, &[]).await?;
    let (node, grpc) = (door(&cluster, 1, 0)?, door(&cluster, 1, SDK_OFFSET)?);
    let list_bytes = fill(node, instances).await?;
    let watched = Watched::all(&cluster)?;
    let watch = Watch::start(&watched, Duration::from_millis(500));
    let live = Live::start(node, grpc).await?;
    settle(ground).await;
    live.take().figures("before", &mut report);
    let before = watch.samples()[&1].last().cloned().context("no sample")?;

    let (mut streams, mut askers) = (Vec::new(), Vec::new());
    for _ in 0..readers / 2 {
        let client = GrpcClient::connect(&grpc.to_string()).await?;
        client.subscribe(SERVICE).await?;
        client.freeze();
        streams.push(client);
        let mut asker = Connection::open(node, WITHIN).await?;
        asker.send(&http::list(SERVICE).repeat(LISTS_ASKED)).await?;
        askers.push(asker);
    }
    let mut changes = JoinSet::new();
    changes.spawn(change(node));
    let began = watch.now();
    tokio::time::sleep(length).await;
    let during = live.take();
    during.figures("during", &mut report);
    let samples = watch.samples();
    let held: Vec<_> = samples[&1]
        .iter()
        .filter(|sample| sample.at >= began)
        .cloned()
        .collect();
    let resident = column(&held, |sample| sample.resident_kib);
    let most = highest(&resident) - before.resident_kib;
    report.figure("list", format!("{} KiB of {instances} instances", list_bytes / 1_024));
    report.figure(
        "RSS before / highest",
        format!("{} / {}", mib(before.resident_kib), mib(highest(&resident))),
    );
    report.figure(
        "RSS slope of the second half",
        format!("{:+.0} KiB/min", slope_per_minute(second_half(&resident))),
    );
    report.hold(
        "memory is bounded by the connections",
        most <= readers as f64 * KIB_PER_CONNECTION_MAX + KIB_BESIDE_MAX,
        format!("{} more for {readers}", mib(most)),
    );
    let left = |name| last(&metric(&held, name)) - before.metric(name);
    let (left_grpc, left_http) = (left("muster_grpc_connections"), left("muster_http_connections"));
    report.figure("connections at the end", format!("{left_grpc} gRPC, {left_http} HTTP"));
    if !ground.short {
        report.hold(
            "who reads nothing is ended",
            left_grpc <= 2.0 && left_http <= 2.0,
            format!(
                "after {} s {left_grpc} gRPC and {left_http} HTTP connections are left",
                length.as_secs()
            ),
        );
    }
    drop((streams, askers, changes));
    settle(ground).await;
    let mut all = during;
    all.add(&live.take());
    all.hold_nobody_lost(&mut report);
    all.hold_nothing_failed(&mut report);
    all.hold_pushed(&mut report);
    let samples = watch.stop().await;
    let resident = column(&samples[&1], |sample| sample.resident_kib);
    let kept = last(&resident) - before.resident_kib;
    report.hold(
        "memory is given back",
        kept <= KIB_LEFT_MAX,
        format!("{} more at the end", mib(kept)),
    );
    Ok(report)
}

/// Registers the instances, for longer than the scene without a beat; answers how long their list is.
async fn fill(node: SocketAddr, instances: u16) -> Result<usize> {
    let mut connection = Connection::open(node, WITHIN).await?;
    for number in 0..instances {
        let spec = Spec::ephemeral(SERVICE, "10.6.1.1", 1 + number).with_lease_ms(600_000, 600_000, 600_000);
        connection.call(&spec.register(), WITHIN).await?.ok()?;
    }
    Ok(connection.call(&http::list(SERVICE), WITHIN).await?.ok()?.len())
}

async fn change(node: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(node, WITHIN).await?;
    for number in 0_u64.. {
        let next = Instant::now() + CHANGE_EVERY;
        let metadata = format!(
            r#"{{"n":"{number}","preserved.ip.delete.timeout":"600000","preserved.heart.beat.timeout":"600000"}}"#
        );
        let spec = Spec::ephemeral(SERVICE, "10.6.1.1", 1).with_metadata(metadata);
        connection.call(&spec.register(), WITHIN).await.and_then(Answer::ok)?;
        tokio::time::sleep_until(next).await;
    }
    Ok(())
}
