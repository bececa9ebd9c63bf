//! Twenty thousand UDP subscribers of twenty services, of which half never acknowledge: 5,000 died after their first poll,
//! 5,000 poll on behind something that lets no datagram through. The services change a hundred times a second.

use super::{Ground, door, settle, start};
use crate::http::{self, Answer, Connection, Spec};
use crate::live::Live;
use crate::report::{Report, mib, quantiles};
use crate::watch::{Watch, Watched, bucket_quantile, column, highest, last, metric, second_half, slope_per_minute};
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use muster_benches::push::{Told, read_datagram};
use muster_testkit::{SDK_OFFSET, eventually};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

const WITHIN: Duration = Duration::from_secs(10);
/// As clients poll.
const POLL_EVERY: Duration = Duration::from_secs(10);
/// Polls that are sent before their answers are read.
const POLLS_AT_ONCE: usize = 50;
const POLLERS: usize = 4;
/// What the reference asks for.
const AGE_MAX: Duration = Duration::from_secs(2);
/// From the last change until every live subscriber must have it: a lost datagram is sent again after 1 s and after 3 s more.
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// Of the second half of the load, so long that a queue that grows would show: 1 MiB a minute is 2 % of the node.
const SLOPE_KIB_PER_MINUTE_MAX: f64 = 1_024.0;
const KIB_PER_SUBSCRIBER_MAX: f64 = 4.0;
const KIB_BESIDE_MAX: f64 = 48.0 * 1_024.0;

struct Size {
    services: usize,
    subscribers: usize,
    changes_per_s: u64,
    length: Duration,
}

/// What has been sent and what has been heard.
struct Heard {
    /// By service: when each change was sent off.
    sent: Vec<Mutex<Vec<Instant>>>,
    /// By live subscriber: the newest change that it was told of.
    newest: Vec<AtomicU64>,
    delays: Mutex<Histogram<u64>>,
    /// By service: subscribers get the same bytes, which are read once.
    read: Vec<Mutex<(Vec<u8>, Option<Told>)>>,
}

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("dead-subscribers");
    let size = match ground.short {
        true => Size {
            services: 4,
            subscribers: 400,
            changes_per_s: 40,
            length: Duration::from_secs(6),
        },
        false => Size {
            services: 20,
            subscribers: 20_000,
            changes_per_s: 100,
            length: Duration::from_secs(400),
        },
    };
    let cluster = start(1, &[]).await?;
    let node = door(&cluster, 1, 0)?;
    let watched = Watched::all(&cluster)?;
    let watch = Watch::start(&watched, Duration::from_millis(500));
    let live = Live::start(node, door(&cluster, 1, SDK_OFFSET)?).await?;
    settle(ground).await;
    let before = watch.samples()[&1].last().cloned().context("no sample")?;
    live.take().figures("before", &mut report);

    let heard = Arc::new(Heard::new(&size));
    let mut tasks = JoinSet::new();
    change_once(node, &heard).await?;
    let (living, polling, dead) = subscribers(&size, &heard, &mut tasks).await?;
    let began = Instant::now();
    for some in [&living, &polling, &dead] {
        poll_once(node, some).await?;
    }
    report.figure(
        "subscribing",
        format!("{} in {:.1} s", size.subscribers, began.elapsed().as_secs_f64()),
    );
    let again: Arc<[_]> = living.iter().chain(&polling).cloned().collect();
    for poller in 0..POLLERS {
        tasks.spawn(poll_again(node, again.clone(), poller));
    }
    let loaded = watch.now();
    live.take();
    heard.delays().reset();
    let mut changes = JoinSet::new();
    changes.spawn(change(node, heard.clone(), size.changes_per_s));
    tokio::time::sleep(size.length).await;
    changes.shutdown().await;

    let during = live.take();
    let told = eventually(TOLD_WITHIN, "the live half has the last change", || async {
        heard.all_told(size.services)
    })
    .await;
    report.hold(
        "every live subscriber ends with the newest list",
        told.is_ok(),
        match &told {
            Ok(()) => format!("{} of {}", living.len(), living.len()),
            Err(error) => format!("{error:#}"),
        },
    );
    during.figures("during", &mut report);
    let samples = watch.stop().await;
    let held: Vec<_> = samples[&1]
        .iter()
        .filter(|sample| sample.at >= loaded)
        .cloned()
        .collect();
    ages(&heard, &held, &mut report);
    during.hold_nobody_lost(&mut report);
    during.hold_nothing_failed(&mut report);
    during.hold_pushed(&mut report);
    let resident = column(&held, |sample| sample.resident_kib);
    let half = slope_per_minute(second_half(&resident));
    report.figure(
        "RSS before / highest / at the end",
        format!(
            "{} / {} / {}",
            mib(before.resident_kib),
            mib(highest(&resident)),
            mib(last(&resident))
        ),
    );
    report.figure("RSS slope of the second half", format!("{half:+.0} KiB/min"));
    report.figure(
        "deliveries in flight",
        format!("{} at most", highest(&metric(&held, "muster_push_in_flight"))),
    );
    let most = highest(&resident) - before.resident_kib;
    report.hold(
        "memory is bounded by the subscribers",
        most <= size.subscribers as f64 * KIB_PER_SUBSCRIBER_MAX + KIB_BESIDE_MAX,
        format!("{} more for {}", mib(most), size.subscribers),
    );
    if !ground.short {
        report.hold(
            "memory is flat",
            half <= SLOPE_KIB_PER_MINUTE_MAX,
            format!("{half:+.0} KiB/min"),
        );
    }
    Ok(report)
}

