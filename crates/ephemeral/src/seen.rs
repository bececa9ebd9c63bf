//! Who has beaten where: told to all every second, and asked of all before a lease is ended.

use crate::metrics;
use crate::moment::Moment;
use crate::node::Node;
use crate::record::Record;
use crate::wire::{self, HASHES_MAX, Seen};
use bytes::Bytes;
use muster_model::MemberId;
use muster_runtime::TaskKind;
use muster_transport::{HandlerError, Route};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const TELL_WITHIN: Duration = Duration::from_secs(1);
/// Messages on their way to one peer; what is beyond is not told. The next beats tell it again, and nobody ends a lease
/// without asking.
const TELLING_MAX: usize = 64;
/// A lease that is due at 15 s must be ended by 16 s; looking twice a second and asking this long leaves room.
const ASK_WITHIN: Duration = Duration::from_millis(300);

/// Who has spoken when asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spoken {
    /// Too few: nothing may be ended.
    Minority,
    /// A majority of all members, but not everybody who lives: the silent one may have heard a beat.
    Majority,
    /// Everybody who lives, and they are a majority.
    All,
}

/// An instance that beats have come for since the others were last told.
#[derive(Clone, Copy)]
pub(crate) struct Beaten {
    hash: u64,
    age_ms: u32,
    /// A client's own, though a connection holds it.
    by_client: bool,
}

impl Beaten {
    pub(crate) fn of(record: &Record, now: Moment) -> Self {
        Self {
            hash: record.hash,
            age_ms: now.age_ms(record.lease.seen()),
            by_client: record.lease.take_beaten_by_client(),
        }
    }
}

pub(crate) fn serve(node: &Arc<Node>) {
    node.serve(Route::EphemeralSeen, hear);
}

fn hear(node: &Arc<Node>, _from: MemberId, body: Bytes) -> Result<Bytes, HandlerError> {
    let mut seen = wire::decode::<Seen>(body)?.checked()?;
    let now = node.timeline.now();
    if seen.asks {
        let age = |hash: &u64| {
            node.store
                .record(*hash)
                .filter(|record| record.is_listed())
                .map_or(u32::MAX, |record| now.age_ms(record.lease.seen()))
        };
        seen.ages_ms = seen.hashes.iter().map(age).collect();
        seen.hashes.clear();
        return Ok(wire::encode(&seen));
    }
    for (hash, age_ms) in seen.hashes.iter().zip(&seen.ages_ms) {
        node.store.seen(*hash, now.minus_ms((*age_ms).into()));
    }
    for place in &seen.by_clients {
        let (hash, age_ms) = (seen.hashes[*place as usize], seen.ages_ms[*place as usize]);
        if let Some(record) = node.store.record(hash) {
            node.store.note_client_here(&record, now.minus_ms(age_ms.into()));
        }
    }
    Ok(Bytes::new())
}

/// Tells all living peers of beats that came here.
pub(crate) fn tell(node: &Arc<Node>, beaten: &[Beaten]) {
    let view = node.membership.view();
    for part in beaten.chunks(HASHES_MAX) {
        let by_clients = part.iter().enumerate().filter(|(_, beaten)| beaten.by_client);
        let body = wire::encode(&Seen {
            hashes: part.iter().map(|beaten| beaten.hash).collect(),
            ages_ms: part.iter().map(|beaten| beaten.age_ms).collect(),
            asks: false,
            by_clients: by_clients.map(|(place, _)| place as u32).collect(),
        });
        for peer in node.peers.all().iter() {
            if !view.is_living_peer(peer.id) || peer.seen_in_flight.load(Ordering::Acquire) >= TELLING_MAX {
                continue;
            }
            peer.seen_in_flight.fetch_add(1, Ordering::AcqRel);
            metrics::SEEN_SENT.inc_by(part.len() as u64);
            let call = node
                .transport
                .call(peer.id, Route::EphemeralSeen, body.clone(), TELL_WITHIN);
            let peer = peer.clone();
            node.tasks.spawn("ephemeral-seen", TaskKind::Contained, async move {
                if let Err(error) = call.await {
                    tracing::debug!(member = %peer.id, %error, "beats were not told");
                }
                peer.seen_in_flight.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }
}

/// Asks all living peers when they last saw these and renews what was seen later than known here. Says who has spoken, this
/// member included.
pub(crate) async fn ask(node: &Arc<Node>, hashes: &[u64]) -> Spoken {
    let view = node.membership.view();
    let body = wire::encode(&Seen {
        hashes: hashes.to_vec(),
        ages_ms: Vec::new(),
        asks: true,
        by_clients: Vec::new(),
    });
    let calls: Vec<_> = view
        .living_peers()
        .map(|member| {
            node.transport
                .call(member.id, Route::EphemeralSeen, body.clone(), ASK_WITHIN)
        })
        .collect();
    let living = 1 + calls.len();
    let (answers, mut heard) = tokio::sync::mpsc::channel(calls.len().max(1));
    for call in calls {
        let answers = answers.clone();
        node.tasks.spawn("ephemeral-ask", TaskKind::Contained, async move {
            // The asker listens until all have spoken, or has ended.
            let _ = answers.send(call.await).await;
        });
    }
    drop(answers);
    let mut spoken = 1;
    while let Some(answer) = heard.recv().await {
        let seen = match answer.map(wire::decode::<Seen>) {
            Ok(Ok(seen)) if seen.ages_ms.len() == hashes.len() => seen,
            Ok(_) => {
                metrics::GARBAGE.inc();
                continue;
            }
            Err(_) => continue,
        };
        spoken += 1;
        let now = node.timeline.now();
        for (hash, age_ms) in hashes.iter().zip(&seen.ages_ms) {
            if *age_ms != u32::MAX {
                node.store.seen(*hash, now.minus_ms((*age_ms).into()));
            }
        }
    }
    if spoken < view.majority() {
        Spoken::Minority
    } else if spoken < living {
        Spoken::Majority
    } else {
        Spoken::All
    }
}

/// Tells all that was not told yet; the last word of a node that leaves.
pub(crate) fn tell_all(node: &Arc<Node>) {
    let now = node.timeline.now();
    let mut beaten = Vec::new();
    for leaf in 0..crate::leaf::LEAVES {
        node.store.for_each_of_leaf(leaf, |record| {
            if record.is_listed() && record.lease.take_beaten_here() {
                beaten.push(Beaten::of(record, now));
            }
        });
    }
    tell(node, &beaten);
}
