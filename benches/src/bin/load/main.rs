//! Load for anything that speaks Nacos's protocols, and the same for its peers.
//!
//! ```text
//! cargo xtask bench load run beat --servers 127.0.0.1:8848 --pids $(pgrep -d, -f 'muster server')
//! cargo xtask bench load beside register --door grpc      starts muster, r-nacos and a constant answer in turn, and compares
//! cargo xtask bench load sweep list --plot list.svg       delays at rates up to what the server can do
//! cargo xtask bench load memory                           a million ephemeral instances come and go
//! cargo xtask bench load restart                          the start of a node that has a million persistent ones
//! cargo xtask bench load instructions --check             what calls cost in instructions, against what is kept
//! ```
//! All goes to loopback, and ends by itself.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its figures"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

mod beside;
mod instructions;
mod memory;
mod restart;
mod run;
mod sweep;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use muster_benches::load::{Door, Plan, Scenario, Shape};
use muster_benches::peers::{Peer, Running, Starts};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Load for anything that speaks Nacos's protocols")]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One scenario against servers that run
    Run(run::Run),
    /// One scenario against several servers that are started for it, in turn
    Beside(beside::Beside),
    /// Delays over the rate of calls
    Sweep(sweep::Sweep),
    /// Memory of very many ephemeral instances, with them and after they have gone
    Memory(memory::Memory),
    /// How long a node with very many persistent instances needs to start
    Restart(restart::Restart),
    /// What calls cost the server in instructions, by callgrind
    Instructions(instructions::Instructions),
    /// Answers every call with the same bytes, until it is ended
    #[command(hide = true)]
    Constant { http: SocketAddr, grpc: SocketAddr },
}

/// What is sent, and how much of it.
#[derive(Args, Clone)]
struct Traffic {
    #[arg(value_enum)]
    scenario: Scenario,
    #[arg(long, value_enum, default_value_t = Door::Http)]
    door: Door,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Instances that HTTP calls are spread over
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    instances: u64,
    /// Instances of one service
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    per_service: u64,
    /// Services that a gRPC connection publishes in or asks for
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    services: u64,
}

impl Traffic {
    fn plan(&self, servers: Vec<SocketAddr>, pids: Vec<u32>, rate: Option<f64>) -> Plan {
        Plan {
            scenario: self.scenario,
            door: self.door,
            servers,
            connections: self.connections,
            rate,
            measured: Duration::from_secs(self.seconds),
            warming: None,
            shape: Shape {
                instances: self.instances,
                per_service: self.per_service,
                services: self.services,
            },
            pids,
            shows_progress: false,
        }
    }

    fn plan_for(&self, running: &Running, rate: Option<f64>) -> Plan {
        let servers = match self.door {
            Door::Http => &running.http,
            Door::Grpc => &running.grpc,
        };
        Plan {
            warming: running.warming,
            ..self.plan(servers.clone(), running.pids.clone(), rate)
        }
    }
}

/// How the servers are started that a benchmark starts for itself.
#[derive(Args, Clone)]
struct Started {
    /// Nodes of muster's cluster; the others run alone
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=7))]
    nodes: u64,
    /// Settings of muster's nodes, name=value
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// The program of r-nacos
    #[arg(long, default_value = "rnacos")]
    rnacos: PathBuf,
    /// The folder that benches/nacos/install.sh has put Nacos into
    #[arg(long, value_name = "DIR")]
    nacos: Option<PathBuf>,
    /// Seconds that Nacos is called before it is measured. Half of two processors compiled its code for 90 s, and its rate
    /// doubled from the 20th to the last of them; alone on them it needs less
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=600))]
    warming: u64,
}

impl Started {
    fn starts(&self) -> Starts {
        Starts {
            nodes: self.nodes,
            settings: self.settings.clone(),
            rnacos: self.rnacos.clone(),
            nacos: self.nacos.clone(),
            warming: Duration::from_secs(self.warming),
        }
    }

    /// Before the first is started, not after the rounds of those before it.
    fn check(&self, peers: &[Peer]) -> Result<()> {
        self.starts().check(peers)
    }

    async fn start(&self, peer: Peer) -> Result<Running> {
        self.starts().start(peer).await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse().what {
        What::Run(run) => run.run().await,
        What::Beside(beside) => beside.run().await,
        What::Sweep(sweep) => sweep.run().await,
        What::Memory(memory) => memory.run().await,
        What::Restart(restart) => restart.run().await,
        What::Instructions(instructions) => instructions.run().await,
        What::Constant { http, grpc } => muster_benches::constant::serve(http, grpc).await,
    }
}
