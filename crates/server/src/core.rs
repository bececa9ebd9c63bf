//! The parts of a node behind its client doors, joined once: for the node, which gives them the machine's disk and network,
//! and for a simulation, which gives them its own.

use crate::addresses::AddressBook;
use crate::settings::Settings;
use anyhow::Context;
use muster_consensus::{Consensus, Role, StateMachine};
use muster_ephemeral::{Ephemeral, Loading};
use muster_membership::Membership;
use muster_model::{Member, MemberId};
use muster_naming::{Changes, Naming};
use muster_persistent::Persistent;
use muster_push::{Push, Sink};
use muster_runtime::{Clock, HybridClock, TaskKind, Tasks, blocking};
use muster_storage::{Disk, Tables};
use muster_transport::Transport;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often addresses are looked at when nothing has been heard of the membership.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// One attempt to catch up with the leader at the start.
const BARRIER_TRY: Duration = Duration::from_millis(500);

/// What the parts of a node stand on.
pub struct World {
    pub disk: Arc<dyn Disk>,
    pub tables: Arc<dyn Tables>,
    /// To the other members.
    pub transport: Arc<dyn Transport>,
    pub clock: Clock,
    /// Takes pushes to the clients' doors.
    pub sink: Arc<dyn Sink>,
    /// Of the parts that serve clients.
    pub tasks: Tasks,
    /// Of the parts that the other members wait for: the log, its replication, the calls between members. However many
    /// clients there are, these must not wait behind them.
    pub peer_tasks: Tasks,
}

/// The running parts. Clones share them.
#[derive(Clone)]
pub struct Core {
    pub membership: Membership,
    pub push: Push,
    pub ephemeral: Ephemeral,
    pub persistent: Persistent,
    pub consensus: Consensus,
    /// The replicated state as consensus sees it: how far it is.
    pub machine: Arc<dyn StateMachine>,
    /// The front door, for what calls it: the dialects, or a simulation's clients.
    pub naming: Naming,
    clock: Clock,
    tasks: Tasks,
}

impl Core {
    /// Starts all parts in the order they need each other. They answer the other members from here on; clients are to be let
    /// in once [`Core::loaded`] has returned.
    ///
    /// # Errors
    /// What keeps the node from starting.
    pub async fn start(settings: &Settings, world: World) -> anyhow::Result<Self> {
        let World {
            disk,
            tables,
            transport,
            clock,
            sink,
            tasks,
            peer_tasks,
        } = world;
        let hybrid = HybridClock::new(clock.clone());
        let local = settings.local_member();
        let configured = settings.configured_members();
        transport.set_peers(peers_of(&configured));

        let changes = Changes::new(settings.naming(), hybrid.clone());
        let push = Push::start(settings.push(), Arc::new(changes.clone()), sink, clock.clone(), &tasks);
        let membership = Membership::start(
            settings.membership(),
            local.clone(),
            configured.clone(),
            Arc::clone(&transport),
            hybrid.clone(),
            &peer_tasks,
        );
        let ephemeral = Ephemeral::start_on(
            Arc::clone(&disk),
            settings.ephemeral(),
            membership.clone(),
            Arc::clone(&transport),
            hybrid.clone(),
            Arc::new(changes.clone()),
            &tasks,
        );

        let config = settings.persistent();
        let (sink, machine_tasks) = (Arc::new(changes.clone()), peer_tasks.clone());
        // Reads the whole checkpoint.
        let opening = blocking(move || Persistent::open_on(tables, config, hybrid, sink, &machine_tasks));
        let (persistent, machine) = opening.await.context("opening the replicated state")??;
        let config = settings.consensus();
        let (replicated, raft_clock, raft_tasks) = (machine.clone(), clock.clone(), peer_tasks.clone());
        // openraft runs its tasks where it is started.
        let starting =
            async move { Consensus::start_on(disk, config, transport, replicated, raft_clock, &raft_tasks).await };
        let consensus = peer_tasks.within(starting).await?;
        persistent.attach(consensus.clone());
        follow_members(
            AddressBook::new(local, configured),
            &membership,
            &consensus,
            &clock,
            &peer_tasks,
        );

        let parts = muster_naming::Parts {
            ephemeral: ephemeral.clone(),
            persistent: persistent.clone(),
            membership: membership.clone(),
            consensus: consensus.clone(),
            push: push.clone(),
        };
        let naming = Naming::start(changes, parts, &tasks);
        Ok(Self {
            membership,
            push,
            ephemeral,
            persistent,
            consensus,
            machine,
            naming,
            clock,
            tasks,
        })
    }

    /// Returns once no list can be short from this node's own ignorance (G7, G8): the ephemeral instances are copied from a
    /// peer, and everything committed by now is applied. With no leader in sight for `leader_wait`, what is on disk is
    /// served: ephemeral instances need no leader. A node without a group goes on waiting.
    pub async fn loaded(&self, leader_wait: Duration) {
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
            match self.persistent.read_barrier(now + BARRIER_TRY).await {
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

    /// Tells the other members that this node answers clients, and pushes to them from now on.
    pub fn open(&self) {
        self.membership.set_ready(true);
        self.push.open();
    }

    /// Resolves to what keeps the node from going on.
    pub async fn fails(&self) -> anyhow::Error {
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

/// Hands the members of the group to `membership`, which hands their addresses to the transport.
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
            // There are none while this node knows of no group.
            if !members.is_empty() && members != handed {
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
