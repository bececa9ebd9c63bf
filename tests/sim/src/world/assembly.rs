//! Joins the parts of a node on a simulated disk and network.

use crate::doors::Doors;
use anyhow::Context;
use muster_consensus::{Consensus, Role, StateMachine};
use muster_ephemeral::{Ephemeral, Loading};
use muster_membership::Membership;
use muster_model::Member;
use muster_naming::{Changes, Naming};
use muster_persistent::Persistent;
use muster_push::Push;
use muster_runtime::{Clock, HybridClock, Shutdown, TaskKind, Tasks};
use muster_storage::testing::FaultyDisk;
use muster_transport::Transport;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a node is made from.
pub struct Given {
    pub member: Member,
    pub founders: Vec<Member>,
    pub disk: FaultyDisk,
    pub clock: Clock,
    pub transport: Arc<dyn Transport>,
    pub doors: Arc<Doors>,
}

/// The parts of a running node.
pub struct Parts {
    pub naming: Naming,
    pub membership: Membership,
    pub ephemeral: Ephemeral,
    pub consensus: Consensus,
    pub persistent: Persistent,
    pub push: Push,
    pub machine: Arc<dyn StateMachine>,
    pub tasks: Tasks,
}

impl Parts {
    pub fn failure(&self) -> Option<String> {
        let status = self.consensus.status();
        if let Some(fatal) = status.fatal {
            return Some(fatal);
        }
        if status.role == Role::Stopped {
            return Some("consensus has stopped".into());
        }
        self.tasks
            .shutdown()
            .has_begun()
            .then(|| "a task that the node needs has failed".into())
    }
}

pub fn start(given: Given) -> impl Future<Output = anyhow::Result<Parts>> + Send + 'static {
    async move {
        let Given {
            member,
            founders,
            disk,
            clock,
            transport,
            doors,
        } = given;
        let hybrid = HybridClock::new(clock.clone());
        let tasks = Tasks::new(Shutdown::new());
        let changes = Changes::new(Default::default(), hybrid.clone());
        let push = Push::start(
            Default::default(),
            Arc::new(changes.clone()),
            doors.clone(),
            clock.clone(),
            &tasks,
        );
        let membership = Membership::start(
            Default::default(),
            member.clone(),
            founders.clone(),
            transport.clone(),
            hybrid.clone(),
            &tasks,
        );
        let ephemeral = Ephemeral::start(
            Default::default(),
            membership.clone(),
            transport.clone(),
            hybrid.clone(),
            Arc::new(changes.clone()),
            &tasks,
        );
        let config = muster_persistent::Config {
            data_dir: PathBuf::from(format!("/tmp/muster-sim-{}/{}", std::process::id(), doors.run.member)),
            checkpoint_every: Duration::from_secs(1),
            sled_cache_bytes: 1 << 20,
        };
        let (persistent, machine) = Persistent::open(config, hybrid, Arc::new(changes.clone()), &tasks)
            .context("opening the replicated state")?;
        let config = muster_consensus::Config::new(PathBuf::from("/raft"), member, founders);
        let consensus = Consensus::start_on(
            Arc::new(disk),
            config,
            transport,
            machine.clone(),
            clock.clone(),
            &tasks,
        )
        .await?;
        persistent.attach(consensus.clone());
        let naming = Naming::start(
            changes,
            muster_naming::Parts {
                ephemeral: ephemeral.clone(),
                persistent: persistent.clone(),
                membership: membership.clone(),
                consensus: consensus.clone(),
                push: push.clone(),
            },
            &tasks,
        );
        doors.join(naming.clone(), clock.clone(), &tasks);
        let opening = (ephemeral.clone(), persistent.clone(), membership.clone(), push.clone());
        tasks.spawn("opening", TaskKind::Critical, async move {
            let (ephemeral, persistent, membership, push) = opening;
            let mut loading = ephemeral.loading();
            while *loading.borrow_and_update() != Loading::Ready {
                if loading.changed().await.is_err() {
                    return;
                }
            }
            while persistent
                .read_barrier(clock.now() + Duration::from_millis(500))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            doors.open();
            membership.set_ready(true);
            push.open();
        });
        Ok(Parts {
            naming,
            membership,
            ephemeral,
            consensus,
            persistent,
            push,
            machine,
            tasks,
        })
    }
}
