//! The watch over the leases: one task that walks over all of them twice a second.

use crate::leaf::LEAVES;
use crate::lease::Due;
use crate::metrics;
use crate::moment::{Moment, ms};
use crate::node::Node;
use crate::record::{Phase, Record};
use crate::seen::{self, Beaten, Spoken};
use crate::store::Expiry;
use crate::tenure::{Tenure, may_end};
use crate::wire::HASHES_MAX;
use muster_membership::Responsibility;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A lease that ends at 15 s is found ended by 15.5 s.
const WALK_EVERY: Duration = Duration::from_millis(500);
/// A walk that comes this late means that the process stood still, and beats with it.
const STALL_MS: u64 = 5_000;
/// How long a lease outlives its end when a member that lives does not speak of it. Longer than a dead one counts as living
/// (3 s), and 30 s, this and the walks come to less than 35 s.
const PATIENCE_MS: u64 = 3_500;
/// Leaves walked before others have a turn: 64,000 of a million instances.
const LEAVES_AT_ONCE: usize = 256;
/// A living connection renews its leases at every tenth walk, as a client that beats does every 5 s: each key in its own
/// walk, so that what is told to the others is spread evenly.
const RENEWED_EVERY_WALKS: u64 = 10;
const RESPONSIBLE_COUNTED_EVERY_MS: u64 = 5_000;

/// What one walk gathers.
#[derive(Default)]
struct Walk {
    due: Vec<Arc<Record>>,
    beaten: Vec<Beaten>,
    responsible: usize,
}

pub(crate) async fn run(node: Arc<Node>) {
    let mut turns = tokio::time::interval(WALK_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tenure = Tenure::default();
    let start = node.timeline.now();
    let mut walks = 0u64;
    let (mut last, mut told, mut counted) = (start, start, Moment::default());
    loop {
        tokio::select! {
            () = node.tasks.shutdown().begun() => return,
            _ = turns.tick() => {}
        }
        let now = node.timeline.now();
        node.pulse.beat(now);
        if now.since_ms(last) > STALL_MS {
            tracing::warn!(
                stood_still_ms = now.since_ms(last),
                "the process stood still; all leases get a full period"
            );
            metrics::STALLS.inc();
            node.grant_everyone(now);
        }
        last = now;
        let view = node.membership.view();
        let since = node.timeline.at(view.since);
        tenure.note(view, since);
        let tells = now.since_ms(told) >= ms(node.config.seen_every);
        let counts = now.since_ms(counted) >= RESPONSIBLE_COUNTED_EVERY_MS;
        walks = walks.wrapping_add(1);
        let walk = walk(&node, &tenure, now, walks, tells, counts).await;
        if tells {
            told = now;
            seen::tell(&node, &walk.beaten);
        }
        if counts {
            counted = now;
            node.responsible.store(walk.responsible, Ordering::Relaxed);
        }
        node.pulse.beat(node.timeline.now());
        end_leases(&node, &tenure, walk.due).await;
        node.pulse.beat(node.timeline.now());
        show(&node, now);
    }
}

async fn walk(node: &Node, tenure: &Tenure, now: Moment, nth: u64, tells: bool, counts: bool) -> Walk {
    let mut walk = Walk::default();
    let view = node.membership.view();
    let ends = may_end_any(node);
    for leaf in 0..LEAVES {
        node.store.for_each_of_leaf(leaf, |record| {
            let phase = record.phase();
            if !matches!(phase, Phase::Healthy | Phase::Unhealthy) {
                return;
            }
            if record.hash % RENEWED_EVERY_WALKS == nth % RENEWED_EVERY_WALKS && is_held_here(node, record) {
                record.lease.beat(now);
            }
            if tells && record.lease.take_beaten_here() {
                walk.beaten.push(Beaten::of(record, now));
            }
            if counts && view.responsible_for_hash(record.client_hash) == Responsibility::Here {
                walk.responsible += 1;
            }
            if ends && is_due(node, tenure, record, now) {
                walk.due.push(record.clone());
            }
        });
        if counts {
            node.store.forget_old_tombstones(leaf);
        }
        if leaf % LEAVES_AT_ONCE == LEAVES_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    walk
}

/// Whether this node may end leases at all, as things stand.
fn may_end_any(node: &Node) -> bool {
    node.is_ready()
        && node.expiry.load(Ordering::Acquire)
        && !node.draining.load(Ordering::Acquire)
        && node.membership.view().quorum
}

/// Whether a living connection of this node is the lease.
fn is_held_here(node: &Node, record: &Record) -> bool {
    record.lease.connection().is_some() && record.held_by() == node.store.here()
}

/// Whether silence asks something of this record and this node may do it.
fn is_due(node: &Node, tenure: &Tenure, record: &Record, now: Moment) -> bool {
    let asked = match record.lease.due(now) {
        None => false,
        Some(Due::Mark) => record.phase() == Phase::Healthy,
        Some(Due::Remove) => true,
    };
    asked
        && tenure.since(record.client_hash).is_some_and(|since| {
            let since = since.max(node.amnesty());
            may_end(record.lease.seen(), since, record.lease.delete_ms(), now)
        })
}

/// Ends what is due, once everybody who lives has said that they know of no later beat; or a majority has, and who is silent
/// has been for long.
async fn end_leases(node: &Arc<Node>, tenure: &Tenure, due: Vec<Arc<Record>>) {
    for part in due.chunks(HASHES_MAX) {
        let hashes: Vec<u64> = part.iter().map(|record| record.hash).collect();
        let spoken = seen::ask(node, &hashes).await;
        if spoken == Spoken::Minority {
            tracing::debug!(
                due = hashes.len(),
                "no majority spoke about silent instances: asked again"
            );
            return;
        }
        let received = node.timeline.instant();
        let now = node.timeline.at(received);
        let view = node.membership.view();
        let mut ended = Vec::new();
        for record in part {
            // Things may have changed while the others spoke.
            let still_here = view.responsible_for_hash(record.client_hash) == Responsibility::Here;
            let patient = spoken != Spoken::All && record.lease.overdue_ms(now) < PATIENCE_MS;
            if patient || !still_here || !may_end_any(node) || !is_due(node, tenure, record, now) {
                continue;
            }
            match node.store.expire(record, now) {
                Some(Expiry::Ended(due, applied)) => {
                    metrics::lease_expired(due);
                    ended.push(applied);
                }
                Some(Expiry::Reclaimed(applied)) => ended.push(applied),
                None => {}
            }
        }
        if !ended.is_empty() {
            node.spread_all(&ended, received);
        }
    }
}

fn show(node: &Node, now: Moment) {
    metrics::INSTANCES.set(node.store.instances_count() as i64);
    metrics::TOMBSTONES.set(node.store.tombstones_count() as i64);
    let (publishers, held) = node.store.holds.counts();
    metrics::PUBLISHERS.set(publishers as i64);
    metrics::HELD.set(held as i64);
    metrics::RESPONSIBLE.set(node.responsible.load(Ordering::Relaxed) as i64);
    let view = node.membership.view();
    let peers = node.peers.all();
    let living = || peers.iter().filter(|peer| view.is_living_peer(peer.id));
    let divergence_ms = living().map(|peer| now.since_ms(peer.equal())).max().unwrap_or(0);
    metrics::DIVERGENCE_MAX_MS.set(divergence_ms as i64);
    metrics::COPIES_PENDING_MAX.set(peers.iter().map(|peer| peer.pending()).max().unwrap_or(0) as i64);
}
