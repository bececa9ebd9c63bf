//! The HTTP interface against its own description: `cargo xtask openapi`.
//!
//! Starts one node on empty data and free ports, and has `tests/openapi/run.sh` try each call that `/nacos/openapi.json`
//! names with examples and invented values. Statuses, content types and shapes that the description does not name fail it.
#![allow(
    clippy::disallowed_methods,
    reason = "a program for the terminal that waits for other programs, in real time"
)]

use crate::compat::{build, get};
use crate::root;
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Of a start that includes an election of one, on a machine that does other things too.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often a port is asked for whose neighbours are free as well.
const PORT_TRIES: usize = 50;

/// Tries every HTTP call against the description that the server gives of them.
#[derive(Parser)]
#[command(name = "cargo xtask openapi")]
struct Options {
    /// The server's binary; without it the one that cargo builds
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Build the server with optimisations
    #[arg(long)]
    release: bool,
    /// Calls of each operation
    #[arg(long, default_value_t = 20)]
    examples: u32,
    /// Also go to every limit that the description names: thousands of calls more
    #[arg(long)]
    coverage: bool,
}

/// `cargo xtask openapi`, given what stands after `openapi`.
///
/// # Errors
/// When the node does not start, ends early, or does not answer as it says.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options =
        Options::parse_from(std::iter::once("cargo xtask openapi").chain(arguments.iter().map(String::as_str)));
    let root = root();
    let bin = match options.bin {
        Some(bin) => bin,
        None => build(&root, options.release)?,
    };
    let folder = root.join("tests/openapi");
    let mut node = Node::start(&bin, &folder.join(".cache"))?;
    let status = Command::new("bash")
        .arg(folder.join("run.sh"))
        .arg(format!("http://{}", node.address))
        .env("MAX_EXAMPLES", options.examples.to_string())
        .env(
            "PHASES",
            if options.coverage {
                "examples,coverage,fuzzing"
            } else {
                "examples,fuzzing"
            },
        )
        .status()
        .context("cannot run bash")?;
    node.still_runs()?;
    ensure!(
        status.success(),
        "the interface is not as described; the node's log: {}",
        node.log.display()
    );
    Ok(())
}

/// One node; it ends with this.
struct Node {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Node {
    fn start(bin: &Path, cache: &Path) -> Result<Self> {
        let data = cache.join("data");
        if data.exists() {
            fs::remove_dir_all(&data).context("cannot clear the last run's data")?;
        }
        fs::create_dir_all(cache).context("cannot make the folder of the run")?;
        let address = free_address()?;
        let log = cache.join("node.log");
        let output = File::create(&log).context("cannot make the node's log")?;
        let process = Command::new(bin)
            .args(["server", "--listen", &address.to_string(), "--data-dir"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot share the node's log")?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", bin.display()))?;
        let mut node = Self { process, address, log };
        node.await_ready()?;
        Ok(node)
    }

    fn await_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let answer = get(&self.address.to_string(), "/health/ready").unwrap_or_else(|error| error.to_string());
            if answer.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            self.still_runs()?;
            ensure!(
                start.elapsed() < READY_WITHIN,
                "the node is not ready after {READY_WITHIN:?}: {answer}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn still_runs(&mut self) -> Result<()> {
        match self.process.try_wait().context("cannot look after the node")? {
            None => Ok(()),
            Some(status) => bail!("the node ended by itself: {status}; its log: {}", self.log.display()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that the system gives, such that gRPC's port (+ 1000) and the members' (+ 1001) are free as well.
fn free_address() -> Result<SocketAddr> {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 0..PORT_TRIES {
        let given = TcpListener::bind(at(0)).context("cannot bind on loopback")?;
        let main = given.local_addr().context("cannot tell the port")?.port();
        let (Some(sdk), Some(peer)) = (main.checked_add(1_000), main.checked_add(1_001)) else {
            continue;
        };
        let free = TcpListener::bind(at(sdk)).is_ok() && TcpListener::bind(at(peer)).is_ok();
        if free && UdpSocket::bind(at(main)).is_ok() {
            return Ok(at(main));
        }
    }
    bail!("the system gave no port with free neighbours in {PORT_TRIES} tries")
}
