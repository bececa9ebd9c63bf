//! The three nodes: real processes of the server's binary, killed and started again by their process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Nacos's own port and two beside it, as `dev` takes them.
const PORTS: [u16; 3] = [8848, 8858, 8868];

/// A start includes an election, of 2 s at most; the rest is for a machine of two cores that does other things too.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Nodes {
    pub(super) addresses: Vec<String>,
    processes: Vec<Option<Child>>,
    bin: PathBuf,
    folder: PathBuf,
}

impl Nodes {
    /// Starts three nodes on empty data and waits until all are ready.
    pub(super) fn start(bin: &Path, listen: Ipv4Addr, cache: &Path) -> Result<Self> {
        let folder = cache.join("nodes");
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot clear the last run's data")?;
        }
        fs::create_dir_all(&folder).context("cannot make the nodes' folder")?;
        let addresses = PORTS.iter().map(|port| format!("{listen}:{port}")).collect();
        let mut nodes = Self {
            addresses,
            processes: vec![None, None, None],
            bin: bin.to_owned(),
            folder,
        };
        let start = Instant::now();
        for index in 0..3 {
            nodes.processes[index] = Some(nodes.spawn(index)?);
        }
        for index in 0..3 {
            nodes.await_ready(index)?;
        }
        println!("three nodes ready in {:.1} s", start.elapsed().as_secs_f64());
        Ok(nodes)
    }

    /// Servers that somebody else started.
    pub(super) fn foreign(addresses: &[String]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            processes: Vec::new(),
            bin: PathBuf::new(),
            folder: PathBuf::new(),
        }
    }

    pub(super) fn ours(&self) -> bool {
        !self.processes.is_empty()
    }

    /// kill -9.
    pub(super) fn kill(&mut self, index: usize) -> Result<()> {
        let mut process = self.processes[index]
            .take()
            .context("the node to be killed does not run")?;
        process.kill().context("cannot kill a node")?;
        process.wait().context("cannot wait for a killed node")?;
        println!("killed node {} ({})", index + 1, self.addresses[index]);
        Ok(())
    }

    pub(super) fn restart(&mut self, index: usize) -> Result<()> {
        let start = Instant::now();
        self.processes[index] = Some(self.spawn(index)?);
        self.await_ready(index)?;
        println!(
            "node {} is back and ready after {:.1} s",
            index + 1,
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// The nodes that ended though nobody killed them.
    pub(super) fn fallen(&mut self) -> Vec<String> {
        let mut fallen = Vec::new();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if let Some(status) = process.as_mut().and_then(|process| process.try_wait().ok().flatten()) {
                fallen.push(format!("node {} ended by itself: {status}", index + 1));
            }
        }
        fallen
    }

    fn spawn(&self, index: usize) -> Result<Child> {
        let members: Vec<_> = self
            .addresses
            .iter()
            .enumerate()
            .map(|(at, address)| format!("{}@{address}", at + 1))
            .collect();
        let log = self.folder.join(format!("node-{}.log", index + 1));
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context("cannot open a node's log")?;
        Command::new(&self.bin)
            .args([
                "server",
                "--id",
                &(index + 1).to_string(),
                "--listen",
                &self.addresses[index],
            ])
            .args(["--members", &members.join(",")])
            .arg("--data-dir")
            .arg(self.folder.join(format!("data-{}", index + 1)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share a node's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.bin.display()))
    }

    fn await_ready(&mut self, index: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let answer = get(&self.addresses[index], "/health/ready").unwrap_or_else(|error| error.to_string());
            if answer.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            if let Some(fallen) = self.fallen().pop() {
                bail!("{fallen}; its log lies in {}", self.folder.display());
            }
            ensure!(
                start.elapsed() < READY_WITHIN,
                "node {} is not ready after {READY_WITHIN:?}: {answer}",
                index + 1
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            // They may have ended already; then there is nothing to do.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// One GET, the whole answer as text.
pub(super) fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
