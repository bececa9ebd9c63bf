//! At which of its addresses to call a member.
//!
//! An address may be known twice: as configured here and as replicated by Raft. Either may be the old one: a member moved
//! at run time makes this node's configuration old; a cluster moved as a whole makes everybody's log old. So the replicated
//! address is called first and, while a member does not answer, the two take turns.

use muster_membership::View;
use muster_model::{Member, MemberId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long an address is tried before the other one is: four pings.
const TURN: Duration = Duration::from_secs(2);

/// How long the name service may take for one member's name.
const LOOKUP_WAIT: Duration = Duration::from_millis(500);

/// The members and where to call them. Owned by the task that follows the membership.
pub struct AddressBook {
    local: Member,
    configured: BTreeMap<MemberId, Member>,
    /// Whether to call a member as configured rather than as replicated, and since when it has been called there.
    turns: BTreeMap<MemberId, Turn>,
}

struct Turn {
    replicated: Member,
    as_configured: bool,
    since: Instant,
}

impl AddressBook {
    /// The members as configured, `local` among them.
    pub fn new(local: Member, configured: Vec<Member>) -> Self {
        Self {
            local,
            configured: configured.into_iter().map(|member| (member.id, member)).collect(),
            turns: BTreeMap::new(),
        }
    }

    /// The members of the group by id, each with the address to call it at now.
    pub fn members(&mut self, replicated: &[Member], is_alive: impl Fn(MemberId) -> bool, now: Instant) -> Vec<Member> {
        self.turns
            .retain(|id, _| replicated.iter().any(|member| member.id == *id));
        let mut members: Vec<_> = replicated
            .iter()
            .map(|member| self.choose(member, is_alive(member.id), now))
            .collect();
        members.sort();
        members
    }

    fn choose(&mut self, replicated: &Member, is_alive: bool, now: Instant) -> Member {
        if replicated.id == self.local.id {
            return self.local.clone();
        }
        let turn = self.turns.entry(replicated.id).or_insert_with(|| Turn {
            replicated: replicated.clone(),
            as_configured: false,
            since: now,
        });
        if turn.replicated != *replicated {
            *turn = Turn {
                replicated: replicated.clone(),
                as_configured: false,
                since: now,
            };
        }
        let Some(configured) = self
            .configured
            .get(&replicated.id)
            .filter(|member| *member != replicated)
        else {
            return replicated.clone();
        };
        if is_alive {
            turn.since = now;
        } else if now.saturating_duration_since(turn.since) >= TURN {
            turn.as_configured = !turn.as_configured;
            turn.since = now;
        }
        if turn.as_configured {
            configured.clone()
        } else {
            replicated.clone()
        }
    }
}

/// Where clients of this node can go: the other members that are ready, by an IP address each.
pub(crate) async fn others_to_go_to(view: &View) -> Vec<SocketAddr> {
    let others = view.members.iter().filter(|seen| seen.member.id != view.local);
    let ready = others.filter(|seen| seen.alive && seen.ready);
    let mut found = Vec::new();
    for address in ready.map(|seen| &seen.member.client_address) {
        match tokio::time::timeout(LOOKUP_WAIT, tokio::net::lookup_host(address)).await {
            Ok(Ok(mut addresses)) => found.extend(addresses.next()),
            Ok(Err(error)) => tracing::warn!(address, %error, "a member's name is not known"),
            Err(_) => tracing::warn!(address, "a member's name was not looked up in time"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_membership::MemberView;

    fn member(id: u64, host: &str) -> Member {
        Member {
            id: MemberId(id),
            client_address: format!("{host}:8848"),
            peer_address: format!("{host}:9849"),
        }
    }

    fn start() -> Instant {
        muster_runtime::Clock::system().now()
    }

    fn host_of(members: &[Member], id: u64) -> &str {
        let found = members.iter().find(|member| member.id == MemberId(id)).unwrap();
        found.client_address.split(':').next().unwrap()
    }

    #[test]
    fn a_member_that_moved_at_run_time_is_called_where_raft_says() {
        let mut book = AddressBook::new(member(1, "a"), vec![member(1, "a"), member(2, "old")]);
        let members = book.members(&[member(1, "a"), member(2, "new")], |_| true, start());
        assert_eq!(host_of(&members, 2), "new");
    }

    #[test]
    fn a_cluster_that_moved_as_a_whole_finds_itself_as_configured() {
        let mut book = AddressBook::new(member(1, "new1"), vec![member(1, "new1"), member(2, "new2")]);
        let replicated = [member(1, "old1"), member(2, "old2")];
        let begun = start();
        let members = book.members(&replicated, |_| false, begun);
        assert_eq!((host_of(&members, 1), host_of(&members, 2)), ("new1", "old2"));
        let members = book.members(&replicated, |_| false, begun + TURN);
        assert_eq!(host_of(&members, 2), "new2");
        // Found there, it is called there as long as it answers.
        let members = book.members(&replicated, |_| true, begun + 10 * TURN);
        assert_eq!(host_of(&members, 2), "new2");
    }

    #[test]
    fn addresses_take_turns_while_a_member_is_silent() {
        let mut book = AddressBook::new(member(1, "a"), vec![member(1, "a"), member(2, "x")]);
        let replicated = [member(1, "a"), member(2, "y")];
        let begun = start();
        let hosts: Vec<_> = (0..4)
            .map(|turn| host_of(&book.members(&replicated, |_| false, begun + turn * TURN), 2).to_owned())
            .collect();
        assert_eq!(hosts, ["y", "x", "y", "x"]);
    }

    #[test]
    fn a_new_replicated_address_is_called_at_once() {
        let mut book = AddressBook::new(member(1, "a"), vec![member(1, "a"), member(2, "x")]);
        let begun = start();
        book.members(&[member(2, "y")], |_| false, begun);
        book.members(&[member(2, "y")], |_| false, begun + TURN);
        let members = book.members(&[member(2, "z")], |_| false, begun + TURN);
        assert_eq!(host_of(&members, 2), "z");
    }

    #[test]
    fn a_removed_member_is_called_no_more() {
        let mut book = AddressBook::new(member(1, "a"), vec![member(1, "a"), member(2, "b")]);
        assert_eq!(book.members(&[member(1, "a")], |_| true, start()), [member(1, "a")]);
    }

    #[tokio::test]
    async fn clients_go_to_other_members_that_live_and_are_ready() {
        let seen = |id: u64, host: &str, alive, ready| MemberView {
            member: member(id, host),
            alive,
            ready,
            last_seen: None,
            skew_ms: 0,
        };
        let view = View {
            local: MemberId(1),
            members: vec![
                seen(1, "10.0.0.1", true, true),
                seen(2, "10.0.0.2", true, true),
                seen(3, "10.0.0.3", true, false),
                seen(4, "10.0.0.4", false, true),
                seen(5, "10.0.0.5", true, true),
            ],
            belongs: true,
            quorum: true,
            epoch: 1,
            since: start(),
        };
        let hosts = others_to_go_to(&view).await;
        assert_eq!(hosts, ["10.0.0.2:8848", "10.0.0.5:8848"].map(|it| it.parse().unwrap()));
    }
}
