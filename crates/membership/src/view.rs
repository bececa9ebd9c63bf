//! The members at one moment, and who of them answers for a client.

use muster_model::{ClientId, Member, MemberId};
use std::time::Instant;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Who answers for a client. Never a bool: not knowing is an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Responsibility {
    Here,
    At(MemberId),
    /// A majority of members is out of sight: nobody may mark or remove.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    pub member: Member,
    pub alive: bool,
    /// Serves clients, by its own word (its state is loaded).
    pub ready: bool,
    pub last_seen: Option<Instant>,
    /// Its wall clock minus ours, from the last ping.
    pub skew_ms: i64,
}

/// The members at one moment. Immutable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    pub local: MemberId,
    /// All members, sorted by id, this one included.
    pub members: Vec<MemberView>,
    /// Whether this member is one of the group, by the list that the group itself keeps.
    pub belongs: bool,
    /// Whether this member belongs to the group and sees a majority of its members alive, itself included.
    pub quorum: bool,
    /// Counts changes of who is alive; a higher epoch means responsibilities may have moved.
    pub epoch: u64,
    /// When this node entered the present epoch.
    pub since: Instant,
}

impl View {
    /// Who answers for `client`: by rendezvous hashing over the living members.
    pub fn responsible_for(&self, client: &ClientId) -> Responsibility {
        self.responsible_for_hash(Self::hash_of(client.as_str()))
    }

    /// The hash of a client's id that [`View::responsible_for_hash`] wants; kept by whoever asks often.
    pub fn hash_of(client_id: &str) -> u64 {
        xxh3_64(client_id.as_bytes())
    }

    /// As [`View::responsible_for`], for a client whose hash is at hand.
    ///
    /// The member with the highest weight answers, the weight being a hash of client and member together (rendezvous
    /// hashing): when a member goes, only its own clients move.
    pub fn responsible_for_hash(&self, client_hash: u64) -> Responsibility {
        if !self.quorum {
            return Responsibility::Unknown;
        }
        let weight = |member: MemberId| xxh3_64_with_seed(&client_hash.to_le_bytes(), member.0);
        let highest = self
            .members
            .iter()
            .filter(|seen| seen.alive)
            .map(|seen| seen.member.id)
            .max_by_key(|id| (weight(*id), *id));
        match highest {
            Some(id) if id == self.local => Responsibility::Here,
            Some(id) => Responsibility::At(id),
            None => Responsibility::Unknown,
        }
    }

    /// The other members that are alive.
    pub fn living_peers(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|seen| seen.alive && seen.member.id != self.local)
            .map(|seen| &seen.member)
    }

    /// Whether `id` is another member, and alive.
    pub fn is_living_peer(&self, id: MemberId) -> bool {
        self.living_peers().any(|member| member.id == id)
    }

    /// The other members, alive or not.
    pub fn peers(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|seen| seen.member.id != self.local)
            .map(|seen| &seen.member)
    }

    /// How many members are a majority of all that are configured, dead ones included.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// Whether `other` says the same about members, life and readiness; when they were last seen does not count.
    pub(crate) fn says_the_same_as(&self, other: &View) -> bool {
        self.epoch == other.epoch
            && self.quorum == other.quorum
            && self.members.len() == other.members.len()
            && self
                .members
                .iter()
                .zip(&other.members)
                .all(|(a, b)| a.member == b.member && a.alive == b.alive && a.ready == b.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Host, InstanceKey};

    #[allow(clippy::disallowed_methods, reason = "any instant does")]
    fn view(alive: &[(u64, bool)]) -> View {
        let members: Vec<_> = alive
            .iter()
            .map(|(id, alive)| MemberView {
                member: Member {
                    id: MemberId(*id),
                    client_address: String::new(),
                    peer_address: String::new(),
                },
                alive: *alive,
                ready: true,
                last_seen: None,
                skew_ms: 0,
            })
            .collect();
        View {
            local: MemberId(1),
            belongs: true,
            quorum: alive.iter().filter(|(_, alive)| *alive).count() > alive.len() / 2,
            members,
            epoch: 1,
            since: Instant::now(),
        }
    }

    fn clients() -> impl Iterator<Item = ClientId> {
        (1..=3_000).map(|port| ClientId::of_address(&InstanceKey::new(Host::parse("10.0.0.1").unwrap(), port)))
    }

    fn owner(view: &View, client: &ClientId) -> MemberId {
        match view.responsible_for(client) {
            Responsibility::Here => view.local,
            Responsibility::At(id) => id,
            Responsibility::Unknown => panic!("a quorum knows"),
        }
    }

    #[test]
    fn clients_are_spread_evenly() {
        let view = view(&[(1, true), (2, true), (3, true)]);
        let here = clients().filter(|client| owner(&view, client) == MemberId(1)).count();
        assert!((850..1_150).contains(&here), "{here} of 3000");
    }

    #[test]
    fn only_the_clients_of_a_lost_member_move() {
        let all = view(&[(1, true), (2, true), (3, true)]);
        let two = view(&[(1, true), (2, true), (3, false)]);
        for client in clients() {
            let (before, after) = (owner(&all, &client), owner(&two, &client));
            assert!(before == after || before == MemberId(3));
            assert_ne!(after, MemberId(3));
        }
    }

    #[test]
    fn without_a_majority_nobody_is_responsible() {
        let alone = view(&[(1, true), (2, false), (3, false)]);
        assert!(clients().all(|client| alone.responsible_for(&client) == Responsibility::Unknown));
    }

    #[test]
    fn a_single_member_is_responsible_for_all() {
        let alone = view(&[(1, true)]);
        assert!(clients().all(|client| alone.responsible_for(&client) == Responsibility::Here));
    }
}
