//! `cargo xtask histories`: concurrent clients against three real processes under faults; what they saw is checked.
//!
//! Each run is a [`Workload`](workload::Workload) beside any [`Nemesis`](nemesis::Nemesis) of those named, from a seed. The history goes
//! to a folder as JSON lines, beside the verdict; the exit code says whether anything is broken. The seed fixes what clients ask
//! for and the order of the strikes, not the timing of real processes: a failure is not sure to come again, which is why its
//! history is kept and can be checked again with `--check`.

mod client;
mod dice;
mod disk;
mod judge;
mod nemesis;
mod recorder;
mod run;
mod workload;

use anyhow::{Context, bail};
use clap::Parser;
use muster_history::{History, Report};
use nemesis::Nemesis;
use run::{Plan, run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use workload::Workload;

/// Concurrent clients against real processes under faults; what they saw is checked. Without --workload: a matrix of all.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask histories")]
struct Arguments {
    /// What clients do.
    #[arg(long, value_enum)]
    workload: Option<Workload>,
    /// What is done to the cluster; several, with commas, take turns and meet. None: nothing.
    #[arg(long, value_enum, value_delimiter = ',')]
    nemesis: Vec<Nemesis>,
    /// How long a storm lasts.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How often everything is run, each time with the next seed.
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The short matrix: at most two minutes.
    #[arg(long)]
    short: bool,
    /// Where histories and verdicts go.
    #[arg(long, default_value = "target/histories")]
    folder: PathBuf,
    /// Checks a history that was written, and runs nothing.
    #[arg(long)]
    check: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.check {
        return check(path);
    }
    let mut broken = Vec::new();
    for round in 0..arguments.rounds {
        for plan in plans(&arguments, arguments.seed + round) {
            if !play(&plan, &arguments.folder).await? {
                broken.push(repeat(&plan));
            }
        }
    }
    if broken.is_empty() {
        say("all histories hold");
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{} runs are broken; repeat:\n  {}", broken.len(), broken.join("\n  "));
}

#[allow(clippy::print_stdout, reason = "a program for the terminal")]
fn say(text: &str) {
    println!("{text}");
}

/// One workload as asked for, or all of them with what fits each.
fn plans(arguments: &Arguments, seed: u64) -> Vec<Plan> {
    let plan = |workload, nemeses: &[Nemesis], seconds| Plan {
        workload,
        nemeses: nemeses.to_vec(),
        seconds,
        seed,
    };
    if let Some(workload) = arguments.workload {
        return vec![plan(workload, &arguments.nemesis, arguments.seconds)];
    }
    use Nemesis::{Cut, Disk, Kill, Membership, Pause, Restart, Slow};
    if arguments.short {
        return vec![
            plan(Workload::Persistent, &[Kill, Pause], 8),
            plan(Workload::Mixed, &[Cut], 8),
        ];
    }
    let workloads = [
        Workload::Persistent,
        Workload::Set,
        Workload::Ephemeral,
        Workload::Watch,
    ];
    let nemeses: [&[Nemesis]; 8] = [
        &[Kill],
        &[Pause],
        &[Cut],
        &[Slow],
        &[Disk],
        &[Restart],
        &[Membership],
        &[Kill, Pause, Cut],
    ];
    let pairs = workloads.iter().flat_map(|workload| {
        let each = nemeses.iter();
        each.map(move |nemeses| plan(*workload, nemeses, arguments.seconds))
    });
    pairs
        .chain([plan(
            Workload::Mixed,
            &[Kill, Pause, Cut, Restart, Slow],
            arguments.seconds * 2,
        )])
        .collect()
}

fn repeat(plan: &Plan) -> String {
    let mut text = format!("cargo xtask histories --workload {}", plan.workload.name());
    if !plan.nemeses.is_empty() {
        text.push_str(&format!(" --nemesis {}", plan.nemesis_names().join(",")));
    }
    format!("{text} --seconds {} --seed {}", plan.seconds, plan.seed)
}

/// Whether it holds.
#[allow(
    clippy::disallowed_methods,
    reason = "a program for the terminal says how long things take"
)]
async fn play(plan: &Plan, folder: &Path) -> anyhow::Result<bool> {
    say(&format!("==> {}", repeat(plan)));
    if let Some(why) = plan.impossible(folder) {
        say(&format!("    NOT RUN: {why}"));
        return Ok(true);
    }
    let begun = Instant::now();
    let ended = run(plan, folder).await?;
    let took = begun.elapsed().as_secs_f64();
    let (word, ended_in) = (word_of(&ended.report), ended.folder.display());
    say(&format!(
        "    {word}: {} calls, {} strikes, {took:.1} s, {ended_in}",
        ended.calls, ended.strikes
    ));
    if word != "holds" {
        say(&ended.report.to_string());
    }
    Ok(ended.report.holds())
}

fn word_of(report: &Report) -> &'static str {
    match (report.holds(), report.undecided()) {
        (false, _) => "BROKEN",
        (true, 0) => "holds",
        (true, _) => "UNDECIDED in part",
    }
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let history = History::read(path).context("the history cannot be read")?;
    let report = judge::judge(&history);
    say(&format!(
        "{}: {} events\n{report}",
        word_of(&report),
        history.events.len()
    ));
    Ok(if report.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
