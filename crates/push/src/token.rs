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

/// Snapshots of a service whose tokens are known at a time. Under a storm shards that run side by side send neighbouring
/// ones, each to thousands.
const SNAPSHOTS_SHARED_MAX: usize = 3;

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
/// snapshots. Bounded by the subscriptions.
///
/// Locked inside a shard's engine lock, never the other way round.
#[derive(Debug, Default)]
pub(crate) struct Topics(RwLock<HashMap<ServiceKey, Topic>>);

#[derive(Debug, Default)]
struct Topic {
    /// A bit per shard.
    shards: u64,
    /// By snapshot, the newest last; at most [`SNAPSHOTS_SHARED_MAX`].
    minted: Mutex<Vec<Minted>>,
}

#[derive(Debug)]
struct Minted {
    mark: Mark,
    by_clusters: Vec<(Box<str>, u64)>,
}

impl Minted {
    fn of(mark: Mark) -> Self {
        Self {
            mark,
            by_clusters: Vec::new(),
        }
    }

    fn token(&mut self, clusters: &str, issue: impl Fn() -> u64) -> u64 {
        if let Some((_, token)) = self.by_clusters.iter().find(|(named, _)| **named == *clusters) {
            return *token;
        }
        let token = issue();
        if self.by_clusters.len() < SHARED_FILTERS_MAX {
            self.by_clusters.push((clusters.into(), token));
        }
        token
    }
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
        if let Some(minted) = minted.iter_mut().find(|minted| minted.mark == mark) {
            return minted.token(clusters, issue);
        }
        // A shard may have asked for its list before another minted a newer one.
        let place = minted.iter().take_while(|kept| mark.is_newer_than(kept.mark)).count();
        if minted.len() < SNAPSHOTS_SHARED_MAX {
            minted.insert(place, Minted::of(mark));
            return minted[place].token(clusters, issue);
        }
        let Some(place) = place.checked_sub(1) else {
            return issue();
        };
        minted[..=place].rotate_left(1);
        minted[place] = Minted::of(mark);
        minted[place].token(clusters, issue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{GroupName, NamespaceId, Renders, ServiceName};
    use std::sync::Arc;

    fn snapshot(revision: u64) -> ServiceSnapshot {
        let name = ServiceName::parse("a").unwrap();
        ServiceSnapshot {
            key: ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name),
            revision,
            stamp_ms: revision,
            exists: true,
            instances: Box::default(),
            settings: Arc::default(),
            trace: None,
            renders: Renders::default(),
        }
    }

    #[test]
    fn shards_that_send_neighbouring_snapshots_side_by_side_share_the_tokens_of_each() {
        let (topics, issuer, clock) = (Topics::default(), Issuer::default(), Clock::system());
        topics.join(&snapshot(1).key, 0);
        let token =
            |revision: u64, clusters: &str| topics.token(&snapshot(revision), clusters, || issuer.issue(&clock));
        let (older, newer) = (token(1, ""), token(2, ""));
        assert_eq!((token(1, ""), token(2, "")), (older, newer));
        assert_ne!(token(2, "east"), newer);
        assert_eq!(token(2, "east"), token(2, "east"));
        let newest: Vec<_> = (3..100).map(|revision| token(revision, "")).collect();
        assert!(newest.is_sorted() && newest[0] > newer);
        assert_ne!(token(1, ""), older, "forgotten, and unlike any other");
        // 98 was asked for before 100 was minted, and comes after it.
        topics.leave(&snapshot(1).key, 0);
        topics.join(&snapshot(1).key, 0);
        let (first, last) = (token(97, ""), token(100, ""));
        let late = token(98, "");
        assert_eq!((token(97, ""), token(98, ""), token(100, "")), (first, late, last));
        let later = token(99, "");
        assert_eq!((token(98, ""), token(99, ""), token(100, "")), (late, later, last));
        assert_ne!(token(97, ""), first);
    }

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
