//! Comparing stores and repairing what differs.
//!
//! Every few seconds each member shows each living, loaded peer one number over its whole store. When the peer's differs,
//! it shows the digest of every leaf; the peer lists what it has in the leaves that differ; what is newer there is fetched,
//! what is newer here is sent. What a list lacks is given to it: absence never means removal, for removals
//! are tombstones. Ages are in no digest, and of the tombstones only those that both members certainly still keep.

use crate::leaf::{LEAVES, minute_of};
use crate::metrics;
use crate::node::Node;
use crate::peers::Peer;
use crate::record::Version;
use crate::wire::{
    self, BATCH_BYTES, BatchBuilder, DigestAnswer, DigestAsked, FetchAnswer, FetchAsked, Garbage, HASHES_MAX, LeafList,
};
use bytes::Bytes;
use muster_model::MemberId;
use muster_transport::{HandlerError, Route};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(2);
const HURRIED_EVERY: Duration = Duration::from_millis(100);
/// What is younger than this is on its way by copy and no difference yet.
const IN_FLIGHT_MS: u64 = 500;
/// An entry of a leaf's list on the wire.
const ENTRY_BYTES: usize = 18;

/// Why two stores were not compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Call(#[from] muster_transport::Error),
    #[error("answered with garbage: {0}")]
    Garbage(#[from] Garbage),
}

/// Whether what is being copied at this moment counts as a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Haste {
    /// It does not: its copy will arrive.
    Leave,
    /// It does: this node is about to open, or to leave.
    Fetch,
}

pub(crate) fn serve(node: &Arc<Node>) {
    node.serve(Route::EphemeralDigest, show);
    node.serve(Route::EphemeralFetch, give);
}

fn show(node: &Arc<Node>, _from: MemberId, body: Bytes) -> Result<Bytes, HandlerError> {
    let asked: DigestAsked = wire::decode(body)?;
    if !(asked.leaves.is_empty() || asked.leaves.len() == LEAVES) || asked.first_leaf as usize >= LEAVES {
        return Err(Garbage::OutOfBounds { what: "leaf digests" }.into());
    }
    if !node.is_ready() {
        return Err(HandlerError::NotReady);
    }
    let own = node.store.leaf_digests(asked.from_minute);
    let mut answer = DigestAnswer {
        equal: root(&own) == asked.root,
        ..DigestAnswer::default()
    };
    if !answer.equal && !asked.leaves.is_empty() {
        let mut bytes = 0;
        let pairs = own.iter().zip(&asked.leaves).enumerate();
        for (leaf, _) in pairs
            .skip(asked.first_leaf as usize)
            .filter(|(_, (own, theirs))| own != theirs)
        {
            if bytes >= BATCH_BYTES {
                answer.next_leaf = leaf as u32;
                break;
            }
            let list = list(node, leaf, asked.from_minute);
            bytes += 8 + list.hashes.len() * ENTRY_BYTES;
            answer.lists.push(list);
        }
    }
    Ok(wire::encode(&answer))
}

fn list(node: &Node, leaf: usize, from_minute: u64) -> LeafList {
    let mut list = LeafList {
        leaf: leaf as u32,
        ..LeafList::default()
    };
    node.store.for_each_of_leaf(leaf, |record| {
        let state = record.state();
        if !state.is_gone() || minute_of(state.version.stamp) >= from_minute {
            list.hashes.push(record.hash);
            list.stamps.push(state.version.stamp.0);
            list.origins.push(state.version.origin.0);
        }
    });
    list
}

fn give(node: &Arc<Node>, _from: MemberId, body: Bytes) -> Result<Bytes, HandlerError> {
    let asked: FetchAsked = wire::decode(body)?;
    if asked.hashes.len() > HASHES_MAX {
        return Err(Garbage::OutOfBounds { what: "hashes fetched" }.into());
    }
    let now = node.timeline.now();
    let mut builder = BatchBuilder::default();
    let mut served = 0;
    for hash in asked.hashes {
        if builder.is_full() {
            break;
        }
        if let Some(record) = node.store.record(hash) {
            builder.add(&record, now);
        }
        served += 1;
    }
    Ok(wire::encode(&FetchAnswer {
        batch: Some(builder.batch()),
        served,
    }))
}

fn root(leaves: &[u64]) -> u64 {
    leaves.iter().fold(0, |sum, leaf| sum ^ leaf)
}

pub(crate) async fn run(node: Arc<Node>, peer: Arc<Peer>) {
    loop {
        let pause = node.config.digest_every.mul_f64(rand::random_range(0.75..1.0));
        tokio::select! {
            () = node.tasks.shutdown().begun() => return,
            // Not more often than ten times a second, however often notes overflow.
            () = async {
                peer.compare.notified().await;
                tokio::time::sleep(HURRIED_EVERY).await;
            } => {}
            () = tokio::time::sleep(pause) => {}
        }
        if peer.left.load(Ordering::Acquire) {
            return;
        }
        if node.is_ready() && node.is_alive(peer.id) {
            compare(&node, &peer, Haste::Leave).await;
        }
    }
}

