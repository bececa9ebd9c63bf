//! Floods of connections to each port of one node of three, past what it may hold: a third says nothing, a third half a
//! greeting, a third a byte a second.
//!
//! Who is connected must not notice it, the other members neither. Newcomers are told what the door's rule is: HTTP has them
//! wait, gRPC closes them at once.

use super::{Ground, door, hold_members_together, recovered, settle, start};
use crate::flood::{Flood, HTTP_GREETING, HTTP2_GREETING};
use crate::live::{Figures, Live};
use crate::report::{Report, mib, quantiles};
use crate::watch::{Sample, Watch, Watched, column, highest, last, metric};
use anyhow::{Context, Result};
use muster_testkit::{Cluster, PEER_OFFSET, SDK_OFFSET};
use std::net::SocketAddr;
use std::time::Duration;

/// Files that this process needs for itself and the live clients; with the flood it must stay below its own limit.
const OWN_FILES: usize = 300;
/// The most that the flood may hold, whatever the limit: what one process may open on small machines.
const FLOOD_MAX: usize = 19_600;
/// Beside those of the limit.
const SURPLUS: usize = 1_000;
/// A transport of HTTP/2 has 28 KiB of buffers, a connection of HTTP/1 some 10; and its task.
const KIB_PER_CONNECTION_MAX: f64 = 36.0;
/// For the pool of buffers that a burst leaves.
const KIB_BESIDE_MAX: f64 = 32.0 * 1_024.0;
/// When all are gone and the allocator has had its ten seconds to give back what it holds.
const KIB_LEFT_MAX: f64 = 64.0 * 1_024.0;
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(15);
/// Files of a node beside those of clients: its log, its state, its peers; and what live clients of the scene hold.
const FILES_BESIDE: f64 = 200.0;
/// Connections that the port of the members takes of strangers (`muster_transport::grpc`).
const STRANGERS_MAX: f64 = 128.0;
/// As long as a client takes to try again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

struct Door {
    name: &'static str,
    address: SocketAddr,
    greeting: &'static [u8],
    gauge: Option<&'static str>,
    limit: usize,
}

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("connections");
    let settings: &[&str] = match ground.short {
        true => &["http.connections_max=300", "grpc.connections_max=300"],
        false => &[],
    };
    // Longer than a door waits for the first word of a client; where places are scarce it waits three seconds.
    let held = Duration::from_secs(if ground.short { 6 } else { 40 });
    let cluster = start(3, settings).await?;
    let watched = Watched::all(&cluster)?;
    let watch = Watch::start(&watched, Duration::from_millis(500));
    let live = Live::start(door(&cluster, 1, 0)?, door(&cluster, 1, SDK_OFFSET)?).await?;
    settle(ground).await;
    let before = newest(&watch)?;
    let mut all = Figures::default();
    live.take().figures("before", &mut report);
    for door in doors(&cluster, &before)? {
        let surplus = if ground.short { 200 } else { SURPLUS };
        let connections = (door.limit + surplus).min(FLOOD_MAX - OWN_FILES);
        let began = watch.now();
        let flood = Flood::begin(door.address, connections, door.greeting);
        tokio::time::sleep(held).await;
        let flooded = flood.so_far();
        let during = live.take();
        drop(flood);
        let back = recovered(door_of(&cluster)?, RECOVERED_WITHIN).await;
        let samples = watch.samples();
        let of_node: Vec<_> = samples[&1]
            .iter()
            .filter(|sample| sample.at >= began)
            .cloned()
            .collect();
        judge(&door, &flooded, &of_node, &before, &mut report);
        report.hold(
            "a newcomer is served at once after the flood",
            back.is_ok(),
            format!("{}: {}", door.name, said(&back)),
        );
        report.hold(
            "newcomers find a place during the flood",
            during.newcomers_failed == 0 && !during.newcomers.is_empty() && !during.newcomers_grpc.is_empty(),
            format!(
                "{}: HTTP {} served, {} not; gRPC {} served, {} refused and tried again",
                door.name,
                during.newcomers.len(),
                during.newcomers_failed,
                during.newcomers_grpc.len(),
                during.newcomers_grpc_failed
            ),
        );
        report.figure(
            format!("newcomers during {}", door.name),
            format!(
                "HTTP {}; gRPC {}",
                quantiles(&during.newcomers),
                quantiles(&during.newcomers_grpc)
            ),
        );
        report.figure(
            format!("beat / list during {}", door.name),
            format!("{}; {}", quantiles(&during.beats), quantiles(&during.lists)),
        );
        report.figure(
            format!("push by UDP / gRPC during {}", door.name),
            format!("{}; {}", quantiles(&during.pushed_udp), quantiles(&during.pushed_grpc)),
        );
        all.add(&during);
        settle(ground).await;
    }
    if !ground.short {
        tokio::time::sleep(GIVEN_BACK_WITHIN).await;
    }
    all.add(&live.take());
    all.hold_nobody_lost(&mut report);
    all.hold_nothing_failed(&mut report);
    all.hold_pushed(&mut report);
    let samples = watch.stop().await;
    hold_members_together(&samples, &mut report);
    let led = cluster.leader(RECOVERED_WITHIN).await;
    report.hold("the cluster has a leader", led.is_ok(), said(&led));
    let resident = column(&samples[&1], |sample| sample.resident_kib);
    let left = last(&resident) - before.resident_kib;
    report.hold(
        "memory is given back",
        left <= KIB_LEFT_MAX,
        format!("{} more at the end", mib(left)),
    );
    report.figure(
        "RSS before / highest / at the end",
        format!(
            "{} / {} / {}",
            mib(before.resident_kib),
            mib(highest(&resident)),
            mib(last(&resident))
        ),
    );
    Ok(report)
}

