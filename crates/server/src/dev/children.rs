//! The processes of the three nodes.

use super::news::Process;
use anyhow::Context;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// Lines of a dead node's log that are shown.
const LAST_LINES: usize = 15;

/// What one node is started with.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) grpc_address: String,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
    /// Everything but the data folder.
    pub(super) arguments: Vec<String>,
}

struct Running {
    plan: Plan,
    child: Child,
    /// Kept open: its end tells the node to stop, and comes by itself when this process dies, however it dies.
    stdin: Option<ChildStdin>,
}

/// Three nodes; they are killed when this is dropped.
pub(super) struct Children(Vec<Running>);

impl Children {
    pub(super) fn start(program: &Path, plans: Vec<Plan>) -> anyhow::Result<Self> {
        let started = plans.into_iter().map(|plan| start_one(program, plan));
        Ok(Self(started.collect::<anyhow::Result<_>>()?))
    }

    pub(super) fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.0.iter().map(|running| &running.plan)
    }

    pub(super) fn process_id(&self, id: u64) -> Option<u32> {
        self.0.iter().find(|running| running.plan.id == id)?.child.id()
    }

    pub(super) fn processes(&mut self) -> Vec<(u64, Process)> {
        let look = |running: &mut Running| match running.child.try_wait() {
            Ok(None) => Process::Running,
            Ok(Some(status)) => Process::Ended(status.to_string()),
            Err(error) => Process::Ended(error.to_string()),
        };
        self.0
            .iter_mut()
            .map(|running| (running.plan.id, look(running)))
            .collect()
    }

    /// Tells all nodes to stop and waits for them; kills those that have not within `deadline` and names them.
    pub(super) async fn stop(&mut self, deadline: Duration) -> Vec<u64> {
        for running in &mut self.0 {
            running.stdin = None;
        }
        let all = async {
            for running in &mut self.0 {
                let _ = running.child.wait().await;
            }
        };
        if tokio::time::timeout(deadline, all).await.is_ok() {
            return Vec::new();
        }
        let left = self
            .processes()
            .into_iter()
            .filter(|(_, process)| *process == Process::Running);
        let left = left.map(|(id, _)| id).collect();
        self.kill().await;
        left
    }

    pub(super) async fn kill(&mut self) {
        for running in &mut self.0 {
            // One that has ended already needs no killing.
            let _ = running.child.kill().await;
        }
    }

    /// The end of a node's log.
    pub(super) fn last_log_lines(&self, id: u64) -> String {
        let Some(running) = self.0.iter().find(|running| running.plan.id == id) else {
            return String::new();
        };
        let log = std::fs::read(&running.plan.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

fn start_one(program: &Path, plan: Plan) -> anyhow::Result<Running> {
    std::fs::create_dir_all(&plan.data_dir).with_context(|| format!("--data-dir {}", plan.data_dir.display()))?;
    let log = File::create(&plan.log).with_context(|| format!("log {}", plan.log.display()))?;
    let mut child = Command::new(program)
        .args(&plan.arguments)
        .arg("--data-dir")
        .arg(&plan.data_dir)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C at the terminal is for the parent alone, which stops the nodes in its own way.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting node {}", plan.id))?;
    let stdin = child.stdin.take();
    Ok(Running { plan, child, stdin })
}
