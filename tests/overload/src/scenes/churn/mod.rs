//! A soak: everything comes and goes at a moderate rate for as long as one likes, at three nodes, and nothing may grow.
//!
//! What comes and goes: instances by HTTP that beat, change and leave; persistent ones with long metadata, so that the log
//! gets new segments; services under names never used again; lists of names that nobody registers; HTTP connections; UDP
//! subscribers that fall silent; gRPC clients that publish and subscribe and are killed. Beside them instances that never
//! leave, which every list must show.
//!
//! The memory of a node grows until what it remembers on purpose is full: tombstones (ten minutes), the newest 64 MiB of the
//! log, subscriptions (90 s). A soak of an hour has reached all of these by its middle; flat is what grows by less than
//! [`GROWTH_PER_HOUR_MAX`] over its second half.

mod book;
mod clients;
mod ephemeral;
mod persistent;
mod subscribers;

use super::{Ground, start};
use crate::http::{self, Connection};
use crate::report::{Report, mib};
use crate::watch::{Samples, Watch, Watched, column, highest, last, metric, second_half, slope_per_minute};
use anyhow::{Context, Result, ensure};
use book::{Book, Phase};
use muster_testkit::{Cluster, Listed, eventually};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const SAY_EVERY: Duration = Duration::from_secs(60);
/// As G4 promises, and the answers to what was under way.
const RIGHT_WITHIN: Duration = Duration::from_secs(20);
/// Less than this is the allocator's and the sampling's noise; of a leak of one object of 100 bytes for every tenth
/// operation it is a third.
const GROWTH_PER_HOUR_MAX: f64 = 0.05;
/// A run that is shorter than this has no second half in which memory could be flat.
const FLAT_FROM: Duration = Duration::from_secs(40 * 60);
/// Threads, files and counted things may go up and down by their own churn.
const FILES_MAX: f64 = 400.0;
/// Blocking threads of the runtime come and go with disk work; tokio's own bound is 512.
const THREADS_MAX: f64 = 40.0;
/// Three segments of the log of 64 MiB, two snapshots and the checkpoint with its garbage.
const DISK_KIB_MAX: f64 = 400.0 * 1_024.0;

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("churn");
    let length = Duration::from_secs(if ground.short { 12 } else { ground.minutes * 60 });
    // What is kept on purpose must be full by the middle; less than a minute the node does not take.
    let tombstones_ms = (length.as_millis() / 6).clamp(60_000, 600_000);
    let mut cluster = start(
        3,
        &[
            // Often enough that the log loses old segments several times in an hour.
            "raft.snapshot_every_entries=10000",
            &format!("ephemeral.tombstone_kept_ms={tombstones_ms}"),
        ],
    )
    .await?;
    let watched = Watched::all(&cluster)?;
    let book = Book::new(&cluster, ground.seed)?;
    let mut workers = JoinSet::new();
    ephemeral::start(&book, &mut workers);
    persistent::start(&book, &mut workers);
    subscribers::start(&book, &mut workers);
    clients::start(&book, &mut workers);
    let watch = Watch::start(&watched, SAMPLE_EVERY.min(length / 10));

    let end = tokio::time::Instant::now() + length;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep_until((tokio::time::Instant::now() + SAY_EVERY).min(end)).await;
        say(&watch, &book);
        for id in cluster.ids() {
            let status = cluster.node_mut(id).exit_status()?;
            ensure!(status.is_none(), "node {id} has ended: {status:?}");
        }
        if let Some(ended) = workers.try_join_next() {
            ended??;
        }
    }
    book.go(Phase::Still);
    let right = are_right(&cluster, &book).await;
    let samples = watch.stop().await;
    book.go(Phase::Over);
    drop(workers);
    report.hold(
        "the lists of all nodes are right at the end",
        right.is_ok(),
        match &right {
            Ok(count) => format!("{count} instances of {} services, equal digests", book.services().len()),
            Err(error) => format!("{error:#}"),
        },
    );
    book.report(&mut report);
    judge(&samples, length, &mut report);
    Ok(report)
}

