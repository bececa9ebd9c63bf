//! The nodes: real processes of the server's binary, ended and started again by their process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A start includes an election, of 2 s at most; the rest is for a machine of two cores that does other things too.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A node that is told to stop gives its clients time to go.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// The nodes of one cluster, and how they are started.
pub(super) struct Plan {
    /// Also the name of the folder under `.cache` for data and logs.
    pub(super) name: &'static str,
    /// Where each listens; the address may be one for all, the ports are not.
    pub(super) listen: Vec<SocketAddrV4>,
    /// By how many seconds each node's wall clock is ahead; none for those that have the machine's.
    pub(super) skew_s: &'static [i32],
    /// Settings beside the address and the members.
    pub(super) arguments: Vec<String>,
}

pub(super) struct Nodes {
    pub(super) addresses: Vec<String>,
    processes: Vec<Option<Child>>,
    /// Those told to stop, from then on until they are started again.
    leaving: Vec<usize>,
    bin: PathBuf,
    folder: PathBuf,
    skew_s: &'static [i32],
    arguments: Vec<String>,
}

impl Nodes {
    /// Starts the nodes on empty data and waits until all are ready.
    pub(super) fn start(bin: &Path, plan: Plan, cache: &Path) -> Result<Self> {
        let folder = cache.join(plan.name);
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot clear the last run's data")?;
        }
        fs::create_dir_all(&folder).context("cannot make the nodes' folder")?;
        let count = plan.listen.len();
        let mut nodes = Self {
            addresses: plan.listen.iter().map(SocketAddrV4::to_string).collect(),
            processes: plan.listen.iter().map(|_| None).collect(),
            leaving: Vec::new(),
            bin: bin.to_owned(),
            folder,
            skew_s: plan.skew_s,
            arguments: plan.arguments,
        };
        let start = Instant::now();
        for index in 0..count {
            nodes.processes[index] = Some(nodes.spawn(index)?);
        }
        for index in 0..count {
            nodes.await_ready(index)?;
        }
        println!(
            "{count} of {} ready in {:.1} s",
            plan.name,
            start.elapsed().as_secs_f64()
        );
        Ok(nodes)
    }

    /// Servers that somebody else started.
    pub(super) fn foreign(addresses: &[String]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            processes: Vec::new(),
            leaving: Vec::new(),
            bin: PathBuf::new(),
            folder: PathBuf::new(),
            skew_s: &[],
            arguments: Vec::new(),
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

    /// SIGTERM, and no waiting for what comes of it.
    pub(super) fn stop(&mut self, index: usize) -> Result<()> {
        let process = self.processes[index]
            .as_ref()
            .context("the node to be stopped does not run")?;
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", process.id())])
            .status();
        ensure!(kill.context("cannot run sh")?.success(), "cannot stop a node");
        self.leaving.push(index);
        println!("told node {} ({}) to stop", index + 1, self.addresses[index]);
        Ok(())
    }

    /// Starts a node that was killed, or was told to stop and now has to have ended.
    pub(super) fn restart(&mut self, index: usize) -> Result<()> {
        if let Some(mut process) = self.processes[index].take() {
            let status = ended(&mut process)?;
            ensure!(status.success(), "node {} did not stop well: {status}", index + 1);
            self.leaving.retain(|leaving| *leaving != index);
        }
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

    /// The nodes that ended though nobody ended them.
    pub(super) fn fallen(&mut self) -> Vec<String> {
        let mut fallen = Vec::new();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if let Some(status) = process.as_mut().and_then(|process| process.try_wait().ok().flatten())
                && !self.leaving.contains(&index)
            {
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
        let mut command = Command::new(&self.bin);
        if let Some(seconds) = self.skew_s.get(index).filter(|seconds| **seconds != 0) {
            command
                .env("LD_PRELOAD", faketime()?)
                .env("FAKETIME", format!("{seconds:+}s"))
                // Clocks that only run are no wall clocks: they do not stand apart.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
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
            .args(&self.arguments)
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

fn ended(process: &mut Child) -> Result<std::process::ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().context("cannot wait for a node")? {
            return Ok(status);
        }
        if start.elapsed() > ENDED_WITHIN {
            process.kill().context("cannot kill a node")?;
            process.wait().context("cannot wait for a killed node")?;
            bail!("a node that was told to stop had not ended {ENDED_WITHIN:?} later");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The library that gives a process another wall clock; Debian's `libfaketime` puts it under the machine's triplet.
fn faketime() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib").context("cannot read /usr/lib")?;
    let paths = folders
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    paths
        .into_iter()
        .find(|path| path.exists())
        .context("libfaketime is not installed, and nodes with clocks of their own need it")
}

/// One GET, the whole answer as text.
pub(crate) fn get(address: &str, path: &str) -> std::io::Result<String> {
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
