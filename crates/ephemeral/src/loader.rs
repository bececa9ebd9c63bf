//! How a node comes by its list when it becomes a member, and when it may show it.
//!
//! A node that is not one of the group (yet, or any more) is told of nothing by the others, so what it has is old: it loads
//! when the group names it. It opens once a majority of the members, itself included, and everybody who could be reached has been heard.
//! Whoever is ready gives all it has, in chunks. When nobody is ready (the whole cluster starts), nodes that are loading
//! themselves count as heard; each then reads its warm copy and takes over what the others read, and all open. Nothing is
//! ended meanwhile, and whatever was loaded has a full delete timeout from the opening on.

use crate::answers::Loading;
use crate::leaf::{LEAVES, leaf_of};
use crate::moment::Moment;
use crate::node::{Node, Stage};
use crate::peers::Peer;
use crate::repair::{self, Haste};
use crate::warm;
use crate::wire::{self, BatchBuilder, Garbage, SnapshotAnswer, SnapshotAsked};
use bytes::Bytes;
use muster_model::MemberId;
use muster_transport::{HandlerError, Route};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

const FIRST_CHUNK_WITHIN: Duration = Duration::from_secs(1);
const CHUNK_WITHIN: Duration = Duration::from_secs(5);
const ROUND_EVERY: Duration = Duration::from_millis(200);
/// A member that cannot be reached might be the one that is ready: the others wait this long for it before they take it
/// that the whole cluster is starting.
const COLD_WAIT_MS: u64 = 3_000;
/// After reading its warm copy a node waits this long for the others to have read theirs.
const WARM_WAIT_MS: u64 = 3_000;

pub(crate) fn serve(node: &Arc<Node>) {
    node.serve(Route::EphemeralSnapshot, give);
}

fn give(node: &Arc<Node>, _from: MemberId, body: Bytes) -> Result<Bytes, HandlerError> {
    let asked: SnapshotAsked = wire::decode(body)?;
    let stage = node.stage();
    let mut answer = SnapshotAnswer {
        stage: stage as u32,
        ..SnapshotAnswer::default()
    };
    if stage != Stage::Empty {
        let (builder, last) = chunk(node, asked.after);
        answer.batch = Some(builder.batch());
        answer.last = last;
    }
    Ok(wire::encode(&answer))
}

/// The records behind `after` in the order of their hashes, as many as fit, and the last hash if there may be more.
pub(crate) fn chunk(node: &Node, after: Option<u64>) -> (BatchBuilder, Option<u64>) {
    let now = node.timeline.now();
    let mut builder = BatchBuilder::default();
    for leaf in after.map_or(0, leaf_of)..LEAVES {
        let mut records = node.store.records_of_leaf(leaf);
        records.retain(|record| after.is_none_or(|after| record.hash > after));
        records.sort_unstable_by_key(|record| record.hash);
        for record in records {
            builder.add(&record, now);
            if builder.is_full() {
                return (builder, Some(record.hash));
            }
        }
    }
    (builder, None)
}

/// What one round of asking has found.
#[derive(Default)]
struct Round {
    /// Members that are ready, and whose state is here now.
    ready: usize,
    /// Members that are loading themselves, and how far the least of them is.
    loading: usize,
    warmed: usize,
    unreachable: usize,
}

pub(crate) async fn run(node: Arc<Node>) {
    tokio::select! {
        () = node.tasks.shutdown().begun() => {}
        () = follow(&node) => {}
    }
}

/// Loads each time this node becomes a member; ends with the membership.
async fn follow(node: &Arc<Node>) {
    let mut views = node.membership.watch();
    loop {
        if !node.is_ready() {
            let reason = "this node is not a member of a group yet".to_owned();
            node.loading.send_replace(Loading::Waiting { reason });
            if views.wait_for(|view| view.belongs).await.is_err() {
                return;
            }
            let mut leaving = node.membership.watch();
            tokio::select! {
                () = load(node) => {
                    let (instances, services) = (node.store.instances_count(), node.store.services_count());
                    tracing::info!(instances, services, "the ephemeral store is open");
                }
                left = leaving.wait_for(|view| !view.belongs) => if left.is_err() { return },
            }
        }
        if views.wait_for(|view| !view.belongs).await.is_err() {
            return;
        }
        node.set_stage(Stage::Empty);
    }
}

