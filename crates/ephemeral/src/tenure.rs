//! Since when this node has been responsible for a client, without a break.

use crate::moment::Moment;
use muster_membership::{Responsibility, View};
use std::collections::VecDeque;
use std::sync::Arc;

/// Views remembered. With more changes than this within a lease's time, responsibility counts from the oldest one still
/// known: later than the truth, so nobody loses by it.
const VIEWS_MAX: usize = 16;

#[derive(Default)]
pub(crate) struct Tenure {
    /// Oldest first, each with the moment it began.
    views: VecDeque<(Arc<View>, Moment)>,
}

impl Tenure {
    /// Takes note of the present view, which began at `since`.
    pub(crate) fn note(&mut self, view: Arc<View>, since: Moment) {
        match self.views.back() {
            Some((last, _)) if last.epoch == view.epoch => {}
            Some((last, _)) if last.epoch + 1 == view.epoch => {
                self.views.push_back((view, since));
                if self.views.len() > VIEWS_MAX {
                    self.views.pop_front();
                }
            }
            // A view was missed, and with it perhaps a time when somebody else was responsible.
            _ => {
                self.views.clear();
                self.views.push_back((view, since));
            }
        }
    }

    /// Since when this node answers for the client; `None` when another one does, or nobody knows.
    pub(crate) fn since(&self, client_hash: u64) -> Option<Moment> {
        self.views
            .iter()
            .rev()
            .take_while(|(view, _)| view.responsible_for_hash(client_hash) == Responsibility::Here)
            .last()
            .map(|(_, since)| *since)
    }
}

/// Whether a lease that was last seen at `seen` may be ended at `now` by who is responsible since `since`.
///
/// What was seen since then was told to this node, so its silence counts in full. What was not, may have been seen by
/// another: it has one full delete timeout from `since` on.
pub(crate) fn may_end(seen: Moment, since: Moment, delete_ms: u64, now: Moment) -> bool {
    seen > since || now.since_ms(since) >= delete_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_membership::MemberView;
    use muster_model::{Member, MemberId};

    #[allow(clippy::disallowed_methods, reason = "any instant does")]
    fn view(epoch: u64, alive: [bool; 3]) -> Arc<View> {
        let members = (1..=3).zip(alive).map(|(id, alive)| MemberView {
            member: Member {
                id: MemberId(id),
                client_address: String::new(),
                peer_address: String::new(),
            },
            alive,
            ready: true,
            last_seen: None,
            skew_ms: 0,
        });
        Arc::new(View {
            local: MemberId(1),
            members: members.collect(),
            belongs: true,
            quorum: alive.iter().filter(|alive| **alive).count() >= 2,
            epoch,
            since: std::time::Instant::now(),
        })
    }

    /// A client that member `id` answers for when all three live, and 1 when `id` is dead.
    fn client_of(id: u64) -> u64 {
        let all = view(1, [true; 3]);
        let without = view(1, [true, id != 2, id != 3]);
        (0u64..)
            .find(|hash| {
                let owner = match all.responsible_for_hash(*hash) {
                    Responsibility::Here => 1,
                    Responsibility::At(owner) => owner.0,
                    Responsibility::Unknown => 0,
                };
                owner == id && without.responsible_for_hash(*hash) == Responsibility::Here
            })
            .unwrap()
    }

    #[test]
    fn an_inherited_client_counts_from_the_inheritance_and_an_own_one_from_the_start() {
        let mut tenure = Tenure::default();
        tenure.note(view(1, [true; 3]), Moment(100));
        tenure.note(view(2, [true, false, true]), Moment(200));
        assert_eq!(tenure.since(client_of(1)), Some(Moment(100)));
        assert_eq!(tenure.since(client_of(2)), Some(Moment(200)));
        assert_eq!(tenure.since(client_of(3)), None);
    }

    #[test]
    fn a_missed_view_starts_the_count_anew() {
        let mut tenure = Tenure::default();
        tenure.note(view(1, [true; 3]), Moment(100));
        tenure.note(view(3, [true; 3]), Moment(300));
        assert_eq!(tenure.since(client_of(1)), Some(Moment(300)));
    }

    #[test]
    fn a_lost_quorum_breaks_the_tenure() {
        let mut tenure = Tenure::default();
        tenure.note(view(1, [true; 3]), Moment(100));
        tenure.note(view(2, [true, false, false]), Moment(200));
        assert_eq!(tenure.since(client_of(1)), None);
        tenure.note(view(3, [true; 3]), Moment(300));
        assert_eq!(tenure.since(client_of(1)), Some(Moment(300)));
    }

    #[test]
    fn an_unseen_client_has_a_full_delete_timeout_after_a_takeover() {
        assert!(!may_end(Moment(50), Moment(100), 30_000, Moment(30_099)));
        assert!(may_end(Moment(50), Moment(100), 30_000, Moment(30_100)));
        assert!(may_end(Moment(101), Moment(100), 30_000, Moment(20_000)));
    }
}
