//! One real process.

use crate::binary::muster;
use crate::ports::SDK_OFFSET;
use anyhow::{Context, ensure};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// openraft repeats each failed heartbeat to a node that is gone, which drowns everything else.
const LOG_LEVELS: &str = "info,openraft=error";
/// Lines of a log that are printed when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// Where a node answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub ip: IpAddr,
    /// The main port; the others follow from it.
    pub port: u16,
    /// The network namespace it lives in; none is the test's own.
    pub namespace: Option<String>,
}

impl Place {
    /// `ip:port` of the main port.
    pub fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// `ip:port` where gRPC clients are answered.
    pub fn grpc_address(&self) -> String {
        format!("{}:{}", self.ip, self.port + SDK_OFFSET)
    }
}

/// What a process can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// To end in order.
    Term,
    /// To end at once, whatever it is doing.
    Kill,
    /// To stand still.
    Stop,
    /// To go on.
    Continue,
}

/// A member of a cluster: its folder, where it answers and, while it runs, its process.
#[derive(Debug)]
pub struct Node {
    pub id: u64,
    pub place: Place,
    pub data_dir: PathBuf,
    /// What its process finds in its environment, from its next start on.
    pub environment: Vec<(String, String)>,
    log: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// The node ends when this closes, so that none outlives the test.
    _leash: Option<ChildStdin>,
}

impl Node {
    pub(crate) fn new(id: u64, place: Place, folder: &std::path::Path) -> Self {
        Self {
            id,
            place,
            data_dir: folder.join(format!("node-{id}")),
            environment: Vec::new(),
            log: folder.join(format!("node-{id}.log")),
            running: None,
        }
    }

    /// `ip:port` of the main port.
    pub fn address(&self) -> String {
        self.place.address()
    }

    /// `ip:port` where gRPC clients are answered.
    pub fn grpc_address(&self) -> String {
        self.place.grpc_address()
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The number of its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Starts the process; it is not ready yet.
    pub(crate) fn start(&mut self, arguments: &[String]) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "node {} runs already", self.id);
        let log = self.open_log()?;
        let mut command = match &self.place.namespace {
            None => Command::new(muster()?),
            Some(namespace) => {
                // `ip netns exec` becomes the program, so that the process id is the node's
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(muster()?);
                command
            }
        };
        command
            .arg("server")
            .args([
                "--id",
                &self.id.to_string(),
                "--listen",
                &self.address(),
                "--end-with-stdin",
            ])
            .args(["--log", LOG_LEVELS])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let leash = child.stdin.take();
        self.running = Some(Running { child, _leash: leash });
        Ok(())
    }

    fn open_log(&self) -> anyhow::Result<File> {
        let opened = OpenOptions::new().create(true).append(true).open(&self.log);
        opened.with_context(|| self.log.display().to_string())
    }

    /// Memory that its process occupies.
    ///
    /// # Errors
    /// The node does not run, or the system does not say.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let running = self.running.as_ref();
        let running = running.with_context(|| format!("node {} does not run", self.id))?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line
            .and_then(|rest| rest.trim().split(' ').next())
            .context("no VmRSS")?;
        Ok(kibibytes.parse::<u64>()? * 1024)
    }

    /// # Errors
    /// The node does not run.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        let running = self
            .running
            .as_mut()
            .with_context(|| format!("node {} does not run", self.id))?;
        if signal == Signal::Kill {
            return Ok(running.child.kill()?);
        }
        let name = match signal {
            Signal::Term => "-TERM",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
            Signal::Kill => "-KILL",
        };
        let status = Command::new("kill")
            .args([name, &running.child.id().to_string()])
            .status()?;
        ensure!(status.success(), "kill {name}: {status}");
        Ok(())
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// It does not within `deadline`.
    pub async fn ended(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            ensure!(
                start.elapsed() < deadline,
                "node {} did not end within {deadline:?}",
                self.id
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The exit status if the process has ended; the node then counts as stopped.
    ///
    /// # Errors
    /// The node was not started, or its process cannot be asked.
    pub fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let running = self
            .running
            .as_mut()
            .with_context(|| format!("node {} does not run", self.id))?;
        let status = running.child.try_wait()?;
        if status.is_some() {
            self.running = None;
        }
        Ok(status)
    }

    /// All that the node has logged, over its restarts.
    pub fn log(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        if let Err(error) = read {
            return format!("{}: {error}", self.log.display());
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The end of what the node has logged.
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // a stopped process takes this signal too; nothing can be done if it does not
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
