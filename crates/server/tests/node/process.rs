//! A node as it is started by hand.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// How long a node may be silent while something is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A standalone node on ports that the system gives. Killed if it is dropped before it has ended.
pub(crate) struct Process {
    child: Child,
    log: Receiver<Value>,
    /// `ip:port`.
    pub(crate) http: String,
    pub(crate) grpc: String,
    _data: TempDir,
}

fn muster() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    // Whatever the environment of the test sets is not this node's.
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("MUSTER_") || name == "RUST_LOG");
    for (name, _) in ours {
        command.env_remove(name);
    }
    command
}

/// What a command that ends by itself says.
pub(crate) fn said(arguments: &[&str]) -> Output {
    muster().args(arguments).stdin(Stdio::null()).output().unwrap()
}

impl Process {
    /// Returns when it answers clients.
    pub(crate) fn start(arguments: &[String]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = muster()
            .args(["server", "--listen", "127.0.0.1:0", "--end-with-stdin"])
            .args(["--log", "info", "--log-format", "json", "--data-dir"])
            .arg(data.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // Nobody listens any more once the test is done.
                let _ = lines.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let mut process = Self {
            child,
            log,
            http: String::new(),
            grpc: String::new(),
            _data: data,
        };
        let started = process.line("started, loading");
        let field = |name: &str| started[name].as_str().unwrap().to_owned();
        (process.http, process.grpc) = (field("listen"), field("grpc_listen"));
        process.line("ready");
        process
    }

    /// Reads its log up to the line with this message.
    fn line(&mut self, message: &str) -> Value {
        loop {
            match self.log.recv_timeout(SILENCE_MAX) {
                Ok(line) if line["message"] == message => return line,
                Ok(_) => {}
                Err(error) => panic!("the node did not say {message:?}: {error}"),
            }
        }
    }

    /// Memory that is its own: no pages of files.
    pub(crate) fn own_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Tells it to stop; the steps of its shutdown, in order, each with whether it was in time.
    pub(crate) fn stop(mut self) -> Vec<(String, bool)> {
        drop(self.child.stdin.take());
        let mut steps = Vec::new();
        while let Ok(line) = self.log.recv_timeout(SILENCE_MAX) {
            if let Some(step) = line["step"].as_str() {
                steps.push((step.to_owned(), line["message"] == "shutdown step"));
            }
        }
        assert!(self.child.wait().unwrap().success());
        steps
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
