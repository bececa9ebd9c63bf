//! One seed: `muster-sim --seed 7 [--world cuts] [--trace]`. One process each, so that whatever a process counts or draws
//! once begins alike. `muster-sim --worlds` tells which worlds there are.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod entropy;

use anyhow::{Context, bail};
use muster_sim::world::plan::WORLDS;
use muster_sim::world::{Plan, World};
use std::process::ExitCode;
use std::sync::Mutex;

const USAGE: &str = "muster-sim --seed N [--world NAME] [--short] [--trace] [--log], or muster-sim --worlds";

struct Arguments {
    seed: u64,
    world: Option<String>,
    /// Fewer faults and clients, and a shorter calm: for a test suite.
    short: bool,
    trace: bool,
    /// The product's own log, too.
    log: bool,
    /// Only tells which worlds there are.
    worlds: bool,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        seed: 0,
        world: None,
        short: false,
        trace: false,
        log: false,
        worlds: false,
    };
    let mut seed = None;
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--seed" => seed = Some(given.next().context(USAGE)?.parse().context("--seed wants a number")?),
            "--world" => arguments.world = Some(given.next().context(USAGE)?),
            "--short" => arguments.short = true,
            "--trace" => arguments.trace = true,
            "--log" => arguments.log = true,
            "--worlds" => arguments.worlds = true,
            other => bail!("no option {other:?}; {USAGE}"),
        }
    }
    if !arguments.worlds {
        arguments.seed = seed.context(USAGE)?;
    }
    Ok(arguments)
}

/// What panicked, wherever it was caught.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("muster-sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let arguments = arguments()?;
    if arguments.worlds {
        for (name, what_for) in WORLDS {
            println!("{name:<10}{what_for}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.log {
        // What it draws must not be missing from what the world draws.
        let listening = std::thread::spawn(|| {
            tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::new("info,openraft=error"))
                .with_ansi(false)
                .without_time()
                .with_writer(std::io::stdout)
                .init();
        });
        listening.join().map_err(|_| anyhow::anyhow!("no log"))?;
    }
    entropy::seed(arguments.seed);
    muster_runtime::keep_to_one_thread(true);
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        if let Ok(mut panics) = PANICS.lock() {
            panics.push(panic.to_string());
        }
    }));
    let Some(mut plan) = Plan::new(arguments.seed, arguments.world.as_deref()) else {
        let names: Vec<&str> = WORLDS.iter().map(|(name, _)| *name).collect();
        bail!("no such world; there are {}", names.join(", "));
    };
    if arguments.short {
        plan.shorten();
    }
    let world = plan.world;
    let outcome = World::new(arguments.seed, plan, arguments.trace).run();
    if entropy::asked() == 0 {
        bail!("nobody has asked the seeded source of random bytes: this run cannot be repeated");
    }
    println!(
        "seed {} world {world} simulated_ms {} events {} hash {:016x}: {}",
        arguments.seed, outcome.simulated_ms, outcome.events, outcome.hash, outcome.summary
    );
    let panics = PANICS.lock().map(|panics| panics.clone()).unwrap_or_default();
    for panic in &panics {
        println!("VIOLATION nothing panics: {panic}");
    }
    for violation in &outcome.violations {
        println!("VIOLATION {}: {}", violation.promise, violation.what);
    }
    Ok(match outcome.violations.is_empty() && panics.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
