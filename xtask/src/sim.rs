//! The simulation in bulk: one process a seed, two at a time.

use crate::cargo::cargo;
use crate::root;
use anyhow::{Context, bail};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const USAGE: &str = "\
cargo xtask sim --seeds N [--from S] [--world W] [--minutes M]    N seeds from S (1) on, two processes at a time
cargo xtask sim --seeds N --world each                            N seeds of each world
cargo xtask sim --seed S [--world W] [--trace]                    one seed, with all that happens
Without --world each seed draws its world. After M minutes no further seed is begun.";

/// More would only fight for the cores with each other; a world is one thread.
const AT_ONCE: usize = 2;
/// A world that is still running then hangs: the longest simulate three minutes.
const SEED_WITHIN: Duration = Duration::from_secs(1_200);
const FAILURES_SHOWN: usize = 20;
const EACH: &str = "each";

struct Wanted {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    world: Option<String>,
    within: Option<Duration>,
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
        within: None,
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
            "--minutes" => wanted.within = Some(Duration::from_secs(60 * value()?.parse::<u64>()?)),
            "--trace" => wanted.trace = true,
            other => bail!("no option {other:?}\n{USAGE}"),
        }
    }
    Ok(wanted)
}

/// Optimised, with assertions and overflow checks: the profile `sim` of the workspace.
fn build() -> anyhow::Result<PathBuf> {
    let built = cargo()
        .args(["build", "--locked", "--profile", "sim", "--package", "muster-sim"])
        .status()
        .context("cargo")?;
    if !built.success() {
        bail!("the simulation does not build");
    }
    Ok(root().join("target/sim/muster-sim"))
}

/// A seed and the world it is run in; none: it draws one.
#[derive(Clone, Debug)]
struct Which {
    seed: u64,
    world: Option<String>,
}

impl Which {
    fn arguments(&self) -> Vec<String> {
        let world = self.world.iter().flat_map(|world| ["--world".into(), world.clone()]);
        ["--seed".into(), self.seed.to_string()]
            .into_iter()
            .chain(world)
            .collect()
    }
}

fn one(program: &Path, seed: u64, wanted: &Wanted) -> anyhow::Result<()> {
    let world = wanted.world.clone();
    let mut command = Command::new(program);
    command.args(Which { seed, world }.arguments());
    if wanted.trace {
        command.arg("--trace");
    }
    if !command.status()?.success() {
        bail!("seed {seed} broke a promise");
    }
    Ok(())
}

struct Running {
    which: Which,
    process: Child,
    said: PathBuf,
    begun: Instant,
}

impl Running {
    /// What a seed says goes to a file: a pipe that nobody reads would stop it.
    #[allow(clippy::disallowed_methods, reason = "a program for the terminal")]
    fn start(program: &Path, which: Which) -> anyhow::Result<Self> {
        let folder = root().join("target/sim/said");
        fs::create_dir_all(&folder)?;
        let world = which.world.as_deref().unwrap_or("drawn");
        let said = folder.join(format!("{world}-{}-{}", which.seed, std::process::id()));
        let process = Command::new(program)
            .args(which.arguments())
            .stdout(File::create(&said)?)
            .spawn()?;
        Ok(Self {
            which,
            process,
            said,
            begun: Instant::now(),
        })
    }

    /// What it said, once it has ended, and whether it kept every promise.
    fn ended(&mut self) -> anyhow::Result<Option<(String, bool)>> {
        let hangs = self.begun.elapsed() > SEED_WITHIN;
        if hangs {
            self.process.kill()?;
            self.process.wait()?;
        }
        let Some(status) = self.process.try_wait()? else {
            return Ok(None);
        };
        let mut said = String::from_utf8_lossy(&fs::read(&self.said)?).into_owned();
        fs::remove_file(&self.said)?;
        if hangs {
            said += "it hangs\n";
        }
        Ok(Some((said, status.success())))
    }
}

/// What the seeds of one world came to.
#[derive(Default)]
struct Tally {
    seeds: u64,
    failed: u64,
    simulated_ms: u64,
    took: Duration,
}

/// What one seed came to.
pub(crate) struct Played {
    which: Which,
    /// All that it said, violations among it.
    said: String,
    kept: bool,
    took: Duration,
}

