//! Whole groups in one process: real files, real syncs, a network that can be cut.
//!
//! Time is real: a log that syncs does not wait for a paused clock. Elections are the product's own, since quicker ones starve on
//! a busy machine, and waiting is `eventually`.

use bytes::Bytes;
use muster_consensus::testing::Journal;
use muster_consensus::{Committed, Config, Consensus, MemberChangeError, ProposeError, Role, StartError, Status};
use muster_model::{Member, MemberId};
use muster_runtime::{Clock, Shutdown, Tasks};
use muster_transport::memory::Network;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// Longer than a member believes in one that is silent: twice the longest election (1 s).
const SILENCE: Duration = Duration::from_millis(2_500);

struct Cluster {
    network: Network,
    folder: tempfile::TempDir,
    clock: Clock,
    founders: Vec<Member>,
    snapshot_every: u64,
    nodes: BTreeMap<u64, Node>,
}

struct Node {
    consensus: Consensus,
    journal: Journal,
    tasks: Tasks,
}

fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        client_address: format!("10.0.0.{id}:8848"),
        peer_address: format!("10.0.0.{id}:9849"),
    }
}

fn command(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Asks again until it is so.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, looking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}

impl Cluster {
    fn new(size: u64) -> Self {
        Self {
            network: Network::new(),
            folder: tempfile::tempdir().unwrap(),
            clock: Clock::system(),
            founders: (1..=size).map(member).collect(),
            snapshot_every: 1_000_000,
            nodes: BTreeMap::new(),
        }
    }

    async fn started(size: u64) -> Self {
        let mut cluster = Self::new(size);
        cluster.start_all(size).await;
        cluster
    }

    async fn start_all(&mut self, size: u64) {
        let cluster = self;
        for id in 1..=size {
            cluster.start(id).await;
        }
        cluster.leader().await;
        // A founder that came after the first election is taken in by the leader.
        let all: Vec<_> = (1..=size).collect();
        for id in 1..=size {
            cluster.voters(id, &all).await;
        }
    }

    fn data_dir(&self, id: u64) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    async fn start(&mut self, id: u64) {
        self.start_at(member(id)).await.unwrap();
    }

    async fn start_at(&mut self, local: Member) -> Result<(), StartError> {
        let id = local.id;
        let config = Config {
            snapshot_every_entries: self.snapshot_every,
            ..Config::new(self.data_dir(id.0), local, self.founders.clone())
        };
        let journal = Journal::new();
        let tasks = Tasks::new(Shutdown::new());
        let consensus = Consensus::start(
            config,
            self.network.join(id),
            std::sync::Arc::new(journal.clone()),
            self.clock.clone(),
            &tasks,
        )
        .await?;
        let node = Node {
            consensus,
            journal,
            tasks,
        };
        self.nodes.insert(id.0, node);
        Ok(())
    }

    /// Takes a node off the network first, so that it hands nothing over, then ends it.
    async fn crash(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        self.network.leave(MemberId(id));
        node.consensus.stop().await;
        assert!(node.tasks.ended_within(SOON).await, "tasks of {id} go on");
    }

    fn node(&self, id: u64) -> &Consensus {
        &self.nodes[&id].consensus
    }

    fn status(&self, id: u64) -> Status {
        self.node(id).status()
    }

    fn soon(&self) -> std::time::Instant {
        self.clock.now() + SOON
    }

    /// The one that leads and that a majority of the running ones follow.
    async fn leader(&self) -> u64 {
        self.leader_but(0).await
    }

    async fn leader_but(&self, not: u64) -> u64 {
        eventually("a leader", || async {
            let leader = self
                .nodes
                .keys()
                .copied()
                .find(|id| *id != not && self.status(*id).role == Role::Leader)?;
            let followed = self
                .nodes
                .keys()
                .filter(|id| self.status(**id).leader == Some(MemberId(leader)))
                .count();
            (followed * 2 > self.status(leader).members.iter().filter(|member| member.voter).count()).then_some(leader)
        })
        .await
    }

    async fn follower(&self) -> u64 {
        self.follower_of(self.leader().await)
    }