/// One line, so that whoever waits for an hour sees it go on.
fn say(watch: &Watch, book: &Book) {
    let nodes: Vec<_> = watch
        .newest()
        .iter()
        .map(|sample| {
            format!(
                "{} {} files {} threads {} disk",
                mib(sample.resident_kib),
                sample.open_files,
                sample.threads,
                mib(sample.disk_kib)
            )
        })
        .collect();
    crate::say(&format!(
        "churn: {:>5.0} s, {} operations, {} errors; {}",
        watch.now().as_secs_f64(),
        book.operations(),
        book.errors(),
        nodes.join("; ")
    ));
}

/// Every list at every node, against what was acknowledged.
async fn are_right(cluster: &Cluster, book: &Book) -> Result<usize> {
    cluster.converged(RIGHT_WITHIN).await?;
    let right = || async {
        let mut count = 0;
        for address in cluster.addresses() {
            let address: SocketAddr = address.parse()?;
            let mut connection = Connection::open(address, RIGHT_WITHIN).await?;
            for (service, wanted) in book.services() {
                let answer = connection.call(&http::list(&service), RIGHT_WITHIN).await?.ok()?;
                let listed = Listed::parse(&serde_json::from_slice(&answer)?)?;
                ensure!(
                    listed.all == wanted,
                    "{service} at {address}: {:?} too many, {:?} missing",
                    listed.all.difference(&wanted).take(3).collect::<Vec<_>>(),
                    wanted.difference(&listed.all).take(3).collect::<Vec<_>>()
                );
                count += wanted.len();
            }
        }
        Ok(count / cluster.ids().len())
    };
    eventually(RIGHT_WITHIN, "lists are right", right)
        .await
        .context("at the end")
}

/// What must not grow, and what it may grow to.
fn judge(samples: &Samples, length: Duration, report: &mut Report) {
    let mut growth = BTreeMap::new();
    let (mut threads, mut files, mut disk) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (id, samples) in samples {
        let resident = column(samples, |sample| sample.resident_kib);
        let half = second_half(&resident);
        let middle = half.iter().map(|point| point.1).sum::<f64>() / half.len().max(1) as f64;
        let slope = slope_per_minute(half);
        growth.insert(*id, slope * 60.0 / middle);
        report.figure(
            format!("node {id} RSS first / highest / last"),
            format!(
                "{} / {} / {}",
                mib(resident.first().map_or(0.0, |point| point.1)),
                mib(highest(&resident)),
                mib(last(&resident))
            ),
        );
        report.figure(
            format!("node {id} RSS slope of the second half"),
            format!("{:+.1} KiB/min, {:+.2} %/h", slope, slope * 6_000.0 / middle),
        );
        threads = threads.max(highest(&column(samples, |sample| sample.threads)));
        files = files.max(highest(&column(samples, |sample| sample.open_files)));
        disk = disk.max(highest(&column(samples, |sample| sample.disk_kib)));
    }
    if length >= FLAT_FROM {
        let worst = growth.values().copied().fold(f64::MIN, f64::max);
        report.hold(
            "memory is flat over the second half (below 5 % an hour)",
            worst < GROWTH_PER_HOUR_MAX,
            format!("{:+.2} % an hour at most", worst * 100.0),
        );
    }
    report.hold(
        "threads are bounded",
        threads <= THREADS_MAX,
        format!("{threads} at most"),
    );
    report.hold("open files are bounded", files <= FILES_MAX, format!("{files} at most"));
    report.hold(
        "disk is bounded",
        disk <= DISK_KIB_MAX,
        format!("{} at most", mib(disk)),
    );
    counted(samples, report);
}

/// Things that a node counts: at the end of the run no more than at its middle, but for what chance adds.
fn counted(samples: &Samples, report: &mut Report) {
    for name in [
        "muster_ephemeral_tombstones",
        "muster_push_subscriptions",
        "muster_push_in_flight",
        "muster_naming_slots",
        "muster_naming_services",
        "muster_grpc_connections",
        "muster_http_connections",
        "muster_persistent_instances",
    ] {
        let mut seen = Vec::new();
        for samples in samples.values() {
            let points = metric(samples, name);
            let half = second_half(&points);
            let middle = half.iter().map(|point| point.1).sum::<f64>() / half.len().max(1) as f64;
            seen.push(format!("{middle:.0} ({:+.1}/min)", slope_per_minute(half)));
        }
        let short = name.trim_start_matches("muster_");
        report.figure(format!("{short} of each node, second half"), seen.join(", "));
    }
}
