//! What this node knows of each member, and the rules that make a view of it. Pure: time comes in.

use crate::ping::Ping;
use crate::view::{MemberView, View};
use muster_model::{Member, MemberId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is known of one peer.
#[derive(Default)]
struct Sight {
    /// It answered a call of ours.
    answered: Option<Instant>,
    /// It called us.
    called: Option<Instant>,
    /// A living third member said lately that it has heard from it.
    vouched: Option<Instant>,
    alive: bool,
    ready: bool,
    skew_ms: i64,
}

impl Sight {
    /// Alive is who answers us *and* calls us, each within `dead_after`. Of one that was alive already, a third member's
    /// word stands in for its missing calls, twice that long at most: lost pings do not make it flap. Nothing stands in
    /// for its answers.
    fn is_alive(&self, now: Instant, dead_after: Duration) -> bool {
        let within =
            |at: Option<Instant>, limit: Duration| at.is_some_and(|at| now.saturating_duration_since(at) < limit);
        within(self.answered, dead_after)
            && (within(self.called, dead_after)
                || (self.alive && within(self.vouched, dead_after) && within(self.called, dead_after * 2)))
    }

    fn last_seen(&self) -> Option<Instant> {
        self.answered.max(self.called)
    }
}

/// The list of members with what was seen of them. Owned by a lock held for a few lines.
pub(crate) struct Roll {
    local: MemberId,
    dead_after: Duration,
    members: BTreeMap<MemberId, Member>,
    /// The group itself has named them; until then they are those that were configured.
    named: bool,
    sights: BTreeMap<MemberId, Sight>,
    ready: bool,
    epoch: u64,
    since: Instant,
}

impl Roll {
    pub(crate) fn new(local: MemberId, members: Vec<Member>, dead_after: Duration, now: Instant) -> Self {
        let mut roll = Self {
            local,
            dead_after,
            members: BTreeMap::new(),
            named: false,
            sights: BTreeMap::new(),
            ready: false,
            epoch: 0,
            since: now,
        };
        roll.enter_members(members, now);
        roll
    }

    /// The group's own list.
    pub(crate) fn set_members(&mut self, members: Vec<Member>, now: Instant) {
        if !self.named {
            self.named = true;
            self.enter_next_epoch(now);
        }
        self.enter_members(members, now);
    }

    fn enter_members(&mut self, members: Vec<Member>, now: Instant) {
        let before: Vec<_> = self.members.keys().copied().collect();
        self.members = members.into_iter().map(|member| (member.id, member)).collect();
        let local = self.local;
        self.sights.retain(|id, _| self.members.contains_key(id));
        for id in self.members.keys().filter(|id| **id != local) {
            // A new member is not alive until it was seen: it must not take its share before its process runs.
            self.sights.entry(*id).or_default();
        }
        if !self.members.keys().eq(&before) {
            self.enter_next_epoch(now);
        }
    }

    pub(crate) fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.id != self.local)
    }

    /// Notes that `from` has answered a call of ours; who is not a member is ignored.
    pub(crate) fn answered(&mut self, from: MemberId, ping: &Ping, skew_ms: i64, now: Instant) {
        self.note(from, ping, skew_ms, now, |sight| sight.answered = Some(now));
    }

    /// Notes that `from` has called us; who is not a member is ignored.
    pub(crate) fn called(&mut self, from: MemberId, ping: &Ping, skew_ms: i64, now: Instant) {
        self.note(from, ping, skew_ms, now, |sight| sight.called = Some(now));
    }

    fn note(&mut self, from: MemberId, ping: &Ping, skew_ms: i64, now: Instant, set: impl Fn(&mut Sight)) {
        let Some(sight) = self.sights.get_mut(&from) else {
            return;
        };
        set(sight);
        sight.ready = ping.ready;
        sight.skew_ms = skew_ms;
        if sight.alive {
            for (id, other) in self.sights.iter_mut().filter(|(id, _)| **id != from) {
                if ping.has_heard(*id) {
                    other.vouched = Some(now);
                }
            }
        }
    }

    /// Members that have called us lately.
    pub(crate) fn heard(&self, now: Instant) -> Vec<u64> {
        self.sights
            .iter()
            .filter(|(_, sight)| {
                sight
                    .called
                    .is_some_and(|at| now.saturating_duration_since(at) < self.dead_after)
            })
            .map(|(id, _)| id.0)
            .collect()
    }

    /// The view at `now`. Enters the next epoch when somebody has come to life or died since the last look.
    pub(crate) fn look(&mut self, now: Instant) -> View {
        let mut changed = false;
        for sight in self.sights.values_mut() {
            let alive = sight.is_alive(now, self.dead_after);
            changed |= alive != sight.alive;
            sight.alive = alive;
        }
        if changed {
            self.enter_next_epoch(now);
        }
        let members: Vec<_> = self
            .members
            .values()
            .map(|member| match self.sights.get(&member.id) {
                Some(sight) => MemberView {
                    member: member.clone(),
                    alive: sight.alive,
                    ready: sight.ready && sight.alive,
                    last_seen: sight.last_seen(),
                    skew_ms: sight.skew_ms,
                },
                None => MemberView {
                    member: member.clone(),
                    alive: true,
                    ready: self.ready,
                    last_seen: Some(now),
                    skew_ms: 0,
                },
            })
            .collect();
        let alive = members.iter().filter(|seen| seen.alive).count();
        let belongs = self.named && self.members.contains_key(&self.local);
        View {
            local: self.local,
            belongs,
            // Who is not on the list (yet, or any more) decides nothing, however many it sees.
            quorum: belongs && alive * 2 > members.len(),
            members,
            epoch: self.epoch,
            since: self.since,
        }
    }

    fn enter_next_epoch(&mut self, now: Instant) {
        self.epoch += 1;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD_AFTER: Duration = Duration::from_secs(3);

    fn member(id: u64) -> Member {
        Member {
            id: MemberId(id),
            client_address: format!("10.0.0.{id}:8848"),
            peer_address: format!("10.0.0.{id}:9849"),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "any instant does as the start")]
    fn roll(count: u64) -> (Roll, Instant) {
        let start = Instant::now();
        let members = (1..=count).map(member).collect();
        (Roll::new(MemberId(1), members, DEAD_AFTER, start), start)
    }

    fn ping(heard: &[u64]) -> Ping {
        Ping {
            heard: heard.to_vec(),
            ready: true,
            stamp: 0,
            wall_ms: 0,
        }
    }

    fn alive(view: &View) -> Vec<u64> {
        view.living_peers().map(|member| member.id.0).collect()
    }

    #[test]
    fn a_peer_that_answers_but_never_calls_is_not_alive() {
        let (mut roll, start) = roll(3);
        roll.answered(MemberId(2), &ping(&[1]), 0, start);
        roll.called(MemberId(3), &ping(&[1]), 0, start);
        assert_eq!(alive(&roll.look(start)), [0u64; 0]);
        roll.called(MemberId(2), &ping(&[1]), 0, start);
        assert_eq!(alive(&roll.look(start)), [2]);
    }

    #[test]
    fn a_third_members_word_never_stands_in_for_an_answer() {
        let (mut roll, start) = roll(3);
        for id in [2, 3] {
            roll.answered(MemberId(id), &ping(&[]), 0, start);
            roll.called(MemberId(id), &ping(&[]), 0, start);
        }
        assert_eq!(alive(&roll.look(start)), [2, 3]);
        let later = start + DEAD_AFTER;
        roll.answered(MemberId(3), &ping(&[2]), 0, later);
        roll.called(MemberId(3), &ping(&[2]), 0, later);
        assert_eq!(alive(&roll.look(later)), [3]);
    }

    #[test]
    fn a_third_members_word_keeps_who_answers_but_lost_its_calls_twice_as_long() {
        let (mut roll, start) = roll(3);
        for id in [2, 3] {
            roll.answered(MemberId(id), &ping(&[]), 0, start);
            roll.called(MemberId(id), &ping(&[]), 0, start);
        }
        roll.look(start);
        for (after, expected) in [(DEAD_AFTER, vec![2, 3]), (DEAD_AFTER * 2, vec![3])] {
            let later = start + after;
            roll.answered(MemberId(2), &ping(&[]), 0, later);
            roll.answered(MemberId(3), &ping(&[2]), 0, later);
            roll.called(MemberId(3), &ping(&[2]), 0, later);
            assert_eq!(alive(&roll.look(later)), expected);
        }
    }

    #[test]
    fn the_epoch_moves_with_life_and_membership_alone() {
        let (mut roll, start) = roll(2);
        let first = roll.look(start).epoch;
        roll.set_ready(true);
        assert_eq!(roll.look(start).epoch, first);
        roll.answered(MemberId(2), &ping(&[]), 0, start);
        roll.called(MemberId(2), &ping(&[]), 0, start);
        let second = roll.look(start).epoch;
        assert!(second > first);
        assert_eq!(roll.look(start + Duration::from_secs(1)).epoch, second);
        let view = roll.look(start + DEAD_AFTER);
        assert!(view.epoch > second && view.since == start + DEAD_AFTER);
        roll.set_members(vec![member(1)], start + DEAD_AFTER);
        assert!(roll.look(start + DEAD_AFTER).epoch > view.epoch);
    }

    #[test]
    fn who_was_only_configured_belongs_to_no_group_and_has_no_quorum() {
        let (mut roll, start) = roll(2);
        roll.answered(MemberId(2), &ping(&[]), 0, start);
        roll.called(MemberId(2), &ping(&[]), 0, start);
        let view = roll.look(start);
        assert_eq!(alive(&view), [2]);
        assert!(!view.belongs && !view.quorum);
        roll.set_members(vec![member(1), member(2)], start);
        let named = roll.look(start);
        assert!(named.belongs && named.quorum && named.epoch > view.epoch);
        roll.set_members(vec![member(2), member(3)], start);
        assert!(!roll.look(start).belongs);
    }

    #[test]
    fn a_quorum_counts_all_members_of_the_group() {
        let (mut roll, start) = roll(4);
        roll.set_members((1..=4).map(member).collect(), start);
        roll.answered(MemberId(2), &ping(&[]), 0, start);
        roll.called(MemberId(2), &ping(&[]), 0, start);
        assert!(!roll.look(start).quorum, "two of four");
        roll.set_members(vec![member(1), member(2), member(3)], start);
        assert!(roll.look(start).quorum, "two of three");
        roll.set_members(vec![member(2)], start);
        assert!(!roll.look(start).quorum, "not a member any more");
    }
}
