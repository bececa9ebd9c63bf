//! Programs on their stage: all at once, in turns where they measure, and with a node killed under them.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::Value;

use super::nodes::{Nodes, get};
use super::program::{Program, Said, Setting};
use super::report::Report;
use super::steps::Client;

/// In the longest scenario a node is away for 45 s, and a client that registers again up to 30 s late sees it back; a loaded machine
/// may take twice that.
const SCENARIO_WITHIN: Duration = Duration::from_secs(240);

/// A scenario in which a node ends under the clients.
pub(super) struct Ending {
    pub(super) scenario: &'static str,
    pub(super) victim: Victim,
    pub(super) way: Way,
    pub(super) steps: fn(&Client) -> &'static [&'static str],
}

pub(super) enum Victim {
    /// Losing that one is the hardest case.
    Leader,
    Node(usize),
}

pub(super) enum Way {
    Kill,
    Terminate,
}

pub(super) struct Scene {
    folder: PathBuf,
    pub(super) nodes: Nodes,
    ip: String,
    word: String,
    /// What its programs are told beside the usual.
    more: Vec<(String, String)>,
}

/// The programs of one scenario and what they say.
pub(super) struct Cast {
    pub(super) programs: Vec<Program>,
    pub(super) said: Receiver<(usize, Said)>,
    deadline: Instant,
}

impl Cast {
    /// The next thing that anybody says, or nothing once the scenario's time is over.
    pub(super) fn next(&self) -> Option<(usize, Said)> {
        self.said
            .recv_timeout(self.deadline.saturating_duration_since(Instant::now()))
            .ok()
    }
}

impl Scene {
    pub(super) fn new(folder: PathBuf, nodes: Nodes, more: Vec<(String, String)>) -> Result<Self> {
        let word = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock stands before 1970")?
            .as_secs()
            .to_string();
        let ip = own_address(&nodes.addresses[0])?;
        Ok(Self {
            folder,
            nodes,
            ip,
            word,
            more,
        })
    }

