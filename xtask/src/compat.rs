//! Real, unmodified Nacos 1.x clients against a cluster of three real nodes: `cargo xtask compat [NAME ...]`.
//!
//! The client programs lie in `tests/compat`, one folder a language; each prints a JSON line a step. This side installs them, starts
//! the nodes in a network namespace of their own ([`place`]), runs the programs, kills a node under them, and prints one table.
//! It fails when a step failed, and when a step that a client has to show ([`steps`]) never came.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for the terminal that waits for other programs, in real time"
)]

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

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use nodes::Nodes;
use report::Report;
use scene::Scene;
use steps::{CLIENTS, Client};

/// Runs real Nacos 1.x clients against three nodes.
#[derive(Parser)]
#[command(name = "cargo xtask compat")]
struct Options {
    /// node, java, python, python-1.0, go, mixed, all
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
    /// Where the three nodes listen: the namespace's own address, or 127.0.0.1 as `muster dev` does
    #[arg(long, default_value = place::ADDRESS)]
    listen: Ipv4Addr,
    /// Only these scenarios: steps, mixed, failover
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
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

fn chosen(names: &[String]) -> Result<Vec<&'static Client>> {
    for name in names {
        let known = name == "all" || name == "mixed" || CLIENTS.iter().any(|client| client.name == name);
        ensure!(
            known,
            "no client is called {name}: node, java, python, python-1.0, go, mixed, all"
        );
    }
    // `mixed` alone means all clients, in that scenario only.
    let every = names.iter().any(|name| name == "all" || name == "mixed");
    Ok(CLIENTS
        .iter()
        .filter(|client| every || names.iter().any(|name| name == client.name))
        .collect())
}

fn compat_folder(root: &Path) -> PathBuf {
    root.join("tests/compat")
}

fn install(root: &Path, clients: &[&Client]) -> Result<()> {
    let script = compat_folder(root).join("install.sh");
    let mut names: Vec<_> = clients.iter().map(|client| client.name).collect();
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

fn build(root: &Path, release: bool) -> Result<PathBuf> {
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo
        .current_dir(root)
        .args(["build", "--quiet", "--package", "muster-server", "--bin", "muster"]);
    if release {
        cargo.arg("--release");
    }
    ensure!(
        cargo.status().context("cannot run cargo")?.success(),
        "the server does not build"
    );
    Ok(root
        .join("target")
        .join(if release { "release" } else { "debug" })
        .join("muster"))
}

/// Runs the scenarios, one after another, and prints the table.
fn play(root: &Path, options: &Options, clients: &[&'static Client]) -> Result<()> {
    let wanted = |scenario: &str| match options.only.as_slice() {
        [] => match options.names.as_slice() {
            [name] if name == "mixed" => scenario == "mixed",
            _ => scenario != "mixed" || clients.len() == CLIENTS.len(),
        },
        only => only.iter().any(|name| name == scenario),
    };
    let cache = compat_folder(root).join(".cache");
    let nodes = match &options.inside {
        Some(bin) => Nodes::start(bin, options.listen, &cache)?,
        None => Nodes::foreign(&options.servers),
    };
    let start = Instant::now();
    let mut report = Report::default();
    let mut scene = Scene::new(compat_folder(root), nodes)?;
    if wanted("steps") {
        scene.steps(clients, &mut report)?;
    }
    if wanted("mixed") {
        mixed::play(&scene, clients, &mut report)?;
    }
    if wanted("failover") {
        if scene.nodes.ours() {
            scene.failover(clients, &mut report)?;
        } else {
            println!("failover: left out, for the servers are not this command's to kill");
        }
    }
    report.print();
    println!(
        "{} steps in {:.0} s; logs in {}",
        report.len(),
        start.elapsed().as_secs_f64(),
        scene.logs().display()
    );
    match report.bad() {
        0 => Ok(()),
        bad => bail!("{bad} of {} steps failed or are missing", report.len()),
    }
}
