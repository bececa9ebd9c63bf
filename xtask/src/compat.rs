//! Real, unmodified Nacos clients of 1.x, 2.x and 3.x against real nodes: `cargo xtask compat [NAME ...]`.
//!
//! The client programs lie in `tests/compat`, one folder a language; each prints a JSON line a step. This side installs them, starts
//! the nodes in a network namespace of their own ([`place`]), runs the programs, ends a node under them, and prints one table.
//! It fails when a step failed, and when a step that a client has to show ([`steps`]) never came.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for the terminal that waits for other programs, in real time"
)]

mod certificates;
mod mixed;
mod nodes;
mod place;
mod program;
mod report;
mod scene;
mod steps;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cargo::cargo;
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use certificates::Certificates;
pub(crate) use nodes::get;
use nodes::{Nodes, Plan};
use report::Report;
use scene::{Ending, Scene, Victim, Way};
use steps::Client;

/// Nacos's own port and two beside it, as `dev` takes them. gRPC is on each plus 1000, other nodes on each plus 1001.
const PORTS: &[u16] = &[8848, 8858, 8868];

/// In the order in which they are played.
const SCENARIOS: [&str; 6] = ["steps", "mixed", "failover", "stop", "skew", "tls"];

/// Runs real Nacos clients against three nodes.
#[derive(Parser)]
#[command(name = "cargo xtask compat")]
struct Options {
    /// Clients: node, java, python, python-1.0, go, go2, python-2, python-3, rust, java-2.0, java-2.4, java-3, spring; scenarios:
    /// steps, mixed, failover, stop, skew, tls; or all
    #[arg(default_value = "all")]
    names: Vec<String>,
    /// Servers that run already, three, separated by commas; without it three are started, in a network namespace
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// The server's binary; without it the one that cargo builds
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Build the server with optimisations
    #[arg(long)]
    release: bool,
    /// Where the nodes listen: the namespace's own address, or 127.0.0.1 as `muster dev` does
    #[arg(long, default_value = place::ADDRESS)]
    listen: Ipv4Addr,
    /// Only these scenarios
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write the table to this file, as Markdown
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Set by the command itself, once it stands in its namespace: the server to start there
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

/// `cargo xtask compat`, given what stands after `compat`.
///
/// # Errors
/// When a client or the server cannot be had, and when a step failed or is missing.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse_from(std::iter::once("cargo xtask compat").chain(args.iter().map(String::as_str)));
    let clients = chosen(&options.names)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the workspace")?;
    if options.inside.is_some() {
        place::furnish(&compat_folder(root).join(".cache"))?;
        return play(root, &options, &clients);
    }
    install(root, &clients)?;
    if !options.servers.is_empty() {
        ensure!(
            options.servers.len() == 3,
            "--servers takes three addresses, not {}",
            options.servers.len()
        );
        return play(root, &options, &clients);
    }
    let bin = match &options.bin {
        Some(bin) => bin
            .canonicalize()
            .with_context(|| format!("no server at {}", bin.display()))?,
        None => build(root, options.release)?,
    };
    place::enter(args, &bin)
}

/// The clients that are named; all, when only scenarios are.
fn chosen(names: &[String]) -> Result<Vec<&'static Client>> {
    for name in names {
        let known =
            name == "all" || SCENARIOS.contains(&name.as_str()) || steps::clients().any(|client| client.name == name);
        ensure!(known, "no client or scenario is called {name}; see --help");
    }
    let every = names
        .iter()
        .all(|name| name == "all" || SCENARIOS.contains(&name.as_str()));
    Ok(steps::clients()
        .filter(|client| every || names.iter().any(|name| name == client.name))
        .collect())
}

fn compat_folder(root: &Path) -> PathBuf {
    root.join("tests/compat")
}

