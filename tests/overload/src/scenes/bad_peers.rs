//! Garbage and floods on the port of the members and on the socket of the acks, at one node of three: noise, other protocols,
//! HTTP/2 that resets what it opens, headers and settings without end, bodies without end, calls of another cluster, and acks
//! that nobody asked for.

mod http2;

use super::{Ground, door, hold_members_together, settle, start};
use crate::dice::Dice;
use crate::http;
use crate::live::Live;
use crate::report::{Report, mib};
use crate::watch::{Watch, Watched, column, highest, last, metric};
use anyhow::{Context, Result};
use bytes::Bytes;
use muster_testkit::{Cluster, PEER_OFFSET, SDK_OFFSET};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one of these connections goes on.
const BOUT: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(3);
/// Of what is sent without reading an answer, before others get a turn.
const PAUSE: Duration = Duration::from_millis(5);
const DATAGRAMS_AT_ONCE: usize = 20;
const CONVERGED_WITHIN: Duration = Duration::from_secs(20);
/// 32 MiB of what strangers say at the port for members (`muster_transport::grpc`), as much that HTTP/2 has received and not
/// handed over, and the buffers of their connections.
const KIB_MORE_MAX: f64 = 128.0 * 1_024.0;
const KIB_LEFT_MAX: f64 = 64.0 * 1_024.0;

/// How often each was done.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Counts {
    fn add(&self, what: &'static str, count: u64) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(what)
            .or_default() += count;
    }
}

/// A way to be bad, on one connection, for one bout.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Noise,
    OtherProtocols,
    NoiseInFrames,
    RapidResets,
    HeadersWithoutEnd,
    SettingsWithoutEnd,
    BodiesWithoutEnd,
    OtherClusters,
}

const MANNERS: [Manner; 8] = [
    Manner::Noise,
    Manner::OtherProtocols,
    Manner::NoiseInFrames,
    Manner::RapidResets,
    Manner::HeadersWithoutEnd,
    Manner::SettingsWithoutEnd,
    Manner::BodiesWithoutEnd,
    Manner::OtherClusters,
];

pub(crate) async fn run(ground: &Ground) -> Result<Report> {
    let mut report = Report::new("bad-peers");
    let (length, each) = if ground.short {
        (Duration::from_secs(4), 1)
    } else {
        (Duration::from_secs(60), 3)
    };
    let mut cluster = start(3, &[]).await?;
    let (node, peer) = (door(&cluster, 1, 0)?, door(&cluster, 1, PEER_OFFSET)?);
    let watched = Watched::all(&cluster)?;
    let watch = Watch::start(&watched, Duration::from_millis(500));
    let live = Live::start(node, door(&cluster, 1, SDK_OFFSET)?).await?;
    settle(ground).await;
    live.take().figures("before", &mut report);
    let before = watch.samples()[&1].last().cloned().context("no sample")?;

    let (counts, until, mut dice) = (Counts::default(), Instant::now() + length, Dice::new(ground.seed));
    let mut tasks = JoinSet::new();
    for manner in MANNERS {
        for _ in 0..each {
            tasks.spawn(be_bad(peer, manner, until, dice.another(), counts.clone()));
        }
    }
    // The socket of the acks has the number of the main port.
    tasks.spawn(send_datagrams(node, until, dice.another(), counts.clone()));
    while tasks.join_next().await.is_some() {}

    let during = live.take();
    during.figures("during", &mut report);
    settle(ground).await;
    let done = counts.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let done: Vec<_> = done.iter().map(|(what, count)| format!("{count} {what}")).collect();
    report.figure("done", done.join(", "));
    let mut all = during;
    all.add(&live.take());
    all.hold_nobody_lost(&mut report);
    all.hold_nothing_failed(&mut report);
    all.hold_pushed(&mut report);
    let converged = cluster.converged(CONVERGED_WITHIN).await;
    report.hold(
        "all nodes agree afterwards",
        converged.is_ok(),
        converged.map_or_else(|error| format!("{error:#}"), |()| "equal digests".to_owned()),
    );
    let samples = watch.stop().await;
    let ended: Vec<_> = cluster
        .ids()
        .into_iter()
        .filter(|id| !lives(&mut cluster, *id))
        .collect();
    report.hold("every node lives", ended.is_empty(), format!("ended: {ended:?}"));
    hold_members_together(&samples, &mut report);
    let resident = column(&samples[&1], |sample| sample.resident_kib);
    let terms = metric(&samples[&1], "muster_raft_term");
    report.figure("terms", format!("{}", last(&terms) - before.metric("muster_raft_term")));
    report.figure(
        "RSS before / highest / at the end",
        format!(
            "{} / {} / {}",
            mib(before.resident_kib),
            mib(highest(&resident)),
            mib(last(&resident))
        ),
    );
    let (more, left) = (
        highest(&resident) - before.resident_kib,
        last(&resident) - before.resident_kib,
    );
    report.hold("memory is bounded", more <= KIB_MORE_MAX, format!("{} more", mib(more)));
    report.hold(
        "memory is given back",
        left <= KIB_LEFT_MAX,
        format!("{} more at the end", mib(left)),
    );
    Ok(report)
}

fn lives(cluster: &mut Cluster, id: u64) -> bool {
    matches!(cluster.node_mut(id).exit_status(), Ok(None))
}

