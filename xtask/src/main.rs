//! `cargo xtask`: everything that is done to the workspace as a whole.
//!
//! `verify` is what a change must pass and never writes a file; `fix` does. Each check prints what failed and the command
//! that repeats it.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod cargo;
mod compat;
mod docs;
mod floors;
mod fuzz;
mod histories;
mod layers;
mod metrics_page;
mod mutate;
mod openapi;
mod overload;
mod power;
mod proof;
mod sim;
mod steps;

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use steps::{Step, run_all};

const USAGE: &str = "\
cargo xtask COMMAND
  verify           format, layers, docs, lints and tests; writes nothing
  fix              formats, applies what clippy can, writes the generated docs
  layers           prints the floors; fails on an arrow that does not run down
  docs [--check]   writes docs/config.md and docs/metrics.md, or only says whether they are current
  cluster [--release] [ARGS]
                   the suites over real processes; ARGS go to the tests
  compat [NAME]    real Nacos clients of 1.x, 2.x and 3.x against three nodes
  openapi          every HTTP call of a node against the description it serves of them
  mutate [NAME]    breaks our own rules one at a time and sees that a test notices; --check: do they still fit the code;
                   --sim: sees that the simulation notices
  proof --short|--long [NAME ...]
                   all of the below that show the promises, one after the other, in ten minutes or in a night
  sim              a whole cluster in one thread, from one seed
  histories        clients against real processes under faults; what they saw is checked
  power            power lost under a whole group of real processes
  fuzz [TARGET]    coverage-guided fuzzing of everything that is read from outside
  overload         more than a node can serve, and what becomes of the others
  bench [NAME]     the benchmarks; without a name lists them
  bench --check    what calls cost in instructions, against what is kept; needs valgrind";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("no command\n{USAGE}");
    };
    match command.as_str() {
        "verify" => run_all(verify(), rest.iter().any(|argument| argument == "--fail-fast")),
        "fix" => run_all(fix(), true),
        "layers" => layers::run(),
        "docs" => docs::run(rest.iter().any(|argument| argument == "--check")),
        "cluster" => run_all(cluster(rest), true),
        "compat" => compat::run(rest),
        "mutate" => mutate::run(rest),
        "openapi" => openapi::run(rest),
        "sim" => sim::run(rest),
        "histories" => histories::run(rest),
        "power" => power::run(rest),
        "proof" => proof::run(rest),
        "fuzz" => fuzz::run(rest),
        "overload" => overload::run(rest),
        "bench" => bench(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no command {other:?}\n{USAGE}"),
    }
}

/// Fast ones first.
fn verify() -> Vec<Step> {
    vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("layers", &["xtask", "layers"]),
        Step::cargo(
            "lints",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
        ),
        Step::cargo("docs", &["xtask", "docs", "--check"]),
        Step::cargo(
            "tests",
            &["test", "--workspace", "--exclude", "muster-cluster", "--locked"],
        ),
        cluster(&[]).remove(0),
    ]
}

fn fix() -> Vec<Step> {
    vec![
        Step::cargo(
            "lints",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--fix",
                "--allow-dirty",
                "--allow-staged",
            ],
        ),
        Step::cargo("format", &["fmt", "--all"]),
        Step::cargo("docs", &["xtask", "docs"]),
    ]
}

/// One test at a time: each has a cluster of its own, and the machine may have two cores.
fn cluster(rest: &[String]) -> Vec<Step> {
    let (profile, rest): (Vec<&String>, Vec<&String>) = rest.iter().partition(|argument| *argument == "--release");
    let mut test = vec!["test", "--package", "muster-cluster", "--locked"];
    test.extend(profile.iter().map(|argument| argument.as_str()));
    test.extend(["--", "--test-threads", "1", "--nocapture"]);
    test.extend(rest.iter().map(|argument| argument.as_str()));
    vec![Step::cargo("cluster", &test)]
}

fn bench(rest: &[String]) -> anyhow::Result<()> {
    if rest == ["--check"] {
        let counted = ["load", "instructions", "--check"];
        return bench(&counted.map(str::to_owned));
    }
    let folder = root().join("benches");
    let mut names: Vec<String> = Vec::new();
    for place in ["src/bin", "benches"] {
        let Ok(entries) = std::fs::read_dir(folder.join(place)) else {
            continue;
        };
        let stems = entries
            .flatten()
            .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()));
        names.extend(stems);
    }
    names.sort();
    let Some((name, arguments)) = rest.split_first() else {
        println!("benchmarks: {}", names.join(", "));
        return Ok(());
    };
    if !names.contains(name) {
        bail!("no benchmark {name:?}; there are {}", names.join(", "));
    }
    let mut command = vec![
        "run",
        "--release",
        "--locked",
        "--package",
        "muster-benches",
        "--bin",
        name,
        "--",
    ];
    command.extend(arguments.iter().map(String::as_str));
    run_all(
        vec![
            Step::cargo(
                "build",
                &["build", "--release", "--locked", "--package", "muster-server"],
            ),
            Step::cargo("bench", &command),
        ],
        true,
    )
}

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the workspace")
        .map_or_else(|_| PathBuf::from("."), Path::to_path_buf)
}
