//! The connections of 2.x and 3.x clients: an open stream is the lease of what was published over it.

use anyhow::ensure;
use muster_cluster::GONE_WITHIN;
use muster_testkit::{Cluster, GrpcClient, Signal, Spec, always, cluster, eventually};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(15);
const SERVICE: &str = "held";
const LIVING: &str = "10.2.0.1:80";

async fn client(cluster: &Cluster, node: u64) -> anyhow::Result<GrpcClient> {
    GrpcClient::connect(&cluster.node(node).grpc_address()).await
}

/// Fails unless each of the nodes lists exactly this.
async fn lists(cluster: &Cluster, nodes: &[u64], service: &str, addresses: &[&str]) -> anyhow::Result<()> {
    let wanted: BTreeSet<_> = addresses.iter().map(|&it| it.to_owned()).collect();
    for node in nodes {
        let listed = cluster.v1(*node).list(service).await?;
        ensure!(
            listed.all == wanted,
            "node {node} lists {:?}, not {wanted:?}",
            listed.all
        );
        ensure!(
            listed.healthy == wanted,
            "node {node}: healthy are {:?} alone",
            listed.healthy
        );
    }
    Ok(())
}

async fn soon_lists(cluster: &Cluster, service: &str, addresses: &[&str], within: Duration) -> anyhow::Result<()> {
    let running = cluster.running();
    eventually(within, "all nodes list the same", || {
        lists(cluster, &running, service, addresses)
    })
    .await
}

