//! What one connection watches, and what it has been told. Pure.

use muster_model::ServiceKey;
use muster_naming::ServiceEvent;
use muster_wire::grpc::{FuzzyChange, FuzzyContext, FuzzyPattern, FuzzySync, fuzzy_key};
use std::collections::HashSet;

/// Services that are told of per pattern; Nacos's own bound.
pub(super) const WATCHED_MAX: usize = 500;
/// Services in one message; Nacos's own.
const BATCH: usize = 10;

/// The watches of one connection. Bounded by whoever adds them.
#[derive(Default)]
pub(super) struct Watching(Vec<Watched>);

struct Watched {
    pattern: FuzzyPattern,
    /// What the client has been told to exist, or said that it knows.
    told: HashSet<ServiceKey>,
}

/// One message of a sync.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Batch {
    pub(super) sync: FuzzySync,
    pub(super) contexts: Vec<FuzzyContext>,
    /// Which of how many, from one; zeros for one that holds nothing.
    pub(super) number: (usize, usize),
}

/// The difference between what matches and what a client has.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sync {
    pub(super) pattern: FuzzyPattern,
    pub(super) batches: Vec<Batch>,
}

impl Watching {
    /// Begins a watch, or renews it: what the client says it has replaces what it was told. `matching` is every service
    /// that matches now.
    ///
    /// Beyond [`WATCHED_MAX`] nothing is added; what the client has and what still exists is never taken back.
    pub(super) fn watch(
        &mut self,
        pattern: &FuzzyPattern,
        mut received: HashSet<String>,
        initializing: bool,
        matching: impl Iterator<Item = ServiceKey>,
    ) -> Sync {
        let mut told = HashSet::new();
        let mut contexts = Vec::new();
        for service in matching {
            let key = fuzzy_key(&service);
            if received.remove(&key) {
                told.insert(service);
            } else if told.len() < WATCHED_MAX {
                told.insert(service);
                contexts.push(context(key, FuzzyChange::AddService));
            }
        }
        // What is left matches nothing any more.
        let mut gone: Vec<String> = received.into_iter().collect();
        gone.sort_unstable();
        contexts.extend(gone.into_iter().map(|key| context(key, FuzzyChange::DeleteService)));
        match self.0.iter_mut().find(|watched| watched.pattern == *pattern) {
            Some(watched) => watched.told = told,
            None => self.0.push(Watched {
                pattern: pattern.clone(),
                told,
            }),
        }
        Sync {
            pattern: pattern.clone(),
            batches: batches(contexts, initializing),
        }
    }

    pub(super) fn cancel(&mut self, pattern: &FuzzyPattern) {
        self.0.retain(|watched| watched.pattern != *pattern);
    }

    /// What to tell of an event, if anything. One message does for all patterns: clients look for themselves which match.
    pub(super) fn heard(&mut self, event: &ServiceEvent) -> Option<FuzzyChange> {
        let mut news = false;
        for watched in &mut self.0 {
            if !watched.pattern.matches(&event.service) {
                continue;
            }
            news |= if event.exists {
                watched.told.len() < WATCHED_MAX && watched.told.insert(event.service.clone())
            } else {
                watched.told.remove(&event.service)
            };
        }
        let change = if event.exists {
            FuzzyChange::AddService
        } else {
            FuzzyChange::DeleteService
        };
        news.then_some(change)
    }

    /// After events were lost: what has changed since, by pattern. `matching` gives every service that matches one now.
    pub(super) fn again(&mut self, matching: impl Fn(&FuzzyPattern) -> Vec<ServiceKey>) -> Vec<Sync> {
        let before: Vec<(FuzzyPattern, HashSet<String>)> = self
            .0
            .iter()
            .map(|watched| (watched.pattern.clone(), watched.told.iter().map(fuzzy_key).collect()))
            .collect();
        before
            .into_iter()
            .map(|(pattern, told)| self.watch(&pattern, told, false, matching(&pattern).into_iter()))
            .collect()
    }
}

fn context(service_key: String, changed_type: FuzzyChange) -> FuzzyContext {
    FuzzyContext {
        service_key,
        changed_type,
    }
}