impl Played {
    /// The seed, and the first promise that it broke.
    fn broken(&self) -> Option<String> {
        let first = self.said.lines().find_map(|line| line.strip_prefix("VIOLATION "));
        let world = word_after(&self.said, "world").unwrap_or("?");
        (!self.kept).then(|| format!("seed {} ({world}): {}", self.which.seed, first.unwrap_or("it hangs")))
    }
}

/// Plays seeds, two at a time, until `on_ended` says that it has seen enough.
fn play(
    program: &Path,
    mut waiting: VecDeque<Which>,
    mut on_ended: impl FnMut(Played) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let mut running: Vec<Running> = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(which) = waiting.pop_front()
        {
            running.push(Running::start(program, which)?);
        }
        if running.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
        let mut going_on = Vec::new();
        for mut seed in running {
            let Some((said, kept)) = seed.ended()? else {
                going_on.push(seed);
                continue;
            };
            let played = Played {
                took: seed.begun.elapsed(),
                which: seed.which,
                said,
                kept,
            };
            if on_ended(played).is_break() {
                waiting.clear();
            }
        }
        running = going_on;
    }
}

/// The first of `seeds` seeds that breaks a promise with this program, and which one.
///
/// # Errors
/// The program cannot be run.
pub(crate) fn first_broken(program: &Path, seeds: u64) -> anyhow::Result<Option<String>> {
    let waiting = (1..=seeds).map(|seed| Which { seed, world: None }).collect();
    let mut first = None;
    play(program, waiting, |played| {
        first = first.take().or_else(|| played.broken());
        match first {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    })?;
    Ok(first)
}

#[allow(clippy::disallowed_methods, reason = "a program for the terminal")]
fn many(program: &Path, seeds: u64, wanted: &Wanted) -> anyhow::Result<()> {
    let begun = Instant::now();
    let worlds = match wanted.world.as_deref() {
        Some(EACH) => worlds(program)?.into_iter().map(Some).collect(),
        _ => vec![wanted.world.clone()],
    };
    let seeds = wanted.from..wanted.from + seeds;
    let waiting: VecDeque<Which> = seeds
        .flat_map(|seed| worlds.iter().map(move |world| (seed, world.clone())))
        .map(|(seed, world)| Which { seed, world })
        .collect();
    let all = waiting.len();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut done, mut failures) = (0, Vec::new());
    play(program, waiting, |played| {
        done += 1;
        let world = played.which.world.clone();
        let world = word_after(&played.said, "world").map(str::to_owned).or(world);
        let tally = tallies.entry(world.unwrap_or_default()).or_default();
        tally.seeds += 1;
        tally.took += played.took;
        tally.simulated_ms += word_after(&played.said, "simulated_ms")
            .and_then(|ms| ms.parse().ok())
            .unwrap_or(0);
        if !played.kept {
            tally.failed += 1;
            println!("{} FAILED\n{}", played.which.arguments().join(" "), played.said);
            failures.push(played.which);
        }
        if done % 40 == 0 {
            let real = begun.elapsed().as_secs_f64();
            println!("{done} of {all} seeds in {real:.0} s, {} failed", failures.len());
        }
        let late = wanted.within.is_some_and(|within| begun.elapsed() > within);
        match late || failures.len() >= FAILURES_SHOWN {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    tell(&tallies, begun.elapsed());
    for which in &failures {
        println!("again: cargo xtask sim {} --trace", which.arguments().join(" "));
    }
    if failures.is_empty() {
        Ok(())
    } else {
        bail!("{} of {done} seeds broke a promise", failures.len())
    }
}

fn worlds(program: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new(program).arg("--worlds").output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect())
}

fn tell(tallies: &BTreeMap<String, Tally>, took: Duration) {
    println!(
        "{:<10}{:>8}{:>8}{:>12}{:>12}",
        "world", "seeds", "failed", "simulated s", "s a seed"
    );
    for (world, tally) in tallies {
        println!(
            "{world:<10}{:>8}{:>8}{:>12}{:>12.1}",
            tally.seeds,
            tally.failed,
            tally.simulated_ms / 1_000,
            tally.took.as_secs_f64() / tally.seeds as f64
        );
    }
    let seeds: u64 = tallies.values().map(|tally| tally.seeds).sum();
    println!("{seeds} seeds in {:.0} s", took.as_secs_f64());
}

fn word_after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()
}
