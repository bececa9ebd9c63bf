//! Tokens: what a datagram carries and its ack brings back.

use crate::delivery::Mark;
use muster_model::{ServiceKey, ServiceSnapshot};
use muster_runtime::Clock;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cluster filters of one snapshot whose deliveries share a token; those of further filters have one each. As many as a
/// snapshot keeps renderings of.
const SHARED_FILTERS_MAX: usize = 16;

/// Issues tokens: microseconds since the epoch, and one more than the last where that is not larger. Below 2^53 until
/// the year 2255.
#[derive(Debug, Default)]
pub(crate) struct Issuer(AtomicU64);

impl Issuer {
    pub(crate) fn issue(&self, clock: &Clock) -> u64 {
        let wall_us = clock.wall_ms().saturating_mul(1_000);
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(wall_us.max(last + 1)))
            .expect("the closure always answers");
        wall_us.max(last + 1)
    }
}

/// Which services anybody on this node subscribes to: the shards that hold the subscribers, and the tokens of the newest
/// snapshot. Bounded by the subscriptions.
///
/// Locked inside a shard's engine lock, never the other way round.
#[derive(Debug, Default)]
pub(crate) struct Topics(RwLock<HashMap<ServiceKey, Topic>>);

#[derive(Debug, Default)]
struct Topic {
    /// A bit per shard.
    shards: u64,
    minted: Mutex<Minted>,
}

#[derive(Debug, Default)]
struct Minted {
    mark: Option<Mark>,
    by_clusters: Vec<(Box<str>, u64)>,
}

impl Topics {
    /// The shards that hold subscribers of the service.
    pub(crate) fn shards_of(&self, service: &ServiceKey) -> u64 {
        self.0.read().get(service).map_or(0, |topic| topic.shards)
    }

    pub(crate) fn join(&self, service: &ServiceKey, shard: usize) {
        self.0.write().entry(service.clone()).or_default().shards |= 1 << shard;
    }

    pub(crate) fn leave(&self, service: &ServiceKey, shard: usize) {
        let mut topics = self.0.write();
        if let Some(topic) = topics.get_mut(service) {
            topic.shards &= !(1 << shard);
            if topic.shards == 0 {
                topics.remove(service);
            }
        }
    }

    /// The token for deliveries of `snapshot` to `clusters`.
    pub(crate) fn token(&self, snapshot: &ServiceSnapshot, clusters: &str, issue: impl Fn() -> u64) -> u64 {
        let topics = self.0.read();
        let Some(topic) = topics.get(&snapshot.key) else {
            return issue();
        };
        let mark = Mark::of(snapshot);
        let mut minted = topic.minted.lock();
        if minted.mark.is_none_or(|earlier| mark.is_newer_than(earlier)) {
            minted.mark = Some(mark);
            minted.by_clusters.clear();
        } else if minted.mark != Some(mark) {
            return issue();
        }
        if let Some((_, token)) = minted.by_clusters.iter().find(|(named, _)| **named == *clusters) {
            return *token;
        }
        let token = issue();
        if minted.by_clusters.len() < SHARED_FILTERS_MAX {
            minted.by_clusters.push((clusters.into(), token));
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_within_one_millisecond_and_when_the_wall_clock_goes_back() {
        let clock = Clock::system();
        let issuer = Issuer::default();
        let first = issuer.issue(&clock);
        let second = issuer.issue(&clock);
        clock.set_skew_ms(-3_600_000);
        let third = issuer.issue(&clock);
        assert!(first < second && second < third, "{first} {second} {third}");
        assert!(third < 1 << 53);
    }
}
