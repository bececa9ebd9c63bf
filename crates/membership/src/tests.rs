//! Whole memberships over the in-memory network, in paused time.

use crate::{Config, Membership, Responsibility};
use muster_model::{ClientId, Host, InstanceKey, Member, MemberId, Stamp};
use muster_runtime::{Clock, HybridClock, Shutdown, Tasks};
use muster_transport::memory::{MemoryTransport, Network};
use muster_transport::{Error, Route, Transport};
use std::sync::Arc;
use std::time::Duration;

struct Node {
    membership: Membership,
    hybrid: HybridClock,
    clock: Clock,
    transport: Arc<MemoryTransport>,
    tasks: Tasks,
}

fn member(id: u64) -> Member {
    Member {
        id: MemberId(id),
        client_address: format!("10.0.0.{id}:8848"),
        peer_address: format!("10.0.0.{id}:9849"),
    }
}

fn node(network: &Network, id: u64, of: u64) -> Node {
    let clock = Clock::manual(1_700_000_000_000);
    let hybrid = HybridClock::new(clock.clone());
    let transport = network.join(MemberId(id));
    let tasks = Tasks::new(Shutdown::new());
    let membership = Membership::start(
        Config::default(),
        member(id),
        (1..=of).map(member).collect(),
        transport.clone(),
        hybrid.clone(),
        &tasks,
    );
    membership.set_members((1..=of).map(member).collect());
    Node {
        membership,
        hybrid,
        clock,
        transport,
        tasks,
    }
}

fn cluster(network: &Network, of: u64) -> Vec<Node> {
    (1..=of).map(|id| node(network, id, of)).collect()
}

fn alive(node: &Node) -> Vec<u64> {
    node.membership
        .view()
        .living_peers()
        .map(|member| member.id.0)
        .collect()
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn three_members_find_each_other_within_a_second() {
    let nodes = cluster(&Network::new(), 3);
    after(1).await;
    assert_eq!(alive(&nodes[0]), [2, 3]);
    assert_eq!(alive(&nodes[1]), [1, 3]);
    assert_eq!(alive(&nodes[2]), [1, 2]);
    assert!(nodes.iter().all(|node| node.membership.view().quorum));
}

#[tokio::test(start_paused = true)]
async fn a_single_member_is_here_with_a_quorum_at_once() {
    let node = node(&Network::new(), 1, 1);
    let view = node.membership.view();
    let client = ClientId::of_address(&InstanceKey::new(Host::parse("h").unwrap(), 1));
    assert!(view.quorum);
    assert_eq!(view.responsible_for(&client), Responsibility::Here);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_member_is_dead_within_four_seconds_and_alive_again_after_its_return() {
    let network = Network::new();
    let nodes = cluster(&network, 3);
    after(1).await;
    let before = nodes[0].membership.view().epoch;
    nodes[2].tasks.shutdown().begin();
    network.leave(MemberId(3));
    after(4).await;
    assert_eq!(alive(&nodes[0]), [2]);
    assert!(nodes[0].membership.view().epoch > before);
    let _back = node(&network, 3, 3);
    after(1).await;
    assert_eq!(alive(&nodes[0]), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_link_cut_one_way_makes_both_ends_dead_to_each_other() {
    let network = Network::new();
    let nodes = cluster(&network, 3);
    after(1).await;
    network.cut(MemberId(1), MemberId(2));
    after(8).await;
    assert_eq!(alive(&nodes[0]), [3]);
    assert_eq!(alive(&nodes[1]), [3]);
    assert_eq!(alive(&nodes[2]), [1, 2]);
    network.heal();
    after(2).await;
    assert_eq!(alive(&nodes[0]), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_isolated_member_loses_its_quorum_and_the_others_keep_theirs() {
    let network = Network::new();
    let nodes = cluster(&network, 3);
    after(1).await;
    network.isolate(MemberId(1));
    after(4).await;
    assert!(!nodes[0].membership.view().quorum);
    assert!(nodes[1].membership.view().quorum && nodes[2].membership.view().quorum);
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_is_not_a_dead_one() {
    let network = Network::new();
    network.delay(MemberId(1), MemberId(2), Duration::from_millis(700));
    network.delay(MemberId(2), MemberId(1), Duration::from_millis(700));
    let nodes = cluster(&network, 2);
    after(4).await;
    let epoch = nodes[0].membership.view().epoch;
    after(30).await;
    assert_eq!(alive(&nodes[0]), [2]);
    assert_eq!(nodes[0].membership.view().epoch, epoch);
}

#[tokio::test(start_paused = true)]
async fn pings_carry_hybrid_time_and_show_the_skew() {
    let nodes = cluster(&Network::new(), 2);
    nodes[1].clock.set_skew_ms(5_000);
    after(2).await;
    let view = nodes[0].membership.view();
    assert_eq!(view.members[1].skew_ms, 5_000);
    assert!(nodes[0].hybrid.tick() > Stamp::from_millis(nodes[1].clock.wall_ms() - 1_000));
}

#[tokio::test(start_paused = true)]
async fn watchers_wake_for_readiness_and_not_for_mere_pings() {
    let nodes = cluster(&Network::new(), 2);
    after(2).await;
    let mut watch = nodes[0].membership.watch();
    watch.borrow_and_update();
    let first_seen = nodes[0].membership.view().members[1].last_seen;
    after(5).await;
    assert!(!watch.has_changed().unwrap());
    assert!(nodes[0].membership.view().members[1].last_seen > first_seen);
    nodes[1].membership.set_ready(true);
    after(1).await;
    assert!(watch.has_changed().unwrap());
    assert!(watch.borrow_and_update().members[1].ready);
}

#[tokio::test(start_paused = true)]
async fn members_can_be_replaced_at_run_time() {
    let network = Network::new();
    let nodes = cluster(&network, 2);
    let late = node(&network, 3, 3);
    after(1).await;
    assert_eq!(alive(&nodes[0]), [2], "a caller that is not a member is refused");
    for node in &nodes {
        node.membership.set_members((1..=3).map(member).collect());
    }
    after(1).await;
    assert_eq!(alive(&nodes[0]), [2, 3]);
    assert_eq!(alive(&late), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_refused_and_moves_nothing() {
    let nodes = cluster(&Network::new(), 2);
    after(1).await;
    let before = nodes[0].hybrid.tick();
    let far = crate::ping::Ping {
        stamp: u64::MAX,
        ..Default::default()
    };
    for body in [bytes::Bytes::from_static(b"\xff\xff\xff"), far.bytes()] {
        let answer = nodes[1]
            .transport
            .call(MemberId(1), Route::MembershipPing, body, Duration::from_secs(1))
            .await;
        assert!(matches!(answer, Err(Error::Failed { .. })), "{answer:?}");
    }
    assert!(nodes[0].hybrid.tick() < Stamp::from_millis(before.millis() + 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_fixed_view_keeps_its_watchers_waiting() {
    let fixed = Membership::fixed((*node(&Network::new(), 1, 1).membership.view()).clone());
    let mut watch = fixed.watch();
    let waited = tokio::time::timeout(Duration::from_secs(1), watch.changed()).await;
    assert!(waited.is_err(), "neither changed nor ended");
}