async fn be_bad(peer: SocketAddr, manner: Manner, until: Instant, mut dice: Dice, counts: Counts) {
    while Instant::now() < until {
        let bout = (Instant::now() + BOUT).min(until);
        // A node that hangs up does well; the next bout comes by another connection.
        if let Ok(stream) = http::open(peer, WITHIN).await {
            let _ = tokio::time::timeout_at(bout, bout_of(stream, manner, &mut dice, &counts)).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn bout_of(mut stream: TcpStream, manner: Manner, dice: &mut Dice, counts: &Counts) -> Result<()> {
    match manner {
        Manner::Noise => {
            let length = 1 + dice.throw(60_000);
            stream.write_all(&dice.bytes(length)).await?;
            counts.add("connections of noise", 1);
        }
        Manner::OtherProtocols => {
            let words = OTHER_PROTOCOLS[dice.throw(OTHER_PROTOCOLS.len())];
            stream.write_all(words).await?;
            counts.add("connections of other protocols", 1);
            let _ = stream.read(&mut [0; 1_024]).await;
        }
        Manner::NoiseInFrames => {
            stream.write_all(&http2::begin()).await?;
            for _ in 0..1 + dice.throw(50) {
                let length = dice.throw(2_000);
                let frame = http2::frame(
                    dice.throw(12) as u8,
                    dice.next() as u8,
                    dice.throw(9) as u32,
                    &dice.bytes(length),
                );
                stream.write_all(&frame).await?;
                counts.add("frames of noise", 1);
            }
        }
        Manner::RapidResets => return endless(stream, counts, "streams opened and reset", http2::resets).await,
        Manner::HeadersWithoutEnd => {
            return endless(stream, counts, "frames of headers without end", http2::headers).await;
        }
        Manner::SettingsWithoutEnd => return endless(stream, counts, "settings and pings", http2::settings).await,
        Manner::BodiesWithoutEnd => return bodies(stream, counts).await,
        Manner::OtherClusters => return calls(stream, dice, counts).await,
    }
    Ok(())
}

const OTHER_PROTOCOLS: [&[u8]; 4] = [
    b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
    // TLS's first record, cut off
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.0\r\n",
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
];

/// Pieces of many frames, one after the other, and whatever the node says to it unread but for what the kernel needs.
async fn endless(stream: TcpStream, counts: &Counts, what: &'static str, piece: fn(u32) -> (u64, Bytes)) -> Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let mut buffer = [0; 16_384];
        while matches!(read.read(&mut buffer).await, Ok(1..)) {}
    });
    write.write_all(&http2::begin()).await?;
    for number in 0.. {
        let (count, bytes) = piece(number);
        write.write_all(&bytes).await?;
        counts.add(what, count);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Calls whose bodies are announced as long as a node takes, and never end.
async fn bodies(stream: TcpStream, counts: &Counts) -> Result<()> {
    let (mut read, mut write) = stream.into_split();
    write.write_all(&http2::begin()).await?;
    let mut credit = http2::Credit::default();
    for number in 0..http2::BODIES {
        write.write_all(&http2::call(number, false)).await?;
        write.write_all(&http2::body_begin(number)).await?;
    }
    counts.add("bodies without end", u64::from(http2::BODIES));
    let piece = vec![0; http2::PIECE_BYTES];
    loop {
        for number in 0..http2::BODIES {
            while credit.takes(number) {
                write.write_all(&http2::data(number, &piece)).await?;
                counts.add("KiB of bodies without end", http2::PIECE_BYTES as u64 / 1_024);
            }
        }
        // Who answers pings is not taken for dead.
        let pongs = credit.read(&mut read).await?;
        write.write_all(&pongs).await?;
    }
}

/// Whole calls, of another cluster, to another member, by unknown routes, of noise.
async fn calls(mut stream: TcpStream, dice: &mut Dice, counts: &Counts) -> Result<()> {
    stream.write_all(&http2::begin()).await?;
    for number in 0.. {
        let length = dice.throw(500);
        let noise = dice.bytes(length);
        let message = match dice.throw(3) {
            0 => noise,
            // Field 1, the cluster; 2, the caller; 3, the receiver; 4, the route; 5, the body.
            1 => http2::request(dice.next(), 1 + dice.next() % 3, 1, 1 + dice.next() % 50, &noise),
            _ => http2::request(0, dice.next(), dice.next(), dice.next(), &noise),
        };
        stream.write_all(&http2::call(number, false)).await?;
        stream.write_all(&http2::whole_body(number, &message)).await?;
        counts.add("calls of strangers", 1);
        let mut answer = [0; 4_096];
        // Whatever it says, so that its answers do not pile up here.
        let _ = tokio::time::timeout(PAUSE, stream.read(&mut answer)).await;
    }
    Ok(())
}

async fn send_datagrams(node: SocketAddr, until: Instant, mut dice: Dice, counts: Counts) {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else {
        return;
    };
    while Instant::now() < until {
        for _ in 0..DATAGRAMS_AT_ONCE {
            let datagram = match dice.throw(3) {
                0 => {
                    let length = dice.throw(1_400);
                    dice.bytes(length)
                }
                1 => format!(r#"{{"type":"push-ack","lastRefTime":"{}","data":""}}"#, dice.next()).into_bytes(),
                _ => format!(r#"{{"type":"push-ack","lastRefTime":"{}"#, dice.next()).into_bytes(),
            };
            let _ = socket.send_to(&datagram, node).await;
        }
        counts.add("datagrams", DATAGRAMS_AT_ONCE as u64);
        tokio::time::sleep(PAUSE).await;
    }
}
