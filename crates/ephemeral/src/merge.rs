//! Taking peers' records in: of two states of a key the one of higher rank holds, unless this node knows better about its
//! lease.
//!
//! What a node knows better it does not keep to itself, for then members would differ: it writes it, with a version newer
//! than all it has seen. So stores differ only by writes that have not reached all of them, and are equal once they have
//! ([`Rank`](crate::record::Rank)). Such answers end: each needs a living connection, a later beat or a release of this
//! node's own, and is itself nothing that another node answers so.

use crate::leaf::minute_of;
use crate::lease::timings;
use crate::moment::{Moment, ms};
use crate::record::{Body, Gone, Record, State, key_hash};
use crate::store::{Applied, Store};
use muster_model::{InstanceKey, ServiceKey};
use std::sync::Arc;

/// A peer's record on its way in.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Incoming {
    pub(crate) service: ServiceKey,
    pub(crate) key: InstanceKey,
    pub(crate) state: State,
    /// What was seen last, or what the removal is based on, as counted here.
    pub(crate) seen: Moment,
    /// Only tombstones carry it; an instance says it itself.
    pub(crate) interval_ms: Option<u32>,
}

/// What became of a peer's record.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Merged {
    /// Known, or of lower rank than what is known.
    Nothing,
    /// A release that was made later than what is known here, and ends only what is older: its writer has not heard of
    /// that yet. Told, for stores that are compared by versions alone would take the release for the news.
    Overtaken {
        hash: u64,
    },
    Taken(Applied),
    /// This node knows better and has written so: the peers must hear it.
    Refuted(Applied),
    /// No room.
    Refused,
}

impl Store {
    /// Takes a peer's record over if it ranks higher than what is known, unless this node knows better about a lease.
    ///
    /// The caller has had the hybrid clock observe the record's stamp.
    pub(crate) fn merge(&self, incoming: Incoming, now: Moment) -> Merged {
        let Incoming {
            service,
            key,
            mut state,
            seen,
            interval_ms,
        } = incoming;
        let hash = key_hash(&service, &key);
        let mut leaf = self.leaf(hash);
        let known = self.record(hash);
        match &known {
            None => {
                let forgotten = state.is_gone() && minute_of(state.version.stamp) < self.first_compared_minute();
                if forgotten {
                    return Merged::Nothing;
                }
                if self.room.records() >= self.room.records_max() {
                    return Merged::Refused;
                }
            }
            Some(record) => {
                if !record.is(&service, &key) {
                    return Merged::Refused;
                }
                let current = record.state();
                if state.rank() <= current.rank() {
                    if !state.is_gone() && !current.is_gone() {
                        record.lease.renew_to(seen);
                    }
                    return if state.version > current.version {
                        Merged::Overtaken { hash }
                    } else {
                        Merged::Nothing
                    };
                }
                if let Some(connection) = record.lease.connection()
                    && state.rests_on_absence()
                {
                    return Merged::Refuted(self.reclaim(&mut leaf, record, connection, now));
                }
                if self.has_released(record, &current, &state) {
                    let claim = state.version;
                    return Merged::Refuted(self.release(&mut leaf, record.clone(), claim, now));
                }
                if let Some(unmarked) = self.unmarked(record, &current, &state, seen, now) {
                    return Merged::Refuted(self.replace(&mut leaf, record, unmarked));
                }
                if is_no_sign_of_life(record, &current, &state, seen)
                    || knows_better(record, &current, &state, seen, now)
                {
                    let again = State {
                        version: self.next_version(),
                        ..current
                    };
                    return Merged::Refuted(self.replace(&mut leaf, record, again));
                }
            }
        }
        if let Body::Listed(instance) = &mut state.body
            && let Some(own) = Arc::get_mut(instance)
        {
            self.listings.share_with_sibling(&service, own);
        }
        let applied = self.put(&mut leaf, known, &service, key, hash, state, seen);
        if let (Some(interval_ms), Some(record)) = (interval_ms, self.record(hash)) {
            record.lease.set_interval_ms(interval_ms);
        }
        Merged::Taken(applied)
    }

    /// Whether somebody wrote about what this node's connection held without having heard that it has ended: an edit, say.
    /// Nobody but this node knows that no connection is behind it.
    fn has_released(&self, record: &Record, current: &State, newer: &State) -> bool {
        let released_here =
            matches!(current.body, Body::Gone(Gone::Released(_))) && current.version.origin == self.local;
        released_here && !newer.is_gone() && newer.held_by == self.here() && record.lease.connection().is_none()
    }

    /// A state without its mark for silence, if by what was seen here the lease holds. All else that it says stays: a
    /// registration or an edit that came before the mark, and was not heard of here.
    fn unmarked(&self, record: &Record, current: &State, newer: &State, basis: Moment, now: Moment) -> Option<State> {
        let listed = newer.listed().filter(|_| newer.by_silence && !current.is_gone())?;
        let limit = timings(listed, newer.held_by.is_some()).timeout;
        if !record.lease.refutes(ms(limit), basis, now) {
            return None;
        }
        let mut instance = (**listed).clone();
        instance.healthy = true;
        Some(self.next_state(Body::Listed(Arc::new(instance)), newer.held_by))
    }
}

/// Whether a listed instance must be kept as it is against a newer end that rests on silence, or on a registration that was
/// repeated since.
fn knows_better(record: &Record, current: &State, newer: &State, basis: Moment, now: Moment) -> bool {
    if current.is_gone() {
        return false;
    }
    match newer.body {
        Body::Gone(Gone::Expired) => record.lease.refutes(record.lease.delete_ms(), basis, now),
        Body::Gone(Gone::Deregistered) => record.registered() > newer.version.stamp,
        // It knew of what is listed here, or it would rank lower. Who holds a connection has taken it back by now.
        Body::Gone(Gone::Released(_)) | Body::Listed(_) => false,
    }
}

/// Whether somebody has marked for its silence what he had not heard was removed after its last sign of life. Such a mark is
/// newer than the removal, and yet no registration: the address stays gone.
fn is_no_sign_of_life(record: &Record, current: &State, newer: &State, basis: Moment) -> bool {
    let removed = matches!(current.body, Body::Gone(Gone::Deregistered | Gone::Expired));
    removed && newer.by_silence && record.lease.seen().since_ms(basis) > 0
}