fn batches(contexts: Vec<FuzzyContext>, initializing: bool) -> Vec<Batch> {
    let sync = if initializing { FuzzySync::Init } else { FuzzySync::Diff };
    let total = contexts.len().div_ceil(BATCH);
    let chunks = contexts.chunks(BATCH).enumerate();
    let mut batches: Vec<Batch> = chunks
        .map(|(index, chunk)| Batch {
            sync,
            contexts: chunk.to_vec(),
            number: (index + 1, total),
        })
        .collect();
    if initializing {
        // Also where nothing matched: the client's future waits for it.
        batches.push(Batch {
            sync: FuzzySync::Finish,
            contexts: Vec::new(),
            number: (0, 0),
        });
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_naming::testing::service;
    use std::collections::BTreeSet;

    fn pattern(text: &str) -> FuzzyPattern {
        FuzzyPattern::parse(text).unwrap()
    }

    fn all() -> FuzzyPattern {
        pattern("public>>DEFAULT_GROUP>>*")
    }

    fn services(names: std::ops::Range<usize>) -> impl Iterator<Item = ServiceKey> {
        names.map(|n| service(&format!("s{n:04}")))
    }

    fn event(name: &str, exists: bool) -> ServiceEvent {
        ServiceEvent {
            service: service(name),
            exists,
        }
    }

    fn keys(sync: &Sync, change: FuzzyChange) -> BTreeSet<String> {
        let contexts = sync.batches.iter().flat_map(|batch| &batch.contexts);
        let of_change = contexts.filter(|context| context.changed_type == change);
        of_change.map(|context| context.service_key.clone()).collect()
    }

    #[test]
    fn a_first_watch_is_told_all_in_batches_of_ten_and_then_that_this_was_all() {
        let sync = Watching::default().watch(&all(), HashSet::new(), true, services(0..25));
        let shapes: Vec<_> = sync
            .batches
            .iter()
            .map(|batch| (batch.sync, batch.contexts.len(), batch.number))
            .collect();
        assert_eq!(
            shapes,
            [
                (FuzzySync::Init, 10, (1, 3)),
                (FuzzySync::Init, 10, (2, 3)),
                (FuzzySync::Init, 5, (3, 3)),
                (FuzzySync::Finish, 0, (0, 0)),
            ]
        );
        assert_eq!(keys(&sync, FuzzyChange::AddService).len(), 25);
        let nothing = Watching::default().watch(&all(), HashSet::new(), true, services(0..0));
        assert_eq!(nothing.batches.len(), 1);
        assert_eq!(nothing.batches[0].sync, FuzzySync::Finish);
    }

    #[test]
    fn a_renewed_watch_is_told_the_difference_to_what_the_client_has() {
        let mut watching = Watching::default();
        watching.watch(&all(), HashSet::new(), true, services(0..3));
        let has = ["public@@DEFAULT_GROUP@@s0000", "public@@DEFAULT_GROUP@@gone"];
        let has = has.map(str::to_owned).into_iter().collect();
        let sync = watching.watch(&all(), has, false, services(0..2));
        assert_eq!(sync.batches.len(), 1);
        assert_eq!(sync.batches[0].sync, FuzzySync::Diff);
        assert_eq!(
            keys(&sync, FuzzyChange::AddService).into_iter().collect::<Vec<_>>(),
            ["public@@DEFAULT_GROUP@@s0001"]
        );
        assert_eq!(
            keys(&sync, FuzzyChange::DeleteService).into_iter().collect::<Vec<_>>(),
            ["public@@DEFAULT_GROUP@@gone"]
        );
        let same = ["s0000", "s0001"].map(|name| format!("public@@DEFAULT_GROUP@@{name}"));
        let same = watching.watch(&all(), same.into_iter().collect(), false, services(0..2));
        assert_eq!(same.batches, [], "no difference, nothing is sent");
    }

    #[test]
    fn each_coming_and_going_is_told_once_and_only_if_it_matches() {
        let mut watching = Watching::default();
        watching.watch(&all(), HashSet::new(), true, services(0..1));
        watching.watch(
            &pattern("public>>DEFAULT_GROUP>>a*"),
            HashSet::new(),
            true,
            services(0..0),
        );
        assert_eq!(watching.heard(&event("s0000", true)), None, "told already");
        assert_eq!(watching.heard(&event("abc", true)), Some(FuzzyChange::AddService));
        assert_eq!(watching.heard(&event("abc", true)), None);
        watching.cancel(&all());
        assert_eq!(watching.heard(&event("s0000", false)), None, "nobody watches it now");
        assert_eq!(watching.heard(&event("abc", false)), Some(FuzzyChange::DeleteService));
        assert_eq!(watching.heard(&event("abc", false)), None);
    }

    #[test]
    fn what_was_missed_is_found_by_looking_again() {
        let mut watching = Watching::default();
        watching.watch(&all(), HashSet::new(), true, services(0..3));
        let syncs = watching.again(|_| services(1..5).collect());
        assert_eq!(syncs.len(), 1);
        assert_eq!(keys(&syncs[0], FuzzyChange::AddService).len(), 2);
        assert_eq!(keys(&syncs[0], FuzzyChange::DeleteService).len(), 1);
        assert_eq!(watching.again(|_| services(1..5).collect())[0].batches, []);
    }

    #[test]
    fn five_hundred_are_told_and_nothing_that_exists_is_taken_back() {
        let mut watching = Watching::default();
        let sync = watching.watch(&all(), HashSet::new(), true, services(0..700));
        assert_eq!(keys(&sync, FuzzyChange::AddService).len(), WATCHED_MAX);
        assert_eq!(watching.heard(&event("zzz", true)), None, "there is no room");
        let last = services(600..700).map(|service| fuzzy_key(&service)).collect();
        let sync = watching.watch(&all(), last, false, services(0..700));
        assert_eq!(keys(&sync, FuzzyChange::DeleteService).len(), 0);
    }
}