    /// Starts the clients' programs in one scenario.
    pub(super) fn cast(
        &self,
        clients: &[&'static Client],
        scenario: &str,
        nodes: impl Fn(usize) -> Vec<String>,
    ) -> Result<Cast> {
        println!("{scenario}");
        let logs = logs(&self.folder);
        let setting = Setting {
            folder: &self.folder,
            logs: &logs,
            ip: &self.ip,
            word: &self.word,
            more: &self.more,
        };
        let (sender, said) = mpsc::channel();
        let programs = clients.iter().enumerate();
        let programs = programs
            .map(|(index, client)| Program::start(client, scenario, &nodes(index), &setting, index, sender.clone()));
        Ok(Cast {
            programs: programs.collect::<Result<_>>()?,
            said,
            deadline: Instant::now() + SCENARIO_WITHIN,
        })
    }

    /// Each client's own steps, all clients at once; those that measure how fast a push comes take turns.
    pub(super) fn steps(&mut self, clients: &[&'static Client], report: &mut Report) -> Result<()> {
        let mut cast = self.cast(clients, "steps", |_| self.nodes.addresses.clone())?;
        let mut playing = clients.len();
        let mut holder = None;
        let mut queue = std::collections::VecDeque::new();
        while playing > 0 {
            let Some((index, said)) = cast.next() else { break };
            match said {
                Said::Line(line) => match line.get("ask").and_then(Value::as_str) {
                    None => report.take(&line),
                    Some("turn") => queue.push_back(index),
                    Some(_) => holder = None,
                },
                Said::Gone => {
                    playing -= 1;
                    if holder == Some(index) {
                        holder = None;
                    }
                }
            }
            if holder.is_none() {
                holder = queue.pop_front();
                if let Some(next) = holder {
                    cast.programs[next].answer("go");
                }
            }
        }
        self.curtain(&mut cast, report, |client| client.steps);
        Ok(())
    }

    /// Ends a node once every client has settled, and starts it again once every client has seen what it came to see.
    pub(super) fn ending(&mut self, ending: &Ending, clients: &[&'static Client], report: &mut Report) -> Result<()> {
        let mut cast = self.cast(clients, ending.scenario, |_| self.nodes.addresses.clone())?;
        let victim = match ending.victim {
            Victim::Leader => self.leader().context("no node says who leads")?,
            Victim::Node(index) => index,
        };
        let mut playing = vec![true; clients.len()];
        let mut asked: Vec<Option<String>> = vec![None; clients.len()];
        while playing.contains(&true) {
            let Some((index, said)) = cast.next() else { break };
            match said {
                Said::Line(line) => match line.get("ask").and_then(Value::as_str) {
                    None => report.take(&line),
                    Some(question) => asked[index] = Some(question.to_owned()),
                },
                Said::Gone => playing[index] = false,
            }
            let all = |questions: [&str; 2]| {
                playing.contains(&true)
                    && playing.iter().zip(&asked).all(|(playing, asked)| {
                        !playing || asked.as_deref().is_some_and(|asked| questions.contains(&asked))
                    })
            };
            if all(["kill", "stop"]) {
                match ending.way {
                    Way::Kill => self.nodes.kill(victim)?,
                    Way::Terminate => self.nodes.stop(victim)?,
                }
            } else if all(["restart", "start"]) {
                self.nodes.restart(victim)?;
            } else {
                continue;
            }
            asked.fill(None);
            for program in &mut cast.programs {
                program.answer(&self.nodes.addresses[victim]);
            }
        }
        self.curtain(&mut cast, report, ending.steps);
        Ok(())
    }

    /// Programs that ask for nothing, each to its end.
    pub(super) fn alone(
        &mut self,
        scenario: &str,
        clients: &[&'static Client],
        report: &mut Report,
        steps: fn(&Client) -> &'static [&'static str],
    ) -> Result<()> {
        let mut cast = self.cast(clients, scenario, |_| self.nodes.addresses.clone())?;
        let mut playing = clients.len();
        while playing > 0 {
            match cast.next() {
                None => break,
                Some((_, Said::Line(line))) => report.take(&line),
                Some((_, Said::Gone)) => playing -= 1,
            }
        }
        self.curtain(&mut cast, report, steps);
        Ok(())
    }

    /// Which node leads, as a node says.
    fn leader(&self) -> Option<usize> {
        let answer = get(&self.nodes.addresses[0], "/nacos/v3/admin/muster/cluster").ok()?;
        let status: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        let id = usize::try_from(status.get("leader")?.as_u64()?).ok()?;
        (1..=3).contains(&id).then(|| id - 1)
    }

    /// Notes what is missing, and prints what may tell why.
    pub(super) fn curtain(
        &mut self,
        cast: &mut Cast,
        report: &mut Report,
        steps: impl Fn(&Client) -> &'static [&'static str],
    ) {
        for program in &mut cast.programs {
            let client = program.client;
            report.demand(client.language, client.version, steps(client));
            if let Some(fault) = program.fault() {
                println!("  {fault}");
            }
        }
        for fallen in self.nodes.fallen() {
            println!("  {fallen}");
        }
    }
}

/// Where programs' logs lie.
pub(super) fn logs(folder: &Path) -> PathBuf {
    folder.join(".cache/logs")
}

/// Empties that folder.
pub(super) fn clear_logs(folder: &Path) -> Result<()> {
    let logs = logs(folder);
    if logs.exists() {
        fs::remove_dir_all(&logs).context("cannot clear the last run's logs")?;
    }
    fs::create_dir_all(&logs).context("cannot make the folder for logs")
}

/// The address that this machine has towards the servers; no datagram is sent to find it.
fn own_address(server: &str) -> Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("no socket")?;
    socket.connect(server).with_context(|| format!("no way to {server}"))?;
    Ok(socket
        .local_addr()
        .context("the socket has no address")?
        .ip()
        .to_string())
}
