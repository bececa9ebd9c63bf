//! A node's parts on the simulated disk and network, joined as the product joins them.

use crate::doors::Doors;
use anyhow::Context;
use muster_consensus::Role;
use muster_model::Member;
use muster_runtime::{Clock, Shutdown, TaskKind, Tasks};
use muster_server::core::{Core, World};
use muster_server::settings::{Layers, Settings};
use muster_storage::testing::FaultyDisk;
use muster_transport::Transport;
use std::sync::Arc;
use std::time::Duration;

/// Entries between two snapshots: few enough that a member which was away for a while needs one.
const SNAPSHOT_EVERY_ENTRIES: &str = "60";

/// What a node is made from.
pub(super) struct Given {
    pub(super) member: Member,
    pub(super) founders: Vec<Member>,
    pub(super) disk: FaultyDisk,
    pub(super) clock: Clock,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) doors: Arc<Doors>,
}

/// The parts of a running node.
pub struct Parts {
    pub core: Core,
    tasks: Tasks,
}

impl Parts {
    /// Why it cannot go on: as `Core::fails`, asked instead of waited for.
    pub(super) fn failure(&self) -> Option<String> {
        let status = self.core.consensus.status();
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

/// As an operator would set it, but for the folder and the snapshots.
fn settings(member: &Member, founders: &[Member]) -> anyhow::Result<Settings> {
    let text = |member: &Member| format!("{}@{}", member.id, member.client_address);
    let mut members: Vec<&Member> = founders.iter().collect();
    if !founders.contains(member) {
        members.push(member);
    }
    let listed = members.into_iter().map(text).collect::<Vec<_>>().join(",");
    let layers = Layers::default()
        .flag("--id", "id", &member.id.to_string())
        .flag("--listen", "listen", &member.client_address)
        .flag("--data-dir", "data_dir", "/data")
        .flag("--members", "members", &listed)
        .flag("", "raft.snapshot_every_entries", SNAPSHOT_EVERY_ENTRIES);
    Ok(layers.load()?)
}

pub(super) async fn start(given: Given) -> anyhow::Result<Parts> {
    let Given {
        member,
        founders,
        disk,
        clock,
        transport,
        doors,
    } = given;
    let settings = settings(&member, &founders).context("settings")?;
    let tasks = Tasks::new(Shutdown::new());
    let world = World {
        disk: Arc::new(disk.clone()),
        tables: Arc::new(disk),
        transport,
        clock: clock.clone(),
        sink: doors.clone(),
        tasks: tasks.clone(),
        peer_tasks: tasks.clone(),
    };
    let core = Core::start(&settings, world).await?;
    doors.join(core.naming.clone(), clock, &tasks);
    let opening = core.clone();
    let leader_wait = Duration::from_millis(settings.leader_wait_ms);
    tasks.spawn("opening", TaskKind::Critical, async move {
        opening.loaded(leader_wait).await;
        doors.open();
        opening.open();
    });
    Ok(Parts { core, tasks })
}
