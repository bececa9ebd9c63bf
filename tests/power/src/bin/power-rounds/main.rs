//! Rounds of losing power under a cluster of three real nodes that many clients write to.
//!
//! ```text
//! life = fresh folders, some rounds on them      round = clients write, something is lost, all start again, all is checked
//! ```
//! - [`plan`]: what is lost in which round, drawn from the seed
//! - [`rig`]: the nodes and their disks
//! - [`clients`]: who writes, and what each may find afterwards
//! - [`check`]: what must hold after each round
//! - [`round`]: one round from end to end
//! - [`tally`]: what was counted
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod check;
mod clients;
mod plan;
mod rig;
mod round;
mod tally;

use anyhow::Context;
use clap::Parser;
use clients::Book;
use muster_power::Random;
use plan::Plan;
use rig::Rig;
use round::Life;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tally::Tally;

/// Loses power under a cluster, again and again.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many rounds.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Ends earlier once so many seconds are over.
    #[arg(long)]
    seconds: Option<u64>,
    /// Repeats what is lost and what is left; the order of the processes' own steps it cannot repeat.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds on the same folders before there are fresh ones.
    #[arg(long, default_value_t = 25)]
    rounds_per_life: u64,
    /// Only rounds of this kind.
    #[arg(long)]
    only: Option<plan::Kind>,
    /// A further setting of the nodes, key=value.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Says each round.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let mut tally = Tally::new(arguments.verbose);
    let run = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&arguments, &mut tally)));
    print!("{}", tally.table());
    println!("{}", tally.json());
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, tally: &mut Tally) -> anyhow::Result<()> {
    #[allow(clippy::disallowed_methods, reason = "a program for the terminal has an end in time")]
    let begun = Instant::now();
    let over = || {
        arguments
            .seconds
            .is_some_and(|seconds| begun.elapsed() > Duration::from_secs(seconds))
    };
    let book = Book::new();
    tally.of(book.counts.clone());
    let mut rig = Rig::new(&arguments.settings).await?;
    for number in 0.. {
        let seed = arguments.seed.wrapping_add(number);
        let mut random = Random::new(seed);
        let done = tally.rounds();
        let mut life = Life::begin(&mut rig, &mut random, tally, &book, number > 0)
            .await
            .with_context(|| format!("life {seed}, at its beginning"))?;
        for round in 0..arguments.rounds_per_life {
            if tally.rounds() >= arguments.rounds || over() {
                return Ok(());
            }
            let plan = Plan::draw(&mut random, arguments.only);
            if arguments.verbose {
                println!("life {seed} round {round}: {plan}");
            }
            if let Err(error) = life.round(&mut rig, &plan, &mut random, tally).await {
                rig.keep();
                let repeat = format!(
                    "cargo xtask power --jobs 1 --seed {seed} --rounds {}",
                    tally.rounds() - done + 1
                );
                return Err(error.context(format!(
                    "life {seed} round {round}: {plan}\nfolders and logs: {}\nlike it again: {repeat}\n",
                    rig.folder().display()
                )));
            }
            tally.round(plan.kind);
        }
    }
    Ok(())
}
