//! One node: its parts in the order they need each other, and how they are joined.

use crate::addresses::{AddressBook, others_to_go_to};
use crate::client_doors::ClientDoors;
use crate::settings::Settings;
use crate::shutdown::{Deadlines, Parts, steps, take};
use crate::{limits, metrics};
use anyhow::Context;
use muster_api::doors::Doors;
use muster_api::udp::UdpPush;
use muster_consensus::{Consensus, Role};
use muster_ephemeral::{Ephemeral, Loading};
use muster_membership::Membership;
use muster_model::{Member, MemberId};
use muster_naming::{Changes, Naming};
use muster_persistent::Persistent;
use muster_push::Push;
use muster_runtime::{Clock, HybridClock, Shutdown, TaskKind, Tasks};
use muster_storage::{Disk, RealDisk};
use muster_transport::Transport;
use muster_transport::grpc::GrpcTransport;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often addresses are looked at when nothing has been heard of the membership.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// One attempt to catch up with the leader at the start.
const BARRIER_TRY: Duration = Duration::from_millis(500);

/// Runs a node until `told_to_stop` resolves, then stops it in order.
///
/// # Errors
/// What keeps the node from starting, and what keeps it from going on.
pub async fn run(settings: Settings, told_to_stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let node = Node::start(&settings).await?;
    let deadlines = deadlines(&settings);
    let ended = tokio::select! {
        () = told_to_stop => {
            tracing::info!("stopping");
            Ok(())
        }
        failed = node.fails() => Err(failed),
    };
    if let Err(failed) = &ended {
        tracing::error!(error = format!("{failed:#}"), "this node cannot go on");
    }
    let late = take(steps(&node, deadlines)).await;
    tracing::info!(late = late.len(), "stopped");
    ended
}

fn deadlines(settings: &Settings) -> Deadlines {
    let ms = Duration::from_millis;
    let given = &settings.shutdown;
    Deadlines {
        grpc: ms(given.grpc_ms),
        http: ms(given.http_ms),
        push: ms(given.push_ms),
        ephemeral: ms(given.ephemeral_ms),
        leadership: ms(given.leadership_ms),
        log: ms(given.log_ms),
        tasks: ms(given.tasks_ms),
    }
}

/// A running node. Clones share it.
#[derive(Clone)]
struct Node {
    clock: Clock,
    tasks: Tasks,
    doors: ClientDoors,
    membership: Membership,
    push: Push,
    ephemeral: Ephemeral,
    consensus: Consensus,
    deadlines: Deadlines,
}

impl Node {
    async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let begun = clock.now();
        let hybrid = HybridClock::new(clock.clone());
        let tasks = Tasks::new(Shutdown::new());
        let local = settings.local_member();
        let configured = settings.configured_members();
        let places = limits::raise_open_files(limits::Places {
            http: settings.http.connections_max,
            grpc: settings.grpc.connections_max,
        });
        metrics::register().context("metrics")?;
        metrics::BUILD_INFO
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        metrics::START_SECONDS.set(0.0);
        let data_dir = settings.data_dir.clone();
        // With its name on the disk, or all that is synced in it goes with it when the power does.
        tokio::task::spawn_blocking(move || RealDisk.create_folder(&data_dir))
            .await?
            .with_context(|| format!("data_dir {}", settings.data_dir.display()))?;

        // First the doors, so that whoever asks while the node loads hears that it does and goes elsewhere (G8).
        let deadlines = deadlines(settings);
        let doors = ClientDoors::open(settings, places, &clock, deadlines.http, &tasks).await?;

        let changes = Changes::new(settings.naming(), hybrid.clone());
        let mut udp_settings = settings.udp();
        if udp_settings.listen.port() == 0 {
            udp_settings.listen.set_port(doors.http_address.port());
        }
        let udp_listen = udp_settings.listen;
        let udp = UdpPush::bind(udp_settings).with_context(|| format!("udp.listen {udp_listen}"))?;
        let push = Push::start(
            settings.push(),
            Arc::new(changes.clone()),
            Arc::new(Doors::new(Arc::new(udp.clone()), Arc::new(doors.connections.clone()))),
            clock.clone(),
            &tasks,
        );
        udp.receive_acks(push.clone(), &tasks);

        let peer_listen = settings.peer_listen();
        let peers = GrpcTransport::bind(local.id, settings.cluster_hash(), peer_listen)
            .await
            .with_context(|| format!("peer_listen {peer_listen}"))?;
        peers.serve_until_shutdown(&tasks);
        let transport: Arc<dyn Transport> = peers;
        transport.set_peers(peers_of(&configured));
        doors.opener.join(transport.clone());