fn said<T: std::fmt::Debug>(outcome: &Result<T>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error:#}"),
    }
}

fn door_of(cluster: &Cluster) -> Result<SocketAddr> {
    door(cluster, 1, 0)
}

fn newest(watch: &Watch) -> Result<Sample> {
    let samples = watch.samples();
    let answered = samples
        .get(&1)
        .and_then(|samples| samples.iter().rfind(|sample| !sample.metrics.is_empty()));
    answered.cloned().context("the node shows no metrics")
}

fn doors(cluster: &Cluster, before: &Sample) -> Result<[Door; 3]> {
    let limit = |door: &str| before.metric(&format!("muster_connections_max{{door=\"{door}\"}}")) as usize;
    // The port of the members has a limit of its own, which is far below.
    let both = limit("http") + limit("grpc");
    Ok([
        Door {
            name: "http",
            address: door(cluster, 1, 0)?,
            greeting: HTTP_GREETING,
            gauge: Some("muster_http_connections"),
            limit: limit("http"),
        },
        Door {
            name: "grpc",
            address: door(cluster, 1, SDK_OFFSET)?,
            greeting: HTTP2_GREETING,
            gauge: Some("muster_grpc_connections"),
            limit: limit("grpc"),
        },
        Door {
            name: "peer",
            address: door(cluster, 1, PEER_OFFSET)?,
            greeting: HTTP2_GREETING,
            gauge: None,
            limit: both,
        },
    ])
}

fn judge(door: &Door, flooded: &crate::flood::Flooded, samples: &[Sample], before: &Sample, report: &mut Report) {
    report.figure(
        format!("{} flooded", door.name),
        format!(
            "{} opened, {} not taken, {} closed by the node; limit {}",
            flooded.opened, flooded.refused, flooded.closed, door.limit
        ),
    );
    if let Some(gauge) = door.gauge {
        let most = highest(&metric(samples, gauge));
        report.hold(
            "the door holds no more than its limit",
            most <= door.limit as f64,
            format!("{}: {most} at most of {}", door.name, door.limit),
        );
    }
    let files = highest(&column(samples, |sample| sample.open_files));
    let allowed = match door.gauge {
        // As many as the doors leave it, which is what they share the limit for.
        Some(_) => before.metric("muster_open_files_max") - FILES_BESIDE / 2.0,
        None => before.open_files + STRANGERS_MAX + FILES_BESIDE,
    };
    report.hold(
        "files are left for the log",
        files <= allowed,
        format!("{}: {files} at most, {allowed} are well", door.name),
    );
    let resident = highest(&column(samples, |sample| sample.resident_kib)) - before.resident_kib;
    let held = door.limit.min(flooded.opened) as f64;
    report.hold(
        "memory is bounded by the connections",
        resident <= held * KIB_PER_CONNECTION_MAX + KIB_BESIDE_MAX,
        format!("{}: {} more for {held}", door.name, mib(resident)),
    );
}
