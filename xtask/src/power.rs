//! `cargo xtask power`: power lost under a whole group of real processes, round after round, in several clusters side by side.
//!
//! The rounds are `tests/power`'s program `power-rounds`; this builds it, runs it and adds up what the clusters counted.

use crate::cargo::cargo;
use crate::root;
use anyhow::{Context, bail, ensure};
use clap::Parser;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Far enough apart that the lives of two clusters never have the same seed.
const SEEDS_APART: u64 = 1_000_000;
/// What a cluster says at its end: a line of JSON with this in it.
const COUNTED: &str = "counted";

/// Loses power under clusters of three nodes, again and again.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask power")]
struct Arguments {
    /// How many rounds, over all clusters.
    #[arg(long, default_value_t = 40)]
    rounds: u64,
    /// Ends earlier once so many seconds are over.
    #[arg(long)]
    seconds: Option<u64>,
    /// Repeats what is lost and what is left.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clusters side by side.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Nodes as they are shipped.
    #[arg(long)]
    release: bool,
    /// Builds nothing and runs this program instead of `muster`.
    #[arg(long)]
    muster: Option<String>,
    /// What else `power-rounds` takes: --only KIND, --set KEY=VALUE, --rounds-per-life N, --verbose.
    #[arg(last = true)]
    further: Vec<String>,
}

/// # Errors
/// A promise that did not hold, with the seed; a program that does not build.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let arguments = Arguments::try_parse_from(std::iter::once(&"power".to_owned()).chain(arguments))?;
    ensure!(arguments.jobs > 0, "--jobs 0 runs nothing");
    build(&arguments)?;
    let mut clusters = Vec::new();
    for job in 0..arguments.jobs {
        clusters.push((job, start(&arguments, job)?));
    }
    let (mut sum, mut failed) = (BTreeMap::new(), Vec::new());
    let readers: Vec<_> = clusters
        .into_iter()
        .map(|(job, child)| (job, std::thread::spawn(move || finish(job, child))))
        .collect();
    for (job, reader) in readers {
        let (well, counted) = reader
            .join()
            .map_err(|_| anyhow::anyhow!("cluster {job} was not read"))??;
        for (name, number) in counted {
            *sum.entry(name).or_insert(0) += number;
        }
        if !well {
            failed.push(job.to_string());
        }
    }
    println!();
    for (name, number) in &sum {
        println!("{number:>10}  {name}");
    }
    if !failed.is_empty() {
        bail!(
            "a promise did not hold in cluster {}; seed and folders stand above",
            failed.join(", ")
        );
    }
    let rounds = sum.get("rounds").copied().unwrap_or(0);
    ensure!(rounds > 0, "no round was run");
    println!("\n{rounds} rounds, nothing that was acknowledged was lost");
    Ok(())
}

fn build(arguments: &Arguments) -> anyhow::Result<()> {
    let mut build = cargo();
    build.args([
        "build",
        "--locked",
        "--package",
        "muster-power",
        "--package",
        "muster-power-shim",
    ]);
    if arguments.muster.is_none() {
        build.args(["--package", "muster-server"]);
    }
    if arguments.release {
        build.arg("--release");
    }
    let status = build.status().context("cannot run cargo")?;
    ensure!(status.success(), "it does not build");
    Ok(())
}

fn start(arguments: &Arguments, job: u64) -> anyhow::Result<Child> {
    let profile = if arguments.release { "release" } else { "debug" };
    let share = arguments.rounds / arguments.jobs + u64::from(job < arguments.rounds % arguments.jobs);
    let mut rounds = Command::new(root().join("target").join(profile).join("power-rounds"));
    rounds
        .args(["--rounds", &share.to_string()])
        .args(["--seed", &(arguments.seed + job * SEEDS_APART).to_string()])
        .args(&arguments.further)
        .stdout(Stdio::piped());
    if let Some(seconds) = arguments.seconds {
        rounds.args(["--seconds", &seconds.to_string()]);
    }
    if let Some(muster) = &arguments.muster {
        rounds.env("MUSTER_BIN", muster);
    }
    rounds.spawn().context("cannot run power-rounds")
}

/// Prints what a cluster says; answers whether all was well and what it counted.
fn finish(job: u64, mut child: Child) -> anyhow::Result<(bool, Vec<(String, u64)>)> {
    let output = child.stdout.take().context("its output is piped")?;
    let mut counted = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        match numbers(&line) {
            Some(numbers) => counted = numbers,
            None => println!("[{job}] {line}"),
        }
    }
    Ok((child.wait()?.success(), counted))
}

fn numbers(line: &str) -> Option<Vec<(String, u64)>> {
    let line: Value = serde_json::from_str(line).ok()?;
    let counted = line.get(COUNTED)?.as_object()?;
    Some(
        counted
            .iter()
            .filter_map(|(name, number)| Some((name.clone(), number.as_u64()?)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_counted_is_told_from_what_it_says() {
        let read = numbers(r#"{"counted":{"rounds":3,"losses":9}}"#).unwrap();
        assert_eq!(read, [("losses".to_owned(), 9), ("rounds".to_owned(), 3)]);
        assert_eq!(numbers("life 3 round 1: All"), None);
        assert_eq!(numbers("{}"), None);
    }

    #[test]
    fn further_arguments_stand_behind_two_dashes() {
        let parsed = Arguments::try_parse_from(["power", "--rounds", "7", "--", "--only", "all"]).unwrap();
        assert_eq!(
            (parsed.rounds, parsed.further),
            (7, vec!["--only".to_owned(), "all".to_owned()])
        );
        assert!(Arguments::try_parse_from(["power", "--round", "7"]).is_err());
    }
}
