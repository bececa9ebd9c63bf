//! However busy a node is with its clients, it takes its part in the group.

mod cores;

use cores::{NoClients, context, instance, service, settings};
use muster_model::{Kind, MemberId};
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks, Threads};
use muster_server::core::{Core, World};
use muster_storage::{RealDisk, SledTables};
use muster_transport::memory::Network;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;

const WITHIN: Duration = Duration::from_secs(30);

/// A member whose clients are served by the calling runtime, and whose peers are by `threads`.
async fn member(id: u64, network: &Network, folder: &Path, threads: &Threads) -> (Core, Tasks) {
    let tasks = Tasks::new(Shutdown::new()).on(Handle::current());
    let peer_tasks = tasks.on(threads.runtime());
    let world = World {
        disk: Arc::new(RealDisk),
        tables: Arc::new(SledTables),
        transport: network.join(MemberId(id)),
        clock: Clock::system(),
        sink: Arc::new(NoClients),
        tasks,
        peer_tasks: peer_tasks.clone(),
    };
    // A machine that stands still for a second has not shown that clients are in the way.
    let mut settings = settings(id, folder);
    (settings.raft.election_min_ms, settings.raft.election_max_ms) = (2_000, 4_000);
    (Core::start(&settings, world).await.unwrap(), peer_tasks)
}

/// Under ten times the load persistent writes fell to a fortieth and the leader changed: what Raft had to do waited behind what
/// clients asked for.
#[tokio::test]
async fn a_group_commits_while_no_thread_is_left_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::new();
    let threads = Threads::start("peers", 1).unwrap();
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(member(id, &network, folder.path(), &threads).await);
    }
    for (core, _) in &members {
        core.loaded(WITHIN).await;
        core.open();
    }
    let term = |core: &Core| core.consensus.status().term;
    let before = term(&members[0].0);

    let (tell, told) = mpsc::channel();
    let (core, peer_tasks) = members[1].clone();
    peer_tasks.spawn("writer", TaskKind::Contained, async move {
        for port in 1..=20 {
            core.naming
                .register(&context(WITHIN), &service("kept"), instance(port, Kind::Persistent))
                .await
                .unwrap();
        }
        let _ = tell.send(());
    });
    // The only thread that serves clients stands still in this.
    told.recv_timeout(WITHIN)
        .expect("twenty writes while clients are not served");

    for (core, _) in &members {
        assert_eq!(term(core), before, "the leader has changed");
    }
    for (core, _) in &members {
        core.consensus.stop().await;
    }
}