fn install(root: &Path, clients: &[&Client]) -> Result<()> {
    let script = compat_folder(root).join("install.sh");
    let mut names: Vec<_> = clients.iter().map(|client| client.install).collect();
    names.dedup();
    println!("installing {}", names.join(", "));
    let start = Instant::now();
    let status = Command::new("bash")
        .arg(&script)
        .args(&names)
        .status()
        .context("cannot run bash")?;
    ensure!(status.success(), "{} failed: {status}", script.display());
    println!("installed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

pub(crate) fn build(root: &Path, release: bool) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--package", "muster-server", "--bin", "muster"]);
    if release {
        build.arg("--release");
    }
    ensure!(
        build.status().context("cannot run cargo")?.success(),
        "the server does not build"
    );
    Ok(root
        .join("target")
        .join(if release { "release" } else { "debug" })
        .join("muster"))
}

/// Whether a scenario is to be played: those named or given by `--only`, else all; the mixed one needs every client, unless named.
fn wanted(options: &Options, scenario: &str, every_client: bool) -> bool {
    let named: Vec<_> = options
        .names
        .iter()
        .filter(|name| SCENARIOS.contains(&name.as_str()))
        .collect();
    match (options.only.as_slice(), named.as_slice()) {
        ([], []) => scenario != "mixed" || every_client,
        ([], named) => named.iter().any(|name| *name == scenario),
        (only, _) => only.iter().any(|name| name == scenario),
    }
}

/// Runs the scenarios, one after another, and prints the table.
fn play(root: &Path, options: &Options, clients: &[&'static Client]) -> Result<()> {
    let folder = compat_folder(root);
    scene::clear_logs(&folder)?;
    let start = Instant::now();
    let mut report = Report::default();
    let played = play_all(&folder, options, clients, &mut report);
    report.print();
    println!(
        "{} steps in {:.0} s; logs in {}",
        report.len(),
        start.elapsed().as_secs_f64(),
        scene::logs(&folder).display()
    );
    if let Some(path) = &options.markdown {
        report.write_markdown(path)?;
    }
    played?;
    match report.bad() {
        0 => Ok(()),
        bad => {
            report.print_bad();
            bail!("{bad} of {} steps failed or are missing", report.len())
        }
    }
}

fn play_all(folder: &Path, options: &Options, clients: &[&'static Client], report: &mut Report) -> Result<()> {
    let every_client = clients.len() == steps::clients().count();
    // Those that have something to show in it.
    let cast = |scenario: &str, steps: fn(&Client) -> &'static [&'static str]| -> Vec<&'static Client> {
        let playing = wanted(options, scenario, every_client);
        let clients = clients.iter().copied();
        clients.filter(|client| playing && !steps(client).is_empty()).collect()
    };
    let endings = [
        Ending {
            scenario: "failover",
            victim: Victim::Leader,
            way: Way::Kill,
            steps: |client| client.failover,
        },
        Ending {
            scenario: "stop",
            victim: Victim::Leader,
            way: Way::Terminate,
            steps: |client| client.stop,
        },
    ];
    let stepping = cast("steps", |client| client.steps);
    let ending = endings.map(|ending| (cast(ending.scenario, ending.steps), ending));
    let mixed = wanted(options, "mixed", every_client);
    if mixed || !stepping.is_empty() || ending.iter().any(|(cast, _)| !cast.is_empty()) {
        let mut scene = Scene::new(folder.to_owned(), main_nodes(folder, options)?, Vec::new())?;
        // Beside each other, but not all: thirteen programs on two cores would measure one another.
        let (first, second): (Vec<_>, Vec<_>) = stepping.iter().partition(|client| client.stop.is_empty());
        for cast in [first, second] {
            if !cast.is_empty() {
                scene.steps(&cast, report)?;
            }
        }
        if mixed {
            mixed::play(&scene, clients, report)?;
        }
        for (cast, ending) in &ending {
            if !cast.is_empty() && scene.nodes.ours() {
                scene.ending(ending, cast, report)?;
            }
        }
    }
    let Some(bin) = &options.inside else {
        println!("nodes are ended under clients only where this command started them");
        return Ok(());
    };
    skewed(folder, options, bin, &cast("skew", |client| client.skew), report)?;
    through_tls(folder, options, bin, &cast("tls", |client| client.tls), report)
}

fn main_nodes(folder: &Path, options: &Options) -> Result<Nodes> {
    match &options.inside {
        Some(bin) => Nodes::start(bin, plan(options)?, &folder.join(".cache")),
        None => Ok(Nodes::foreign(&options.servers)),
    }
}

fn plan(options: &Options) -> Result<Plan> {
    Ok(Plan {
        name: "nodes",
        listen: place::listeners(options.listen, PORTS)?,
        skew_s: &[],
        arguments: Vec::new(),
    })
}

/// Three nodes whose clocks stand apart; the one ahead is stopped, so that its clients go to the one behind.
fn skewed(
    folder: &Path,
    options: &Options,
    bin: &Path,
    clients: &[&'static Client],
    report: &mut Report,
) -> Result<()> {
    if clients.is_empty() {
        return Ok(());
    }
    let plan = Plan {
        name: "nodes-skewed",
        skew_s: &[0, 5, -5],
        ..plan(options)?
    };
    let nodes = Nodes::start(bin, plan, &folder.join(".cache"))?;
    let ending = Ending {
        scenario: "skew",
        victim: Victim::Node(1),
        way: Way::Terminate,
        steps: |client| client.skew,
    };
    Scene::new(folder.to_owned(), nodes, Vec::new())?.ending(&ending, clients, report)
}

/// Two nodes by themselves that take gRPC in nothing but TLS; the second asks clients for a certificate.
fn through_tls(
    folder: &Path,
    options: &Options,
    bin: &Path,
    clients: &[&'static Client],
    report: &mut Report,
) -> Result<()> {
    if clients.is_empty() {
        return Ok(());
    }
    let cache = folder.join(".cache");
    let made = Certificates::make(&cache.join("tls"), options.listen)?;
    let start = |name: &'static str, port: u16, more: Vec<String>| {
        let files = [
            format!("tls.certificate={}", made.path("server.pem")),
            format!("tls.key={}", made.path("server.key")),
            // The runner itself asks in plaintext whether the node is ready.
            "tls.http_plaintext_too=true".to_owned(),
        ];
        let settings = files.into_iter().chain(more);
        let plan = Plan {
            name,
            listen: place::listeners(options.listen, &[port])?,
            arguments: settings.flat_map(|setting| ["--set".to_owned(), setting]).collect(),
            skew_s: &[],
        };
        Nodes::start(bin, plan, &cache)
    };
    let nodes = start("nodes-tls", PORTS[0], Vec::new())?;
    let authority = format!("tls.client_authority={}", made.path("ca.pem"));
    let asking = start("nodes-tls-mutual", PORTS[1], vec![authority, "tls.http=tls".to_owned()])?;
    let more = [
        ("COMPAT_TLS", nodes.addresses.join(",")),
        ("COMPAT_TLS_MUTUAL", asking.addresses.join(",")),
        ("COMPAT_TLS_CA", made.path("ca.pem")),
        ("NODE_EXTRA_CA_CERTS", made.path("ca.pem")),
        ("COMPAT_TLS_OTHER_CA", made.path("other-ca.pem")),
        ("COMPAT_TLS_CERT", made.path("client.pem")),
        ("COMPAT_TLS_KEY", made.path("client.key")),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Scene::new(folder.to_owned(), nodes, more)?.alone("tls", clients, report, |client| client.tls)
}