/// How old the lists were: for those who listen by their own watch, for all that was sent by the node's.
fn ages(heard: &Heard, held: &[crate::watch::Sample], report: &mut Report) {
    let delays = heard.delays();
    report.figure("change to live subscriber", quantiles(&delays));
    report.figure("pushes heard", delays.len().to_string());
    let p99 = Duration::from_micros(delays.value_at_quantile(0.99));
    report.hold(
        "99 of 100 lists that live subscribers hear of are less than 2 s old",
        !delays.is_empty() && p99 < AGE_MAX,
        format!("{:.0} ms", p99.as_secs_f64() * 1_000.0),
    );
    let answered: Vec<_> = held.iter().filter(|sample| !sample.metrics.is_empty()).collect();
    let bound = answered
        .first()
        .zip(answered.last())
        .and_then(|(first, last)| bucket_quantile(first, last, "muster_push_sent_age_seconds", "via=\"udp\"", 0.99));
    report.hold(
        "99 of 100 lists that were sent to anybody were less than 2 s old",
        bound.is_some_and(|bound| bound < AGE_MAX.as_secs_f64()),
        bound.map_or("no pushes".to_owned(), |bound| format!("at most {bound} s")),
    );
}

impl Heard {
    fn new(size: &Size) -> Self {
        Self {
            sent: (0..size.services).map(|_| Mutex::default()).collect(),
            newest: (0..size.subscribers / 2).map(|_| AtomicU64::new(0)).collect(),
            delays: Mutex::new(Histogram::new_with_max(60_000_000, 3).expect("the bounds are right")),
            read: (0..size.services).map(|_| Mutex::default()).collect(),
        }
    }

    fn delays(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, service: usize) -> usize {
        let mut sent = self.sent[service].lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(Instant::now());
        sent.len() - 1
    }

    fn read(&self, service: usize, datagram: &[u8]) -> Result<Told> {
        let mut last = self.read[service].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = last.1.as_ref().filter(|_| last.0 == datagram) {
            return Ok(told.clone());
        }
        let told = read_datagram(datagram)?;
        *last = (datagram.to_vec(), Some(told.clone()));
        Ok(told)
    }

    fn told(&self, subscriber: usize, service: usize, number: u64) {
        let before = self.newest[subscriber].fetch_max(number, Ordering::Relaxed);
        if before < number {
            let sent = self.sent[service].lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = sent.get(number as usize) {
                self.delays().saturating_record(at.elapsed().as_micros() as u64);
            }
        }
    }

    /// # Errors
    /// Somebody has not heard of the last change.
    fn all_told(&self, services: usize) -> Result<()> {
        let last: Vec<u64> = self
            .sent
            .iter()
            .map(|sent| sent.lock().unwrap_or_else(PoisonError::into_inner).len() as u64 - 1)
            .collect();
        let late = self.newest.iter().enumerate();
        let late = late
            .filter(|(number, newest)| newest.load(Ordering::Relaxed) < last[number % services])
            .count();
        anyhow::ensure!(late == 0, "{late} of {} have not", self.newest.len());
        Ok(())
    }
}

