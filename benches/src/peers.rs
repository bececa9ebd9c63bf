//! Servers that a benchmark starts for itself, each with folders and ports of its own, and ends with it.

mod nacos;

use crate::push::{Http, now};
use crate::usage::Usage;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use muster_testkit::{Cluster, SDK_OFFSET, cluster_prepared, free_port};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any of them needs on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOG: &str = "log";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Peer {
    /// This repository's server, of the profile that the benchmark was built in.
    Muster,
    /// r-nacos, as its releases are built: `cargo install rnacos --locked`.
    Rnacos,
    /// Nacos itself, its naming modules: `benches/nacos/install.sh`.
    Nacos,
    /// What answers without a thought: `constant`.
    Constant,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Muster => "muster",
            Self::Rnacos => "r-nacos",
            Self::Nacos => "nacos",
            Self::Constant => "constant",
        }
    }
}

/// A server, or a cluster of them, that runs until it is dropped.
pub struct Running {
    pub http: Vec<SocketAddr>,
    pub grpc: Vec<SocketAddr>,
    pub pids: Vec<u32>,
    /// muster's own, for those who restart it.
    pub cluster: Option<Cluster>,
    /// How long it is to be called before it is as fast as it gets; a program that was compiled beforehand is from the first.
    pub warming: Option<Duration>,
    _program: Option<Program>,
}

/// One process that answers at a port, and at the gRPC port above it.
pub struct Program {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing can be done if it does not end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Listening is not serving: it loads first, and elects itself.
    fn takes_instances(&self) -> bool {
        let instance = "/nacos/v1/ns/instance?serviceName=bench-begins&ip=10.0.0.1&port=80&ephemeral=true";
        let Ok(mut http) = Http::connect(self.http) else {
            return false;
        };
        ["POST", "DELETE"]
            .iter()
            .all(|method| http.call(method, instance).is_ok())
    }

    async fn answers(&mut self, within: Duration) -> Result<()> {
        let begun = now();
        while begun.elapsed() < within {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}:\n{}", self.log());
            }
            if TcpStream::connect(self.grpc).is_ok() && self.takes_instances() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("it does not answer within {within:?}:\n{}", self.log())
    }

    /// Has it end in order.
    ///
    /// # Errors
    /// It does not within 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(asked.success(), "kill: {asked}");
        let begun = now();
        while begun.elapsed() < READY_WITHIN {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("it does not end within {READY_WITHIN:?}")
    }
}

/// Starts a program that answers HTTP at `port`, in a folder of its own.
///
/// # Errors
/// It does not start, or does not answer within 30 s.
pub async fn start_program(command: Command, port: u16) -> Result<Program> {
    start_within(command, port, READY_WITHIN).await
}

async fn start_within(mut command: Command, port: u16, within: Duration) -> Result<Program> {
    let folder = tempfile::tempdir()?;
    let log = File::create(folder.path().join(LOG))?;
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let child = command
        .spawn()
        .with_context(|| command.get_program().display().to_string())?;
    let mut program = Program {
        http: loopback(port),
        grpc: loopback(port + SDK_OFFSET),
        child,
        folder,
    };
    program.answers(within).await?;
    Ok(program)
}

impl From<Program> for Running {
    fn from(program: Program) -> Self {
        Self {
            http: vec![program.http],
            grpc: vec![program.grpc],
            pids: vec![program.child.id()],
            cluster: None,
            warming: None,
            _program: Some(program),
        }
    }
}

/// How they are started.
#[derive(Clone, Debug)]
pub struct Starts {
    /// Of muster's cluster; the others run alone.
    pub nodes: u64,
    /// Settings of muster's nodes, `name=value`.
    pub settings: Vec<String>,
    /// The program of r-nacos.
    pub rnacos: PathBuf,
    /// The folder that Nacos was installed into.
    pub nacos: Option<PathBuf>,
    /// How long Nacos is called before it counts.
    pub warming: Duration,
}

impl Starts {
    /// # Errors
    /// It is known, without an attempt, that one of them cannot be started.
    pub fn check(&self, peers: &[Peer]) -> Result<()> {
        if peers.contains(&Peer::Nacos) {
            nacos::installed(self.nacos.as_deref())?;
        }
        Ok(())
    }

    /// # Errors
    /// It does not start, or does not answer in time.
    pub async fn start(&self, peer: Peer) -> Result<Running> {
        match peer {
            Peer::Muster => self.muster().await,
            Peer::Rnacos => self.rnacos().await,
            Peer::Nacos => self.nacos().await,
            Peer::Constant => constant().await,
        }
    }

    async fn muster(&self) -> Result<Running> {
        let arguments: Vec<&str> = self.settings.iter().flat_map(|it| ["--set", it.as_str()]).collect();
        let cluster = cluster_prepared(self.nodes, &arguments, |_| Ok(())).await?;
        let parsed = |addresses: Vec<String>| -> Result<Vec<SocketAddr>> {
            addresses.iter().map(|it| Ok(it.parse()?)).collect()
        };
        Ok(Running {
            http: parsed(cluster.addresses())?,
            grpc: parsed(cluster.grpc_addresses())?,
            pids: cluster
                .ids()
                .into_iter()
                .filter_map(|id| cluster.node(id).pid())
                .collect(),
            cluster: Some(cluster),
            warming: None,
            _program: None,
        })
    }

    async fn rnacos(&self) -> Result<Running> {
        let port = free_port()?;
        let mut command = Command::new(&self.rnacos);
        command
            .env("RNACOS_HTTP_PORT", port.to_string())
            .env("RNACOS_GRPC_PORT", (port + SDK_OFFSET).to_string())
            .env("RNACOS_HTTP_CONSOLE_PORT", free_port()?.to_string())
            .env("RUST_LOG", "warn");
        // Data folders are named below its own.
        command
            .env("RNACOS_DATA_DIR", "data")
            .env("RNACOS_CONFIG_DB_DIR", "data");
        let program = start_program(command, port).await;
        let hint = "r-nacos; `cargo install rnacos --locked` installs it, --rnacos names another program";
        Ok(program.context(hint)?.into())
    }

    async fn nacos(&self) -> Result<Running> {
        let (folder, port) = (nacos::installed(self.nacos.as_deref())?, nacos::port()?);
        let program = start_within(nacos::command(&folder, port), port, nacos::READY_WITHIN).await;
        Ok(Running {
            warming: Some(self.warming),
            ..program.context("Nacos, which wants Java")?.into()
        })
    }
}

async fn constant() -> Result<Running> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "constant",
        &loopback(port).to_string(),
        &loopback(port + SDK_OFFSET).to_string(),
    ]);
    Ok(start_program(command, port).await?.into())
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Running {
    /// # Errors
    /// A process has ended.
    pub fn usage(&self) -> Result<Usage> {
        ensure!(!self.pids.is_empty(), "no process runs");
        Usage::of(&self.pids)
    }
}
