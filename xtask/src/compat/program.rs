//! One running client program: its lines come in by a channel, answers go to its standard input.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::steps::Client;

/// What programs are told about the place they run in.
pub(super) struct Setting<'a> {
    pub(super) folder: &'a Path,
    pub(super) logs: &'a Path,
    /// The address that instances are registered under.
    pub(super) ip: &'a str,
    /// A word of this run, in all names of services.
    pub(super) word: &'a str,
    /// What one scenario alone tells.
    pub(super) more: &'a [(String, String)],
}

pub(super) enum Said {
    Line(Value),
    /// Its output ended.
    Gone,
}

pub(super) struct Program {
    pub(super) client: &'static Client,
    child: Child,
    input: ChildStdin,
    log: PathBuf,
}

impl Program {
    /// Starts `client`'s program in `scenario`; whatever it says arrives on `said` under `index`.
    pub(super) fn start(
        client: &'static Client,
        scenario: &str,
        nodes: &[String],
        setting: &Setting,
        index: usize,
        said: Sender<(usize, Said)>,
    ) -> Result<Self> {
        let log = setting.logs.join(format!("{}-{scenario}.log", client.label()));
        let mut child = (client.command)(setting.folder, client)
            .arg(scenario)
            .envs(setting.more.iter().map(|(name, value)| (name, value)))
            .env("COMPAT_NODES", nodes.join(","))
            .env("COMPAT_RUN", setting.word)
            .env("COMPAT_IP", setting.ip)
            .env("COMPAT_PORT", first_port(index).to_string())
            .env("COMPAT_VERSION", client.version)
            .env("COMPAT_LOGS", setting.logs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).context("cannot open a client's log")?)
            .spawn()
            .with_context(|| format!("cannot start the {} client", client.label()))?;
        let input = child.stdin.take().context("the client's input is piped")?;
        let output = child.stdout.take().context("the client's output is piped")?;
        std::thread::spawn(move || {
            // What is no JSON is something a client library prints; it means nothing here.
            for line in BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .filter_map(|line| serde_json::from_str(&line).ok())
            {
                if said.send((index, Said::Line(line))).is_err() {
                    return;
                }
            }
            let _ = said.send((index, Said::Gone));
        });
        Ok(Self {
            client,
            child,
            input,
            log,
        })
    }

    /// A program that has ended already hears nothing, and its missing steps tell of it.
    pub(super) fn answer(&mut self, text: &str) {
        let _ = writeln!(self.input, "{text}").and_then(|()| self.input.flush());
    }

    /// How it ended, when that was not well.
    pub(super) fn fault(&mut self) -> Option<String> {
        for _ in 0..20 {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => {
                    return Some(format!(
                        "the {} program ended with {status}:\n{}",
                        self.client.label(),
                        tail(&self.log)
                    ));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return Some(error.to_string()),
            }
        }
        Some(format!(
            "the {} program does not end:\n{}",
            self.client.label(),
            tail(&self.log)
        ))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports of instances, a thousand to a client, so that two never register the same address.
pub(super) fn first_port(index: usize) -> usize {
    20_000 + 1000 * index
}

/// The last lines of a program's log.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
