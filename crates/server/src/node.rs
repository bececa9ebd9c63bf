//! One node: its client doors before and its core behind them, from the first moment to the last.

use crate::addresses::others_to_go_to;
use crate::client_doors::ClientDoors;
use crate::core::{Core, World};
use crate::settings::Settings;
use crate::shutdown::{Deadlines, Parts, steps, take};
use crate::{limits, metrics};
use anyhow::Context;
use muster_api::doors::Doors;
use muster_api::udp::UdpPush;
use muster_consensus::Role;
use muster_model::MemberId;
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks, Threads};
use muster_storage::{Disk, RealDisk, SledTables};
use muster_transport::Transport;
use muster_transport::grpc::GrpcTransport;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Threads for what the other members wait for, of all that the machine has: a part, and one at least. Raft's core is one task,
/// and whatever else runs here is short.
const PEER_THREADS_PART: usize = 4;

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
        failed = node.core.fails() => Err(failed),
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
    core: Core,
    deadlines: Deadlines,
    _peer_threads: Arc<Threads>,
}

impl Node {
    async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let begun = clock.now();
        let tasks = Tasks::new(Shutdown::new()).on(Handle::current());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let peer_threads =
            Threads::start("muster-peers", cores.div_ceil(PEER_THREADS_PART)).context("starting threads")?;
        let peer_tasks = tasks.on(peer_threads.runtime());
        let local = settings.local_member();
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
        muster_runtime::blocking(move || RealDisk.create_folder(&data_dir))
            .await?
            .with_context(|| format!("data_dir {}", settings.data_dir.display()))?;

        // First the doors, so that whoever asks while the node loads hears that it does and goes elsewhere (G8).
        let deadlines = deadlines(settings);
        let doors = ClientDoors::open(settings, places, &clock, deadlines.http, &tasks).await?;

        let mut udp_settings = settings.udp();
        if udp_settings.listen.port() == 0 {
            udp_settings.listen.set_port(doors.http_address.port());
        }
        let udp_listen = udp_settings.listen;
        let udp = UdpPush::bind(udp_settings).with_context(|| format!("udp.listen {udp_listen}"))?;
        let peer_listen = settings.peer_listen();
        let (cluster, binding) = (settings.cluster_hash(), peer_tasks.clone());
        let bound = peer_tasks.within(async move {
            let peers = GrpcTransport::bind(local.id, cluster, peer_listen).await?;
            peers.serve_until_shutdown(&binding);
            io::Result::Ok(peers)
        });
        let transport: Arc<dyn Transport> = bound.await.with_context(|| format!("peer_listen {peer_listen}"))?;
        doors.opener.join(transport.clone());

        let world = World {
            disk: Arc::new(RealDisk),
            tables: Arc::new(SledTables),
            transport,
            clock: clock.clone(),
            sink: Arc::new(Doors::new(Arc::new(udp.clone()), Arc::new(doors.connections.clone()))),
            tasks: tasks.clone(),
            peer_tasks,
        };
        let core = Core::start(settings, world).await?;
        udp.receive_acks(core.push.clone(), &tasks);
        let node = Self {
            clock,
            tasks,
            doors,
            core,
            deadlines,
            _peer_threads: Arc::new(peer_threads),
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
                () = opening.core.loaded(leader_wait) => {}
                () = opening.tasks.shutdown().begun() => return,
                // Told to stop while it was loading: it is not to call itself ready after all.
                () = opening.doors.stop.begun() => return,
            }
            let Core { naming, push, .. } = opening.core.clone();
            opening.doors.connections.open(naming.clone(), push);
            opening.doors.opener.open(naming);
            opening.core.open();
            let took = opening.clock.now() - begun;
            metrics::START_SECONDS.set(took.as_secs_f64());
            tracing::info!(took_ms = took.as_millis() as u64, "ready");
        });
        Ok(node)
    }

    fn until(&self, deadline: Duration) -> Instant {
        self.clock.now() + deadline
    }
}

impl Parts for Node {
    async fn stop_being_ready(&self) {
        self.doors.opener.drain();
        self.core.membership.set_ready(false);
        self.core.ephemeral.begin_drain();
    }

    async fn move_grpc_clients(&self) {
        if self.doors.connections.is_empty() {
            return;
        }
        let until = self.until(self.deadlines.grpc);
        let servers = others_to_go_to(&self.core.membership.view()).await;
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
        self.core.push.drain(self.deadlines.push).await;
    }

    async fn drain_copies(&self) {
        self.core.ephemeral.drain(self.deadlines.ephemeral).await;
    }

    async fn hand_over_leadership(&self) {
        let status = self.core.consensus.status();
        if status.role != Role::Leader {
            return;
        }
        // When the whole cluster is stopped at once there is nobody to hand over to, and no use in waiting.
        let view = self.core.membership.view();
        let may_lead = |id: MemberId| status.members.iter().any(|seen| seen.voter && seen.member.id == id);
        let mut others = view.members.iter().filter(|seen| seen.member.id != view.local);
        if !others.any(|seen| seen.alive && seen.ready && may_lead(seen.member.id)) {
            tracing::info!("nobody is ready to lead");
            return;
        }
        match self
            .core
            .consensus
            .transfer_leader(None, self.until(self.deadlines.leadership))
            .await
        {
            Ok(leader) => tracing::info!(leader = leader.0, "leadership handed over"),
            Err(error) => tracing::warn!(%error, "leadership not handed over"),
        }
    }

    async fn close_log(&self) {
        self.core.consensus.stop().await;
    }

    async fn end_tasks(&self) {
        self.tasks.shutdown().begin();
        if !self.tasks.ended_within(self.deadlines.tasks).await {
            tracing::warn!("some tasks did not end in time");
        }
    }
}