async fn load(node: &Arc<Node>) {
    let started = node.timeline.now();
    let mut warmed_at: Option<Moment> = None;
    let mut copied = HashSet::new();
    loop {
        let round = ask_all(node, &mut copied).await;
        let now = node.timeline.now();
        let members = node.membership.view().members.len();
        let heard = 1 + round.ready + round.loading;
        let majority = heard * 2 > members;
        let sure_of_cold = round.unreachable == 0 || now.since_ms(started) >= COLD_WAIT_MS;
        let cold = round.ready == 0 && majority && sure_of_cold;
        if round.ready > 0 && majority {
            return node.set_stage(Stage::Ready);
        }
        if (cold || node.config.force_open) && warmed_at.is_none() {
            if round.ready == 0 {
                warm::read(node).await;
                node.set_stage(Stage::Warmed);
            }
            warmed_at = Some(node.timeline.now());
            if !node.config.force_open && members > 1 {
                continue;
            }
        }
        if let Some(warmed_at) = warmed_at {
            let others_are = round.warmed == round.loading || now.since_ms(warmed_at) >= WARM_WAIT_MS;
            if node.config.force_open || members == 1 || (cold && others_are) {
                if heard * 2 <= members {
                    tracing::warn!(heard, members, "opened by force without having heard a majority");
                }
                return node.set_stage(Stage::Ready);
            }
        }
        let reason = format!("heard {heard} of {members} members, {} of them ready", round.ready);
        tracing::debug!(reason, "loading");
        node.loading.send_replace(Loading::Waiting { reason });
        tokio::time::sleep(ROUND_EVERY).await;
    }
}

async fn ask_all(node: &Node, copied: &mut HashSet<MemberId>) -> Round {
    let mut round = Round::default();
    for peer in node.peers.all().iter() {
        match hear(node, peer, copied).await {
            Ok(Stage::Ready) => round.ready += 1,
            Ok(stage) => {
                round.loading += 1;
                round.warmed += usize::from(stage == Stage::Warmed);
            }
            Err(error) => {
                tracing::debug!(member = %peer.id, %error, "not heard");
                round.unreachable += 1;
            }
        }
    }
    round
}

/// Hears one member: takes over what it has, unless that was done before.
async fn hear(node: &Node, peer: &Peer, copied: &mut HashSet<MemberId>) -> Result<Stage, repair::Error> {
    let mut answer = ask(node, peer, None, FIRST_CHUNK_WITHIN).await?;
    let stage = Stage::from_number(answer.stage).ok_or(Garbage::OutOfBounds { what: "stage" })?;
    // After a first whole copy the digests find what another member has beside it.
    if stage != Stage::Empty && (stage == Stage::Warmed || copied.is_empty()) && !copied.contains(&peer.id) {
        let mut after = None;
        loop {
            node.take_in(answer.batch.take().unwrap_or_default())?;
            match answer.last {
                Some(last) if after.is_none_or(|after| last > after) => after = Some(last),
                Some(_) => return Err(Garbage::OutOfBounds { what: "chunk" }.into()),
                None => break,
            }
            answer = ask(node, peer, after, CHUNK_WITHIN).await?;
        }
        copied.insert(peer.id);
    }
    // What changed while the chunks were under way.
    if stage == Stage::Ready && !repair::compare(node, peer, Haste::Fetch).await {
        return Err(muster_transport::Error::NotReady(peer.id).into());
    }
    Ok(stage)
}

async fn ask(node: &Node, peer: &Peer, after: Option<u64>, within: Duration) -> Result<SnapshotAnswer, repair::Error> {
    let body = wire::encode(&SnapshotAsked { after });
    let answer = node
        .transport
        .call(peer.id, Route::EphemeralSnapshot, body, within)
        .await?;
    Ok(wire::decode(answer)?)
}
