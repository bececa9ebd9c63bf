//! Ten times what a node can serve. First its capacity is found, for calls that memory answers (beats, lists, registrations)
//! and for persistent writes, each by as many clients as it takes and each waiting for its answer. Then ten times as many
//! arrive, whether they are answered or not; a client gives up after five seconds. Then it is over.
//!
//! One process cannot send what a node of the same machine can serve ten times over: what cannot even be sent, because the
//! node does not take it off the wire, counts as offered and not sent.

mod arrivals;
mod capacity;

use super::{Ground, door, recovered, settle, start};
use crate::http::{self, Connection, Spec};
use crate::live::Live;
use crate::report::{Report, mib, quantiles};
use crate::watch::{Watch, Watched, column, highest, last, metric};
use anyhow::{Context, Result, ensure};
use arrivals::Arrivals;
use bytes::Bytes;
use muster_benches::usage::Usage;
use muster_testkit::{Listed, SDK_OFFSET};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TIMES: u64 = 10;
/// Fewer than the usual 10,000, so that this process can have more than that under way.
const WRITES_WAITING_MAX: usize = 500;
const SERVICES: usize = 50;
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
const LEADER_WITHIN: Duration = Duration::from_secs(10);
const CONVERGED_WITHIN: Duration = Duration::from_secs(20);
const WITHIN: Duration = Duration::from_secs(10);
/// For buffers of connections, the log's newest entries (64 MiB) and its queue.
const KIB_MORE_MAX: f64 = 300.0 * 1_024.0;

struct Size {
    instances: usize,
    /// Connections that send without waiting.
    connections: usize,
    /// Connections of writers, one write under way on each.
    writers: usize,
    capacity: Duration,
    length: Duration,
}

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("ten-times");
    let size = match ground.short {
        true => Size {
            instances: 200,
            connections: 40,
            writers: 700,
            capacity: Duration::from_secs(1),
            length: Duration::from_secs(4),
        },
        false => Size {
            instances: 2_000,
            connections: 200,
            writers: 3_000,
            capacity: Duration::from_secs(5),
            length: Duration::from_secs(40),
        },
    };
    let waiting = format!("raft.proposals_waiting_max={WRITES_WAITING_MAX}");
    let cluster = start(3, &[&waiting]).await?;
    let leader = cluster.leader(LEADER_WITHIN).await?;
    // The leader: nobody has more to do.
    let (node, grpc) = (door(&cluster, leader, 0)?, door(&cluster, leader, SDK_OFFSET)?);
    let watched = Watched::all(&cluster)?;
    let watch = Watch::start(&watched, Duration::from_millis(500));
    let load = Arc::new(Load::new(size.instances));
    load.register(node).await?;
    let pids: Vec<u32> = cluster.node(leader).pid().into_iter().collect();
    let usage = Usage::of(&pids)?;
    let served = capacity::served(node, &load.mixed, size.capacity).await?;
    let calls = (served * size.capacity.as_secs_f64()) as u64;
    let each = Usage::of(&pids)?.since(&usage).cpu_us_each(calls);
    let written = capacity::written(node, size.capacity).await?;
    report.figure(
        "capacity",
        format!("{served:.0} calls/s at {each:.1} µs of CPU each, {written:.0} persistent writes/s"),
    );

    let live = Live::start(node, grpc).await?;
    settle(ground).await;
    live.take().figures("before", &mut report);
    let before = watch.samples()[&leader].last().cloned().context("no sample")?;
    let calls = Arrivals::begin(
        node,
        load.mixed.clone(),
        size.connections,
        served * TIMES as f64,
        size.length,
    );
    let writes = arrivals::Writes::begin(node, size.writers, written * TIMES as f64, size.length);
    let (calls, writes) = (calls.end().await, writes.end().await);
    let during = live.take();
    let back = recovered(node, RECOVERED_WITHIN).await;
    during.figures("during", &mut report);

    for (name, outcome) in [("calls", &calls), ("persistent writes", &writes)] {
        report.figure(name, outcome.to_string());
        report.figure(format!("admitted {name}"), quantiles(&outcome.micros));
    }
    report.hold(
        "the node serves on under ten times its load",
        calls.ok > 0 && writes.ok > 0,
        format!(
            "{:.0} calls/s and {:.0} writes/s answered well",
            calls.ok as f64 / size.length.as_secs_f64(),
            writes.ok as f64 / size.length.as_secs_f64()
        ),
    );
    report.hold(
        "what is refused is refused by name",
        calls.unnamed.is_empty() && writes.unnamed.is_empty(),
        format!(
            "{} refused{}",
            calls.refused + writes.refused,
            calls
                .unnamed
                .iter()
                .chain(&writes.unnamed)
                .next()
                .map_or(String::new(), |unnamed| format!("; {unnamed}"))
        ),
    );
    report.hold(
        "a newcomer is served at once after it",
        back.is_ok(),
        match &back {
            Ok(took) => format!("after {} ms", took.as_millis()),
            Err(error) => format!("{error:#}"),
        },
    );
    let listed = load.listed(node).await;
    report.hold(
        "no instance that beats is lost",
        listed.as_ref().is_ok_and(|count| *count == size.instances),
        match &listed {
            Ok(count) => format!("{count} of {} listed and healthy", size.instances),
            Err(error) => format!("{error:#}"),
        },
    );
    settle(ground).await;
    let after = live.take();
    after.figures("after", &mut report);
    report.hold(
        "live clients are as before when it is over",
        after.beats_failed + after.lists_failed + after.newcomers_failed == 0 && !after.newcomers.is_empty(),
        format!(
            "{} beats, {} lists, {} newcomers failed",
            after.beats_failed, after.lists_failed, after.newcomers_failed
        ),
    );
    let mut all = during;
    all.add(&after);
    all.hold_nobody_lost(&mut report);
    all.hold_pushed(&mut report);
    let led = cluster.leader(LEADER_WITHIN).await;
    report.hold(
        "the cluster has a leader",
        led.is_ok(),
        match &led {
            Ok(now) if *now == leader => "the same as before".to_owned(),
            Ok(_) => "another one".to_owned(),
            Err(error) => format!("{error:#}"),
        },
    );
    let converged = cluster.converged(CONVERGED_WITHIN).await;
    report.hold(
        "all nodes agree afterwards",
        converged.is_ok(),
        converged.map_or_else(|error| format!("{error:#}"), |()| "equal digests".to_owned()),
    );
    let samples = watch.stop().await;
    let resident = column(&samples[&leader], |sample| sample.resident_kib);
    report.figure(
        "RSS before / highest / at the end",
        format!(
            "{} / {} / {}",
            mib(before.resident_kib),
            mib(highest(&resident)),
            mib(last(&resident))
        ),
    );
    let more = highest(&resident) - before.resident_kib;
    report.hold("memory is bounded", more <= KIB_MORE_MAX, format!("{} more", mib(more)));
    let terms = metric(&samples[&leader], "muster_raft_term");
    report.figure("terms", format!("{}", last(&terms) - before.metric("muster_raft_term")));
    Ok(report)
}