fn name(service: usize) -> String {
    format!("crowd-{service}")
}

fn changed(service: usize, number: usize) -> bytes::Bytes {
    let spec = Spec::ephemeral(&name(service), "10.9.8.7", 80);
    spec.with_metadata(format!(r#"{{"n":"{number}"}}"#)).register()
}

async fn change_once(node: SocketAddr, heard: &Heard) -> Result<()> {
    let mut connection = Connection::open(node, WITHIN).await?;
    for service in 0..heard.sent.len() {
        let request = changed(service, heard.begin(service));
        connection.call(&request, WITHIN).await?.ok()?;
    }
    Ok(())
}

async fn change(node: SocketAddr, heard: Arc<Heard>, per_second: u64) -> Result<()> {
    let mut connection = Connection::open(node, WITHIN).await?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second as u32);
    for number in 0.. {
        ticks.tick().await;
        let service = number % heard.sent.len();
        let request = changed(service, heard.begin(service));
        connection.call(&request, WITHIN).await.and_then(Answer::ok)?;
    }
    Ok(())
}

/// A poll that subscribes.
type Poll = bytes::Bytes;

/// The polls of the living, of the deaf that poll on, and of the dead.
async fn subscribers(
    size: &Size,
    heard: &Arc<Heard>,
    tasks: &mut JoinSet<Result<()>>,
) -> Result<(Vec<Poll>, Vec<Poll>, Vec<Poll>)> {
    let mut living = Vec::new();
    for number in 0..size.subscribers / 2 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        living.push(http::subscribe(&name(number % size.services), socket.local_addr()?));
        tasks.spawn(listen(socket, heard.clone(), number, number % size.services));
    }
    // One socket that nobody reads: whatever comes to any address of 127.1.0.0/16 at its port vanishes, as behind a
    // firewall, and no host says that there is nobody.
    let hole = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = hole.local_addr()?.port();
    let deaf = (0..size.subscribers / 2).map(|number| {
        let ip = Ipv4Addr::new(127, 1, (number / 250) as u8, (number % 250) as u8 + 1);
        http::subscribe(&name(number % size.services), SocketAddr::from((ip, port)))
    });
    let deaf: Vec<_> = deaf.collect();
    tasks.spawn(async move {
        let _unread = hole;
        std::future::pending().await
    });
    let (polling, dead) = deaf.split_at(deaf.len() / 2);
    Ok((living, polling.to_vec(), dead.to_vec()))
}

async fn listen(socket: UdpSocket, heard: Arc<Heard>, subscriber: usize, service: usize) -> Result<()> {
    let mut buffer = vec![0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let told = heard.read(service, &buffer[..length])?;
        socket.send_to(told.ack.as_bytes(), from).await?;
        heard.told(subscriber, service, told.n.context("a list without a number")?);
    }
}

async fn poll_once(node: SocketAddr, polls: &[Poll]) -> Result<()> {
    let mut connection = Connection::open(node, WITHIN).await?;
    for some in polls.chunks(POLLS_AT_ONCE) {
        connection.send(&some.concat()).await?;
        for _ in some {
            connection.answer().await?.ok()?;
        }
    }
    Ok(())
}

/// Every tenth second, evenly.
async fn poll_again(node: SocketAddr, polls: Arc<[Poll]>, poller: usize) -> Result<()> {
    let own: Vec<_> = polls.chunks(POLLS_AT_ONCE).skip(poller).step_by(POLLERS).collect();
    let pause = POLL_EVERY / own.len().max(1) as u32;
    let mut connection = Connection::open(node, WITHIN).await?;
    let mut ticks = tokio::time::interval(pause);
    for some in own.iter().cycle() {
        ticks.tick().await;
        connection.send(&some.concat()).await?;
        for _ in *some {
            connection.answer().await?.ok()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_not_heard_of_the_last_change_is_found() {
        let size = Size {
            services: 1,
            subscribers: 4,
            changes_per_s: 1,
            length: Duration::ZERO,
        };
        let heard = Heard::new(&size);
        heard.begin(0);
        heard.begin(0);
        heard.told(0, 0, 1);
        assert!(heard.all_told(1).is_err());
        heard.told(1, 0, 1);
        assert!(heard.all_told(1).is_ok());
        assert_eq!(heard.delays().len(), 2);
    }
}