/// Compares with a peer and repairs both; says whether they could be compared.
pub(crate) async fn compare(node: &Node, peer: &Peer, haste: Haste) -> bool {
    metrics::COMPARED.inc();
    let overflowed = peer.take_overflowed();
    match difference(node, peer, haste).await {
        Ok(0) => {
            peer.set_equal(node.timeline.now());
            true
        }
        Ok(differing) => {
            metrics::MISMATCHED.inc();
            tracing::info!(member = %peer.id, differing, "stores differed and were repaired");
            true
        }
        Err(error) => {
            if overflowed {
                peer.set_overflowed();
            }
            tracing::debug!(member = %peer.id, %error, "stores were not compared");
            false
        }
    }
}

/// Repairs what differs and counts it.
async fn difference(node: &Node, peer: &Peer, haste: Haste) -> Result<usize, Error> {
    let from_minute = node.store.first_compared_minute();
    let mut asked = DigestAsked {
        from_minute,
        ..DigestAsked::default()
    };
    let leaves = node.store.leaf_digests(from_minute);
    asked.root = root(&leaves);
    if ask(node, peer, &asked).await?.equal {
        return Ok(0);
    }
    asked.leaves = leaves;
    let mut differing = 0;
    loop {
        let answer = ask(node, peer, &asked).await?;
        let (mut wanted, mut given) = (Vec::new(), Vec::new());
        for list in &answer.lists {
            if list.leaf as usize >= LEAVES {
                return Err(Garbage::OutOfBounds { what: "leaf" }.into());
            }
            sift(node, list, from_minute, haste, &mut wanted, &mut given)?;
        }
        differing += wanted.len() + given.len();
        fetch(node, peer, wanted).await?;
        // Sent from here and not noted: notes that overflow would ask for the next comparison, and so for ever.
        let mut given = given.as_slice();
        while !given.is_empty() {
            given = &given[crate::copier::send(node, peer, given).await?..];
        }
        if answer.next_leaf <= asked.first_leaf || answer.next_leaf as usize >= LEAVES {
            return Ok(differing);
        }
        asked.first_leaf = answer.next_leaf;
    }
}

async fn ask(node: &Node, peer: &Peer, asked: &DigestAsked) -> Result<DigestAnswer, Error> {
    let body = wire::encode(asked);
    let answer = node
        .transport
        .call(peer.id, Route::EphemeralDigest, body, WITHIN)
        .await?;
    Ok(wire::decode(answer)?)
}

/// Holds one leaf's list against the own one: what to fetch, what to give.
fn sift(
    node: &Node,
    list: &LeafList,
    from_minute: u64,
    haste: Haste,
    wanted: &mut Vec<u64>,
    given: &mut Vec<u64>,
) -> Result<(), Garbage> {
    let now_ms = node.store.hybrid.now_ms();
    let settled = |version: Version| haste == Haste::Fetch || version.stamp.millis() + IN_FLIGHT_MS <= now_ms;
    let theirs: HashMap<u64, Version> = list.entries()?.collect();
    for (hash, version) in &theirs {
        match node.store.record(*hash).map(|record| record.version()) {
            Some(own) if own > *version && settled(own) => given.push(*hash),
            Some(own) if own >= *version => {}
            _ if settled(*version) => wanted.push(*hash),
            _ => {}
        }
    }
    node.store.for_each_of_leaf(list.leaf as usize, |record| {
        let state = record.state();
        let compared = !state.is_gone() || minute_of(state.version.stamp) >= from_minute;
        if compared && !theirs.contains_key(&record.hash) && settled(state.version) {
            given.push(record.hash);
        }
    });
    Ok(())
}

async fn fetch(node: &Node, peer: &Peer, mut wanted: Vec<u64>) -> Result<(), Error> {
    while !wanted.is_empty() {
        let rest = wanted.split_off(wanted.len().min(HASHES_MAX));
        let asked = FetchAsked { hashes: wanted };
        let body = wire::encode(&asked);
        let answer = node
            .transport
            .call(peer.id, Route::EphemeralFetch, body, WITHIN)
            .await?;
        let answer: FetchAnswer = wire::decode(answer)?;
        let served = answer.served as usize;
        if served == 0 || served > asked.hashes.len() {
            return Err(Garbage::OutOfBounds { what: "hashes served" }.into());
        }
        node.take_in(answer.batch.unwrap_or_default())?;
        wanted = asked.hashes;
        wanted.drain(..served);
        wanted.extend(rest);
    }
    Ok(())
}