/// Instances that beat by the load itself, and what is asked of them.
struct Load {
    specs: Vec<Spec>,
    /// Of eight calls five beats, two lists, one registration.
    mixed: Arc<[Bytes]>,
}

impl Load {
    fn new(instances: usize) -> Self {
        let specs: Vec<_> = (0..instances)
            .map(|number| {
                let ip = format!("10.10.{}.{}", number / 250, number % 250);
                Spec::ephemeral(&format!("loaded-{}", number % SERVICES), &ip, 80)
            })
            .collect();
        let mixed = specs.iter().enumerate().flat_map(|(number, spec)| {
            let registration = spec.clone().with_metadata(format!(r#"{{"n":"{number}"}}"#));
            let list = http::list(&spec.service);
            [
                spec.beat(),
                spec.beat(),
                list.clone(),
                spec.beat(),
                spec.beat(),
                registration.register(),
                spec.beat(),
                list,
            ]
        });
        Self {
            mixed: mixed.collect(),
            specs,
        }
    }

    async fn register(&self, node: SocketAddr) -> Result<()> {
        let mut connection = Connection::open(node, WITHIN).await?;
        for spec in &self.specs {
            connection.call(&spec.register(), WITHIN).await?.ok()?;
        }
        Ok(())
    }

    /// How many of them are listed as healthy.
    async fn listed(&self, node: SocketAddr) -> Result<usize> {
        let mut connection = Connection::open(node, WITHIN).await?;
        let mut count = 0;
        for service in 0..SERVICES {
            let answer = connection
                .call(&http::list(&format!("loaded-{service}")), WITHIN)
                .await?
                .ok()?;
            let listed = Listed::parse(&serde_json::from_slice(&answer)?)?;
            ensure!(listed.all.len() >= listed.healthy.len(), "a list of healthy ones alone");
            count += listed.healthy.len();
        }
        Ok(count)
    }
}