    /// One that runs and is another: who asks for the leader and for a follower apart may be told the same one twice.
    fn follower_of(&self, leader: u64) -> u64 {
        *self.nodes.keys().find(|id| **id != leader).unwrap()
    }

    async fn propose(&self, at: u64, text: &str) -> Result<Committed, ProposeError> {
        self.node(at).propose(command(text), self.soon()).await
    }

    async fn holds(&self, id: u64, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|text| command(text)).collect();
        eventually("all commands applied", || async {
            (self.nodes[&id].journal.commands() == expected).then_some(())
        })
        .await;
    }

    async fn voters(&self, id: u64, expected: &[u64]) {
        eventually("these voters", || async {
            let voters: Vec<_> = self
                .status(id)
                .members
                .iter()
                .filter(|m| m.voter)
                .map(|m| m.member.id.0)
                .collect();
            (voters == expected).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        for (_, node) in self.nodes {
            node.consensus.stop().await;
            assert!(node.tasks.ended_within(SOON).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_at_any_member_is_applied_on_all_in_one_order() {
    let cluster = Cluster::started(3).await;
    for (at, text) in [(1, "a"), (2, "b"), (3, "c")] {
        let committed = cluster.propose(at, text).await.unwrap();
        assert_eq!(committed.response, command(&format!("{}:{}", committed.index, at - 1)));
    }
    for id in 1..=3 {
        cluster.holds(id, &["a", "b", "c"]).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_takes_over_when_the_old_one_is_cut_off_and_nothing_acknowledged_is_lost() {
    let cluster = Cluster::started(3).await;
    let old = cluster.leader().await;
    cluster.propose(old, "before").await.unwrap();
    cluster.network.isolate(MemberId(old));
    let new = cluster.leader_but(old).await;
    cluster.propose(new, "after").await.unwrap();

    // Alone, the old one acknowledges nothing and reads nothing; once its lease is over it says that nothing was done.
    let refused = eventually("a refusal", || async {
        let deadline = cluster.clock.now() + Duration::from_millis(300);
        match cluster.node(old).propose(command("lost"), deadline).await {
            Ok(_) => panic!("acknowledged without a majority"),
            Err(ProposeError::NoLeader { .. }) => Some(()),
            Err(_) => None,
        }
    });
    refused.await;
    let deadline = cluster.clock.now() + Duration::from_millis(300);
    let read = cluster.node(old).read_barrier(deadline).await;
    assert!(matches!(read, Err(ProposeError::NoLeader { .. })), "{read:?}");

    cluster.network.heal();
    eventually("the old leader follows", || async {
        (cluster.status(old).role == Role::Follower).then_some(())
    })
    .await;
    let commands = eventually("equal journals", || async {
        let journals: Vec<_> = (1..=3).map(|id| cluster.nodes[&id].journal.commands()).collect();
        (journals[0].len() >= 2 && journals.iter().all(|journal| *journal == journals[0])).then(|| journals[0].clone())
    })
    .await;
    assert_eq!(commands[0], command("before"));
    assert!(commands.contains(&command("after")));
    cluster.stop().await;
}

/// openraft names the last leader it followed for as long as no other one comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_cut_off_names_no_leader_and_says_that_nothing_was_done() {
    let cluster = Cluster::started(3).await;
    let follower = cluster.follower().await;
    cluster.propose(follower, "before").await.unwrap();
    cluster.network.isolate(MemberId(follower));
    eventually("it names nobody", || async {
        cluster.status(follower).leader.is_none().then_some(())
    })
    .await;
    // Sent to a leader that is not heard from, it would end as one of which nobody knows the outcome.
    let deadline = cluster.clock.now() + Duration::from_millis(300);
    let refused = cluster.node(follower).propose(command("lost"), deadline).await;
    assert!(matches!(refused, Err(ProposeError::NoLeader { .. })), "{refused:?}");
    cluster.network.heal();
    cluster.propose(follower, "after").await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_a_majority_refuses_within_the_deadline_and_does_nothing() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower_of(leader);
    for id in 1..=3 {
        if id != follower {
            cluster.crash(id).await;
        }
    }
    // The last crash may have made it the leader, of nobody; then it needs its lease to run out first.
    let mut attempt = 0;
    let refused = eventually("a refusal", || {
        attempt += 1;
        let (text, cluster) = (format!("refused {attempt}"), &cluster);
        async move {
            let deadline = cluster.clock.now() + Duration::from_millis(200);
            match cluster.node(follower).propose(command(&text), deadline).await {
                Ok(_) => panic!("acknowledged without a majority"),
                Err(refused @ ProposeError::NoLeader { .. }) => Some((text, refused)),
                Err(_) => None,
            }
        }
    });
    let (text, refused) = refused.await;
    assert!(refused.to_string().contains("did not find the Leader node"));
    cluster.start(leader).await;
    cluster.leader().await;
    cluster.propose(follower, "after").await.unwrap();
    let commands = cluster.nodes[&leader].journal.commands();
    assert!(!commands.contains(&command(&text)), "{text} was carried out");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_a_restart_of_all() {
    let mut cluster = Cluster::started(3).await;
    let mut expected = Vec::new();
    for round in 0..3 {
        let at = cluster.follower().await;
        for number in 0..20 {
            let text = format!("{round}-{number}");
            cluster.propose(at, &text).await.unwrap();
            expected.push(text);
        }
        for id in 1..=3 {
            cluster.crash(id).await;
        }
        for id in [3, 1, 2] {
            cluster.start(id).await;
        }
        cluster.leader().await;
    }
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    for id in 1..=3 {
        cluster.holds(id, &expected).await;
    }
    cluster.stop().await;
}

/// In its old term it could write another entry where a majority without it had committed one, and it has forgotten what is
/// committed: right after a restart of all a strong read was told an index below what had been acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_starts_again_leads_no_more_in_its_old_term() {
    let mut cluster = Cluster::started(3).await;
    for round in 0..3 {
        let leader = cluster.leader().await;
        let term = cluster.status(leader).term;
        cluster.propose(leader, &format!("{round}")).await.unwrap();
        for id in 1..=3 {
            cluster.crash(id).await;
        }
        for id in [leader, leader % 3 + 1, (leader + 1) % 3 + 1] {
            cluster.start(id).await;
        }
        let next = cluster.leader().await;
        assert!(cluster.status(next).term > term, "{leader} led on in term {term}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_member_applies_what_it_knew_to_be_committed_without_anybody() {
    let mut cluster = Cluster::started(3).await;
    let at = cluster.follower().await;
    cluster.propose(at, "a").await.unwrap();
    cluster.holds(at, &["a"]).await;
    for id in 1..=3 {
        cluster.crash(id).await;
    }
    cluster.start(at).await;
    assert_eq!(cluster.nodes[&at].journal.commands(), [command("a")]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founders_start_in_any_order_and_found_once() {
    let mut cluster = Cluster::new(3);
    cluster.start(2).await;
    assert!(!cluster.status(2).initialized, "one founder alone founds nothing");
    cluster.start(3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for id in [2, 3] {
        assert!(
            !cluster.status(id).initialized,
            "two might be those that have lost their disks"
        );
    }
    cluster.start(1).await;
    cluster.leader().await;
    cluster.propose(1, "a").await.unwrap();
    cluster.holds(1, &["a"]).await;
    cluster.voters(1, &[1, 2, 3]).await;
    cluster.crash(2).await;
    cluster.start(2).await;
    cluster.holds(2, &["a"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_founder_is_a_group_of_its_own() {
    let mut cluster = Cluster::started(1).await;
    cluster.propose(1, "a").await.unwrap();
    cluster.crash(1).await;
    cluster.start(1).await;
    cluster.propose(1, "b").await.unwrap();
    cluster.holds(1, &["a", "b"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_one_leads_however_long_nothing_happens() {
    let cluster = Cluster::started(1).await;
    // Longer than a leader may be silent towards others.
    tokio::time::sleep(SILENCE).await;
    assert_eq!(cluster.status(1).leader, Some(MemberId(1)));
    cluster.propose(1, "late").await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founders_with_different_lists_do_not_found() {
    let mut cluster = Cluster::new(3);
    cluster.start(1).await;
    cluster.founders = [1, 2].map(member).into();
    cluster.start(2).await;
    // Whoever hears of the other first.
    let (at, reason) = eventually("a fatal reason", || async {
        [1, 2].into_iter().find_map(|id| Some((id, cluster.status(id).fatal?)))
    })
    .await;
    assert!(reason.contains("other founders"), "{reason}");
    assert_eq!(cluster.status(at).role, Role::Stopped);
    assert!([1, 2].into_iter().all(|id| !cluster.status(id).initialized));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_member_gets_a_snapshot_and_the_log_behind_it() {
    let mut cluster = Cluster::new(3);
    cluster.snapshot_every = 50;
    cluster.start_all(3).await;
    let lagging = cluster.follower().await;
    cluster.crash(lagging).await;
    let at = cluster.follower().await;
    let texts: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    for text in &texts {
        cluster.propose(at, text).await.unwrap();
    }
    let expected: Vec<_> = texts.iter().map(String::as_str).collect();
    let leader = cluster.leader().await;
    // Its log may outlast the snapshot for a while, and would then be sent instead.
    eventually("a snapshot and no log before it", || async {
        (cluster.status(leader).purged_index > 100).then_some(())
    })
    .await;
    cluster.start(lagging).await;
    cluster.holds(lagging, &expected).await;
    assert!(cluster.nodes[&lagging].journal.restored() > 0, "by a snapshot");
    assert!(cluster.status(lagging).snapshot_index > 0);
    // And what it got is on its disk.
    cluster.crash(lagging).await;
    cluster.start(lagging).await;
    cluster.holds(lagging, &expected).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_member_is_taken_back_and_filled_by_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.snapshot_every = 50;
    cluster.start_all(3).await;
    let at = cluster.leader().await;
    let texts: Vec<_> = (0..120).map(|number| number.to_string()).collect();
    for text in &texts {
        cluster.propose(at, text).await.unwrap();
    }
    let emptied = cluster.follower().await;
    cluster.crash(emptied).await;
    std::fs::remove_dir_all(cluster.data_dir(emptied)).unwrap();
    cluster.start(emptied).await;
    let expected: Vec<_> = texts.iter().map(String::as_str).collect();
    cluster.holds(emptied, &expected).await;
    cluster.voters(emptied, &[1, 2, 3]).await;
    cluster.propose(emptied, "after").await.unwrap();
    cluster.stop().await;
}

/// Found by the simulation (seeds 1048, 1390): it asked the founders alone, none of which led, and so for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_founder_is_taken_back_by_a_leader_that_is_none() {
    let mut cluster = Cluster::started(3).await;
    cluster.propose(1, "a").await.unwrap();
    let (door, until) = (cluster.node(1).clone(), cluster.soon());
    let (added, ()) = tokio::join!(door.add_member(member(4), until), cluster.start(4));
    added.unwrap();
    door.transfer_leader(Some(MemberId(4)), until).await.unwrap();
    eventually("4 leads", || async { (cluster.leader().await == 4).then_some(()) }).await;
    cluster.crash(3).await;
    std::fs::remove_dir_all(cluster.data_dir(3)).unwrap();
    cluster.start(3).await;
    cluster.holds(3, &["a"]).await;
    cluster.voters(3, &[1, 2, 3, 4]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_member_gives_no_second_vote_while_the_others_are_down() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    cluster.propose(leader, "first").await.unwrap();
    for id in 1..=3 {
        cluster.holds(id, &["first"]).await;
    }
    // One member misses the write, one holds it and then forgets everything.
    let others: Vec<_> = (1..=3).filter(|id| *id != leader).collect();
    let (missing, emptied) = (others[0], others[1]);
    cluster.crash(missing).await;
    cluster.propose(leader, "kept").await.unwrap();
    cluster.crash(emptied).await;
    cluster.crash(leader).await;
    std::fs::remove_dir_all(cluster.data_dir(emptied)).unwrap();
    cluster.start(missing).await;
    cluster.start(emptied).await;
    // Time enough for the two to elect one of them.
    let deadline = cluster.clock.now() + SILENCE;
    let refused = cluster
        .node(missing)
        .propose(command("fork"), deadline)
        .await
        .unwrap_err();
    assert!(matches!(refused, ProposeError::NoLeader { .. }), "{refused:?}");
    cluster.start(leader).await;
    cluster.holds(emptied, &["first", "kept"]).await;
    cluster.holds(missing, &["first", "kept"]).await;
    cluster.stop().await;
}

/// They are a majority, and know of no group; the third has everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_founders_of_three_that_have_lost_their_disks_found_no_new_group() {
    let mut cluster = Cluster::started(3).await;
    cluster.propose(1, "kept").await.unwrap();
    for id in 1..=3 {
        cluster.holds(id, &["kept"]).await;
    }
    for id in 1..=3 {
        cluster.crash(id).await;
    }
    for id in [1, 2] {
        std::fs::remove_dir_all(cluster.data_dir(id)).unwrap();
        cluster.start(id).await;
    }
    let is_founded = |cluster: &Cluster, id| cluster.status(id).initialized || cluster.status(id).leader.is_some();
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            !is_founded(&cluster, 1) && !is_founded(&cluster, 2),
            "a second group beside the third's"
        );
    }
    // Nor when it comes: it leads nobody, and what it has is there for a person to save.
    cluster.start(3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!is_founded(&cluster, 1) && !is_founded(&cluster, 2));
    assert_eq!(cluster.nodes[&3].journal.commands(), [command("kept")]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_added_removed_and_replaced_at_run_time() {
    let mut cluster = Cluster::started(3).await;
    cluster.propose(1, "a").await.unwrap();
    // Added before it runs, and once more when it is in.
    let at = cluster.follower().await;
    let (door, until) = (cluster.node(at).clone(), cluster.soon());
    let (added, ()) = tokio::join!(door.add_member(member(4), until), cluster.start(4));
    added.unwrap();
    door.add_member(member(4), until).await.unwrap();
    cluster.holds(4, &["a"]).await;
    cluster.voters(4, &[1, 2, 3, 4]).await;

    let leader = cluster.leader().await;
    cluster
        .node(leader)
        .remove_member(MemberId(leader), cluster.soon())
        .await
        .unwrap();
    let new = cluster.leader_but(leader).await;
    let rest: Vec<_> = (1..=4).filter(|id| *id != leader).collect();
    cluster.voters(new, &rest).await;
    cluster
        .node(new)
        .remove_member(MemberId(leader), cluster.soon())
        .await
        .unwrap();
    cluster.crash(leader).await;
    cluster.propose(rest[0], "b").await.unwrap();
    for id in rest {
        cluster.holds(id, &["a", "b"]).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_does_not_answer_never_becomes_a_voter() {
    let cluster = Cluster::started(1).await;
    let deadline = cluster.clock.now() + Duration::from_millis(300);
    let refused = cluster.node(1).add_member(member(9), deadline).await.unwrap_err();
    assert!(matches!(refused, MemberChangeError::Refused(_)), "{refused:?}");
    cluster.voters(1, &[1]).await;
    cluster.propose(1, "a").await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_would_leave_no_majority_is_refused() {
    let mut cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = (1..=3).filter(|id| *id != leader).collect();
    cluster.crash(others[0]).await;
    let refused = eventually("a refusal", || async {
        let status = cluster.status(leader);
        assert_eq!(status.members.len(), 3, "it was removed");
        tokio::time::sleep(SILENCE).await;
        let removed = cluster
            .node(leader)
            .remove_member(MemberId(others[1]), cluster.soon())
            .await;
        removed.err()
    })
    .await;
    assert!(refused.to_string().contains("no majority"), "{refused}");
    cluster.propose(leader, "a").await.unwrap();
    let one = Cluster::started(1).await;
    let refused = one.node(1).remove_member(MemberId(1), one.soon()).await.unwrap_err();
    assert!(refused.to_string().contains("last voter"), "{refused}");
    one.stop().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_on_request_from_anywhere() {
    let cluster = Cluster::started(3).await;
    let follower = cluster.follower().await;
    let new = cluster
        .node(follower)
        .transfer_leader(Some(MemberId(follower)), cluster.soon())
        .await
        .unwrap();
    assert_eq!(new, MemberId(follower));
    // The third may follow the old leader for a moment, which may believe in itself as long.
    eventually("it leads", || async {
        (cluster.leader().await == follower).then_some(())
    })
    .await;
    let refused = cluster
        .node(follower)
        .transfer_leader(Some(MemberId(77)), cluster.soon())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("not a voter"), "{refused}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_comes_back_at_another_address_is_recorded_there() {
    let mut cluster = Cluster::started(3).await;
    let moved_id = cluster.follower().await;
    cluster.crash(moved_id).await;
    let moved = Member {
        peer_address: "10.9.9.9:9849".into(),
        ..member(moved_id)
    };
    cluster.start_at(moved.clone()).await.unwrap();
    for id in 1..=3 {
        eventually("the new address", || async {
            cluster
                .status(id)
                .members
                .iter()
                .any(|known| known.member == moved && known.voter)
                .then_some(())
        })
        .await;
    }
    cluster.propose(moved_id, "a").await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_member_or_without_its_log_does_not_start() {
    let mut cluster = Cluster::started(1).await;
    cluster.crash(1).await;
    std::fs::rename(cluster.data_dir(1), cluster.data_dir(2)).unwrap();
    let refused = cluster.start_at(member(2)).await.unwrap_err();
    assert!(refused.to_string().contains("belongs to member 1"), "{refused}");
    std::fs::rename(cluster.data_dir(2), cluster.data_dir(1)).unwrap();
    std::fs::remove_dir_all(cluster.data_dir(1).join("log")).unwrap();
    let refused = cluster.start_at(member(1)).await.unwrap_err();
    assert!(refused.to_string().contains("not its log"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_shows_a_follower_all_that_was_acknowledged_before() {
    let cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower_of(leader);
    for number in 0..20 {
        let committed = cluster.propose(leader, &number.to_string()).await.unwrap();
        let index = cluster.node(follower).read_barrier(cluster.soon()).await.unwrap();
        assert!(index >= committed.index);
        assert_eq!(cluster.nodes[&follower].journal.commands().len(), number + 1);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_follower_acknowledges_it_has_applied_itself() {
    let cluster = Cluster::started(3).await;
    let follower = cluster.follower().await;
    for number in 0..100 {
        cluster.propose(follower, &number.to_string()).await.unwrap();
        assert_eq!(cluster.nodes[&follower].journal.commands().len(), number + 1);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_beyond_the_bound_are_refused_and_the_others_committed() {
    let mut cluster = Cluster::new(1);
    cluster.start(1).await;
    cluster.leader().await;
    let calls = (0..15_000).map(|number| cluster.propose(1, if number % 2 == 0 { "even" } else { "odd" }));
    let results = futures_util::future::join_all(calls).await;
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(ProposeError::Overloaded { .. })))
        .count();
    let committed = results.iter().filter(|result| result.is_ok()).count();
    assert!(refused > 0, "none refused although 15,000 came at once");
    assert_eq!(refused + committed, 15_000);
    assert_eq!(cluster.nodes[&1].journal.commands().len(), committed);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_machine_that_fails_stops_the_member_and_says_why() {
    let cluster = Cluster::started(1).await;
    let mut watch = cluster.node(1).watch();
    cluster.nodes[&1].journal.fail();
    let failed = cluster.propose(1, "a").await;
    assert!(failed.is_err());
    let stopped = tokio::time::timeout(SOON, watch.wait_for(|status| status.fatal.is_some())).await;
    let status = stopped.expect("watchers are told").unwrap().clone();
    assert_eq!(status.role, Role::Stopped);
    assert!(status.fatal.unwrap().contains("journal is torn"));
    assert!(matches!(
        cluster.propose(1, "b").await,
        Err(ProposeError::Stopped(_) | ProposeError::NoLeader { .. })
    ));
    cluster.stop().await;
}
