//! The simulation in bulk: one process a seed, two at a time.

use crate::root;
use anyhow::{Context, bail};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo xtask sim --seeds N [--from S] [--world W]    N seeds from S (1) on, two processes at a time
cargo xtask sim --seed S [--world W] [--trace]      one seed, with all that happens";

/// More would only fight for the cores with each other; a world is one thread.
const AT_ONCE: usize = 2;
/// A world that is still running then hangs: the longest simulate three minutes.
const SEED_WITHIN: Duration = Duration::from_secs(1_200);
const FAILURES_SHOWN: usize = 20;

struct Wanted {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    world: Option<String>,
    trace: bool,
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let wanted = wanted(arguments)?;
    let program = build()?;
    match (wanted.seed, wanted.seeds) {
        (Some(seed), None) => one(&program, seed, &wanted),
        (None, Some(seeds)) => many(&program, seeds, &wanted),
        _ => bail!("{USAGE}"),
    }
}

fn wanted(arguments: &[String]) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted {
        seeds: None,
        from: 1,
        seed: None,
        world: None,
        trace: false,
    };
    let mut given = arguments.iter();
    while let Some(argument) = given.next() {
        let mut value = || {
            given
                .next()
                .with_context(|| format!("{argument} wants a value\n{USAGE}"))
        };
        match argument.as_str() {
            "--seeds" => wanted.seeds = Some(value()?.parse()?),
            "--from" => wanted.from = value()?.parse()?,
            "--seed" => wanted.seed = Some(value()?.parse()?),
            "--world" => wanted.world = Some(value()?.clone()),
            "--trace" => wanted.trace = true,
            other => bail!("no option {other:?}\n{USAGE}"),
        }
    }
    Ok(wanted)
}

/// Optimised, with assertions and overflow checks: the profile `sim` of the workspace.
fn build() -> anyhow::Result<PathBuf> {
    let built = Command::new("cargo")
        .args(["build", "--locked", "--profile", "sim", "--package", "muster-sim"])
        .current_dir(root())
        .status()
        .context("cargo")?;
    if !built.success() {
        bail!("the simulation does not build");
    }
    Ok(root().join("target/sim/muster-sim"))
}

fn command(program: &PathBuf, seed: u64, wanted: &Wanted) -> Command {
    let mut command = Command::new(program);
    command.arg("--seed").arg(seed.to_string());
    if let Some(world) = &wanted.world {
        command.args(["--world", world]);
    }
    command
}

fn one(program: &PathBuf, seed: u64, wanted: &Wanted) -> anyhow::Result<()> {
    let mut command = command(program, seed, wanted);
    if wanted.trace {
        command.arg("--trace");
    }
    if !command.status()?.success() {
        bail!("seed {seed} broke a promise");
    }
    Ok(())
}

struct Running {
    seed: u64,
    process: Child,
    begun: Instant,
}

#[allow(clippy::disallowed_methods, reason = "a program for the terminal")]
fn many(program: &PathBuf, seeds: u64, wanted: &Wanted) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut waiting: VecDeque<u64> = (wanted.from..wanted.from + seeds).collect();
    let mut running: Vec<Running> = Vec::new();
    let (mut done, mut simulated_ms, mut failures) = (0u64, 0u64, Vec::new());
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < AT_ONCE
            && failures.len() < FAILURES_SHOWN
            && let Some(seed) = waiting.pop_front()
        {
            let process = command(program, seed, wanted).stdout(Stdio::piped()).spawn()?;
            running.push(Running {
                seed,
                process,
                begun: Instant::now(),
            });
        }
        if running.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        let mut going_on = Vec::new();
        for mut seed in running {
            let hangs = seed.begun.elapsed() > SEED_WITHIN;
            if hangs {
                seed.process.kill()?;
            }
            if !hangs && seed.process.try_wait()?.is_none() {
                going_on.push(seed);
                continue;
            }
            let output = seed.process.wait_with_output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            done += 1;
            simulated_ms += simulated(&text);
            if !output.status.success() {
                println!(
                    "seed {} FAILED{}\n{text}",
                    seed.seed,
                    if hangs { " (hangs)" } else { "" }
                );
                failures.push(seed.seed);
            }
            if done.is_multiple_of(25) {
                let real = begun.elapsed().as_secs_f64();
                println!(
                    "{done} of {seeds} seeds, {} failed, {:.0} simulated seconds in {real:.0} s",
                    failures.len(),
                    simulated_ms as f64 / 1_000.0
                );
            }
        }
        running = going_on;
    }
    let real = begun.elapsed().as_secs_f64();
    println!(
        "{done} seeds from {}, {} failed, {:.0} simulated seconds in {real:.0} s",
        wanted.from,
        failures.len(),
        simulated_ms as f64 / 1_000.0
    );
    let world = wanted
        .world
        .as_ref()
        .map_or(String::new(), |world| format!(" --world {world}"));
    for seed in &failures {
        println!("again: cargo xtask sim --seed {seed}{world} --trace");
    }
    if failures.is_empty() {
        Ok(())
    } else {
        bail!("{} of {done} seeds broke a promise", failures.len())
    }
}

fn simulated(text: &str) -> u64 {
    let mut words = text.split_whitespace();
    words
        .find(|word| *word == "simulated_ms")
        .and_then(|_| words.next())
        .and_then(|ms| ms.parse().ok())
        .unwrap_or(0)
}