        let membership = Membership::start(
            settings.membership(),
            local.clone(),
            configured.clone(),
            Arc::clone(&transport),
            hybrid.clone(),
            &tasks,
        );
        let ephemeral = Ephemeral::start(
            settings.ephemeral(),
            membership.clone(),
            Arc::clone(&transport),
            hybrid.clone(),
            Arc::new(changes.clone()),
            &tasks,
        );
        let (persistent, consensus) =
            Self::start_replicated(settings, &clock, &hybrid, &changes, transport, &tasks).await?;
        let book = AddressBook::new(local.clone(), configured);
        follow_members(book, &membership, &consensus, &clock, &tasks);

        let parts = muster_naming::Parts {
            ephemeral: ephemeral.clone(),
            persistent: persistent.clone(),
            membership: membership.clone(),
            consensus: consensus.clone(),
            push: push.clone(),
        };
        let naming = Naming::start(changes, parts, &tasks);
        let node = Self {
            clock,
            tasks,
            doors,
            membership,
            push,
            ephemeral,
            consensus,
            deadlines,
        };
        tracing::info!(
            member = local.id.0,
            listen = %node.doors.http_address,
            grpc_listen = %node.doors.grpc_address,
            peer_listen = %peer_listen,
            udp_listen = %udp.local_addr(),
            http_tls = settings.http_tls().is_some(),
            grpc_tls = settings.grpc_tls().is_some(),
            data_dir = %settings.data_dir.display(),
            standalone = settings.standalone(),
            version = env!("CARGO_PKG_VERSION"),
            "started, loading"
        );
        let leader_wait = Duration::from_millis(settings.leader_wait_ms);
        let opening = node.clone();
        node.tasks.spawn("opening", TaskKind::Critical, async move {
            tokio::select! {
                () = opening.loaded(&persistent, leader_wait) => {}
                () = opening.tasks.shutdown().begun() => return,
                // Told to stop while it was loading: it is not to call itself ready after all.
                () = opening.doors.stop.begun() => return,
            }
            opening.doors.connections.open(naming.clone(), opening.push.clone());
            opening.doors.opener.open(naming);
            opening.membership.set_ready(true);
            opening.push.open();
            let took = opening.clock.now() - begun;
            metrics::START_SECONDS.set(took.as_secs_f64());
            tracing::info!(took_ms = took.as_millis() as u64, "ready");
        });
        Ok(node)
    }

    async fn start_replicated(
        settings: &Settings,
        clock: &Clock,
        hybrid: &HybridClock,
        changes: &Changes,
        transport: Arc<dyn Transport>,
        tasks: &Tasks,
    ) -> anyhow::Result<(Persistent, Consensus)> {
        let config = settings.persistent();
        let (hybrid, sink, machine_tasks) = (hybrid.clone(), Arc::new(changes.clone()), tasks.clone());
        // Reads the whole checkpoint.
        let opening = tokio::task::spawn_blocking(move || Persistent::open(config, hybrid, sink, &machine_tasks));
        let (persistent, machine) = opening.await.context("opening the replicated state")??;
        let consensus = Consensus::start(settings.consensus(), transport, machine, clock.clone(), tasks).await?;
        persistent.attach(consensus.clone());
        Ok((persistent, consensus))
    }

    /// Returns once no list can be short from this node's own ignorance (G7, G8): the ephemeral instances are copied from a
    /// peer, and everything committed by now is applied. With no leader in sight for `leader_wait`, what is on disk is
    /// served: ephemeral instances need no leader. A node without a group goes on waiting.
    async fn loaded(&self, persistent: &Persistent, leader_wait: Duration) {
        let mut loading = self.ephemeral.loading();
        let mut said = String::new();
        loop {
            match &*loading.borrow_and_update() {
                Loading::Ready => break,
                Loading::Waiting { reason } if *reason != said => {
                    tracing::info!(reason, "loading");
                    said.clone_from(reason);
                }
                Loading::Waiting { .. } => {}
            }
            if loading.changed().await.is_err() {
                // The store's task has ended; that is said where it happened.
                std::future::pending::<()>().await;
            }
        }
        let give_up = self.clock.now() + leader_wait;
        loop {
            let now = self.clock.now();
            match persistent.read_barrier(now + BARRIER_TRY).await {
                Ok(index) => {
                    tracing::info!(index, "caught up with the leader");
                    return;
                }
                Err(error) if now >= give_up && self.knows_its_group_and_no_leader() => {
                    tracing::warn!(%error, "no leader; serving the persistent instances that are on disk");
                    return;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// A node that has not been taken into a group holds nothing that could be served.
    fn knows_its_group_and_no_leader(&self) -> bool {
        let status = self.consensus.status();
        status.initialized && status.leader.is_none()
    }

    /// Resolves to what keeps the node from going on.
    async fn fails(&self) -> anyhow::Error {
        let fatal = async {
            let mut status = self.consensus.watch();
            loop {
                {
                    let status = status.borrow_and_update();
                    if let Some(fatal) = &status.fatal {
                        return anyhow::anyhow!("consensus: {fatal}");
                    }
                    if status.role == Role::Stopped {
                        return anyhow::anyhow!("consensus has stopped");
                    }
                }
                if status.changed().await.is_err() {
                    return anyhow::anyhow!("consensus has ended");
                }
            }
        };
        tokio::select! {
            failed = fatal => failed,
            () = self.tasks.shutdown().begun() => anyhow::anyhow!("a task that the node needs has failed; the log says which"),
        }
    }
}

fn peers_of(members: &[Member]) -> Vec<(MemberId, String)> {
    members
        .iter()
        .map(|member| (member.id, member.peer_address.clone()))
        .collect()
}

/// Hands the replicated members to `membership`, which hands their addresses to the transport.
fn follow_members(mut book: AddressBook, membership: &Membership, consensus: &Consensus, clock: &Clock, tasks: &Tasks) {
    let (membership, mut status, clock) = (membership.clone(), consensus.watch(), clock.clone());
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("members", TaskKind::Critical, async move {
        let mut handed = Vec::new();
        loop {
            let replicated: Vec<Member> = {
                let status = status.borrow_and_update();
                status.members.iter().map(|seen| seen.member.clone()).collect()
            };
            let alive: BTreeSet<_> = membership.view().living_peers().map(|member| member.id).collect();
            let members = book.members(&replicated, |id| alive.contains(&id), clock.now());
            if members != handed {
                tracing::info!(members = ?members.iter().map(|m| format!("{}@{}", m.id, m.client_address)).collect::<Vec<_>>(), "members");
                membership.set_members(members.clone());
                handed = members;
            }
            tokio::select! {
                () = shutdown.begun() => return,
                changed = status.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
        }
    });
}

impl Node {
    fn until(&self, deadline: Duration) -> Instant {
        self.clock.now() + deadline
    }
}

impl Parts for Node {
    async fn stop_being_ready(&self) {
        self.doors.opener.drain();
        self.membership.set_ready(false);
        self.ephemeral.begin_drain();
    }

    async fn move_grpc_clients(&self) {
        if self.doors.connections.is_empty() {
            return;
        }
        let until = self.until(self.deadlines.grpc);
        let servers = others_to_go_to(&self.membership.view()).await;
        if servers.is_empty() {
            tracing::info!("no other member is ready; gRPC clients are not moved");
            return;
        }
        let left = until.saturating_duration_since(self.clock.now());
        // A tenth is kept for closing those that have not gone.
        self.doors.connections.drain(servers, left * 9 / 10).await;
    }

    async fn stop_accepting(&self) {
        self.doors.close().await;
    }

    async fn drain_pushes(&self) {
        self.push.drain(self.deadlines.push).await;
    }

    async fn drain_copies(&self) {
        self.ephemeral.drain(self.deadlines.ephemeral).await;
    }

    async fn hand_over_leadership(&self) {
        let status = self.consensus.status();
        if status.role != Role::Leader {
            return;
        }
        // When the whole cluster is stopped at once there is nobody to hand over to, and no use in waiting.
        let view = self.membership.view();
        let may_lead = |id: MemberId| status.members.iter().any(|seen| seen.voter && seen.member.id == id);
        let mut others = view.members.iter().filter(|seen| seen.member.id != view.local);
        if !others.any(|seen| seen.alive && seen.ready && may_lead(seen.member.id)) {
            tracing::info!("nobody is ready to lead");
            return;
        }
        match self
            .consensus
            .transfer_leader(None, self.until(self.deadlines.leadership))
            .await
        {
            Ok(leader) => tracing::info!(leader = leader.0, "leadership handed over"),
            Err(error) => tracing::warn!(%error, "leadership not handed over"),
        }
    }

    async fn close_log(&self) {
        self.consensus.stop().await;
    }

    async fn end_tasks(&self) {
        self.tasks.shutdown().begin();
        if !self.tasks.ended_within(self.deadlines.tasks).await {
            tracing::warn!("some tasks did not end in time");
        }
    }
}