/// Waits until nobody is listed; usually at once, and after a lease where a node stood still meanwhile.
async fn gone(cluster: &Cluster, service: &str, since: Instant) -> anyhow::Result<()> {
    soon_lists(cluster, service, &[], GONE_WITHIN).await?;
    eprintln!("gone everywhere after {:?}", since.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_publishes_leaves_all_nodes_when_it_ends() {
    let cluster = cluster(3).await.unwrap();
    let publisher = client(&cluster, 1).await.unwrap();
    let mut near = client(&cluster, 1).await.unwrap();
    let mut far = client(&cluster, 2).await.unwrap();
    near.subscribe(SERVICE).await.unwrap();
    far.subscribe(SERVICE).await.unwrap();
    publisher.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    near.until_listed(SERVICE, &[LIVING], SOON).await.unwrap();
    far.until_listed(SERVICE, &[LIVING], SOON).await.unwrap();
    soon_lists(&cluster, SERVICE, &[LIVING], SOON).await.unwrap();
    let killed = Instant::now();
    drop(publisher);
    let told = near.until_listed(SERVICE, &[], GONE_WITHIN).await.unwrap();
    eprintln!("gone at its node after {:?}", told.received - killed);
    let told = far.until_listed(SERVICE, &[], GONE_WITHIN).await.unwrap();
    eprintln!("gone at another after {:?}", told.received - killed);
    gone(&cluster, SERVICE, killed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_answers_nothing_loses_what_it_published_and_one_that_idles_keeps_it() {
    let cluster = cluster(3).await.unwrap();
    let idle = client(&cluster, 1).await.unwrap();
    idle.register("idle", "10.2.0.2", 80).await.unwrap();
    let mute = client(&cluster, 2).await.unwrap();
    mute.register("mute", "10.2.0.3", 80).await.unwrap();
    let frozen = client(&cluster, 3).await.unwrap();
    frozen.register("frozen", "10.2.0.4", 80).await.unwrap();
    for (service, address) in [
        ("idle", "10.2.0.2:80"),
        ("mute", "10.2.0.3:80"),
        ("frozen", "10.2.0.4:80"),
    ] {
        soon_lists(&cluster, service, &[address], SOON).await.unwrap();
    }
    mute.set_mute(true);
    frozen.freeze();
    let silent = Instant::now();
    let running = cluster.running();
    eventually(GONE_WITHIN, "both are gone", || async {
        lists(&cluster, &running, "mute", &[]).await?;
        lists(&cluster, &running, "frozen", &[]).await
    })
    .await
    .unwrap();
    eprintln!("the silent are gone after {:?}", silent.elapsed());
    always(
        Duration::from_secs(35).saturating_sub(silent.elapsed()),
        "the idle one stays",
        || lists(&cluster, &running, "idle", &["10.2.0.2:80"]),
    )
    .await
    .unwrap();
    let ended = Instant::now();
    drop(idle);
    gone(&cluster, "idle", ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_takes_nobody_with_it_who_moves_and_everybody_who_died() {
    let mut cluster = cluster(3).await.unwrap();
    let leader = cluster.leader(SOON).await.unwrap();
    let living = client(&cluster, leader).await.unwrap();
    living.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    let dying = client(&cluster, leader).await.unwrap();
    dying.register("dying", "10.2.0.9", 80).await.unwrap();
    soon_lists(&cluster, SERVICE, &[LIVING], SOON).await.unwrap();
    soon_lists(&cluster, "dying", &["10.2.0.9:80"], SOON).await.unwrap();
    let survivors: Vec<_> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    cluster.kill(leader).await.unwrap();
    let killed = Instant::now();
    drop((living, dying));
    // Java finds its next server within some seconds, and registers again up to three seconds later.
    always(Duration::from_secs(6), "it stays listed while it moves", || {
        lists(&cluster, &survivors, SERVICE, &[LIVING])
    })
    .await
    .unwrap();
    let moved = client(&cluster, survivors[0]).await.unwrap();
    moved.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    eventually(GONE_WITHIN, "who died is gone", || async {
        lists(&cluster, &survivors, SERVICE, &[LIVING])
            .await
            .expect("who lives stays listed");
        lists(&cluster, &survivors, "dying", &[]).await
    })
    .await
    .unwrap();
    eprintln!("who died with the node is gone after {:?}", killed.elapsed());
    cluster.restart(leader).await.unwrap();
    soon_lists(&cluster, SERVICE, &[LIVING], SOON).await.unwrap();
    soon_lists(&cluster, "dying", &[], SOON).await.unwrap();
    let ended = Instant::now();
    drop(moved);
    gone(&cluster, SERVICE, ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_sends_its_clients_elsewhere_and_nobody_misses_them() {
    let mut cluster = cluster(3).await.unwrap();
    let mut publisher = client(&cluster, 1).await.unwrap();
    publisher.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    soon_lists(&cluster, SERVICE, &[LIVING], SOON).await.unwrap();
    cluster.node_mut(1).signal(Signal::Term).unwrap();
    let reset = publisher
        .until(SOON, |heard| heard.kind == "ConnectResetRequest")
        .await
        .unwrap();
    // Clients look for the named address among their servers and leave the port out: one that all nodes share says nothing.
    assert!(reset.json["serverIp"].is_null(), "{}", reset.json);
    let moved = client(&cluster, 2).await.unwrap();
    drop(publisher);
    cluster.node_mut(1).ended(SOON * 2).await.unwrap();
    always(Duration::from_secs(3), "it stays listed while it moves", || {
        lists(&cluster, &[2, 3], SERVICE, &[LIVING])
    })
    .await
    .unwrap();
    moved.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    cluster.restart(1).await.unwrap();
    // longer than a lease lasts that nobody renews
    always(Duration::from_secs(36), "it stays listed", || {
        lists(&cluster, &[1, 2, 3], SERVICE, &[LIVING])
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_that_ends_late_takes_nothing_from_the_new_one() {
    let cluster = cluster(3).await.unwrap();
    let mut watcher = client(&cluster, 3).await.unwrap();
    let old = client(&cluster, 1).await.unwrap();
    old.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    soon_lists(&cluster, SERVICE, &[LIVING], SOON).await.unwrap();
    watcher.subscribe(SERVICE).await.unwrap();
    watcher.until_listed(SERVICE, &[LIVING], SOON).await.unwrap();
    let new = client(&cluster, 2).await.unwrap();
    new.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    cluster.converged(SOON).await.unwrap();
    drop(old);
    always(Duration::from_secs(5), "it stays listed", || {
        lists(&cluster, &[1, 2, 3], SERVICE, &[LIVING])
    })
    .await
    .unwrap();
    let pushed = watcher.pushed_within(Duration::from_millis(100)).await;
    assert!(
        pushed.is_none(),
        "a change that shows nothing new was pushed: {pushed:?}"
    );
    let ended = Instant::now();
    drop(new);
    let told = watcher.until_listed(SERVICE, &[], GONE_WITHIN).await.unwrap();
    eprintln!("gone after {:?}", told.received - ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persistent_instances_of_a_connection_outlive_it_and_the_whole_cluster() {
    let mut cluster = cluster(3).await.unwrap();
    let publisher = client(&cluster, 2).await.unwrap();
    publisher.register_persistent("kept", "10.2.0.7", 80).await.unwrap();
    drop(publisher);
    cluster.kill_all().await.unwrap();
    for id in cluster.ids() {
        cluster.start(id).unwrap();
    }
    for id in cluster.ids() {
        cluster.ready(id).await.unwrap();
        let client = client(&cluster, id).await.unwrap();
        let listed = client.query("kept").await.unwrap();
        assert_eq!(listed.all, BTreeSet::from(["10.2.0.7:80".to_owned()]), "node {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_generations_see_each_other() {
    let cluster = cluster(3).await.unwrap();
    let old = cluster.v1(1);
    old.register(&Spec::ephemeral(SERVICE, "10.2.0.5", 80))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let mut new = client(&cluster, 2).await.unwrap();
    new.subscribe(SERVICE).await.unwrap();
    new.until_listed(SERVICE, &["10.2.0.5:80"], SOON).await.unwrap();
    new.register(SERVICE, "10.2.0.1", 80).await.unwrap();
    new.until_listed(SERVICE, &["10.2.0.5:80", LIVING], SOON).await.unwrap();
    soon_lists(&cluster, SERVICE, &["10.2.0.5:80", LIVING], SOON)
        .await
        .unwrap();
    old.deregister(&Spec::ephemeral(SERVICE, "10.2.0.5", 80))
        .await
        .unwrap()
        .ok()
        .unwrap();
    new.until_listed(SERVICE, &[LIVING], SOON).await.unwrap();
}
