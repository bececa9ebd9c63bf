//! More than a node can serve, and what becomes of the others.
//!
//! ```text
//! cargo xtask overload [SCENE…] [--short] [--minutes N]
//! ```
//! Each scene starts nodes of its own as real processes on loopback, brings its load upon them while live clients go on, and
//! says what held. What is judged is who was lost, what memory did, what was answered and how soon it was over; delays are
//! told, and depend on what else the machine does. Everything ends by itself.
#![allow(clippy::print_stdout, reason = "a program for the terminal prints its figures")]

mod dice;
mod flood;
mod http;
mod live;
mod report;
mod scenes;
mod watch;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use report::Report;
use scenes::{Ground, NAMES};
use std::process::ExitCode;
use std::time::Duration;

/// A scene that is not over by then never will be.
const SCENE_MAX: Duration = Duration::from_secs(600);

/// Plays scenes of overload against real nodes; fails when one of them broke what must hold.
#[derive(Parser)]
#[command(name = "cargo xtask overload")]
struct Options {
    /// All but the hour of `churn`, if none is named
    scenes: Vec<String>,
    /// Small scale: all scenes in less than 100 s
    #[arg(long)]
    short: bool,
    /// How long `churn` lasts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=720))]
    minutes: u64,
    /// What chance begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the outcome is also written as JSON
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let scenes: Vec<&str> = match options.scenes.is_empty() {
        true => NAMES.to_vec(),
        false => options.scenes.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = scenes.iter().find(|scene| !NAMES.contains(scene)) {
        bail!("no scene {unknown:?}; there are {}", NAMES.join(", "));
    }
    let ground = Ground {
        short: options.short,
        minutes: options.minutes,
        seed: options.seed,
    };
    let mut reports = Vec::new();
    for scene in scenes {
        let within = SCENE_MAX + Duration::from_secs(if scene == "churn" { ground.minutes * 60 } else { 0 });
        let played = tokio::time::timeout(within, scenes::play(scene, &ground)).await;
        let mut report = match played {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => broken(scene, &format!("{error:#}"))?,
            Err(_) => broken(scene, &format!("not over within {within:?}"))?,
        };
        report.repeat = repeat(scene, &ground);
        println!("{}", report.table());
        reports.push(report);
    }
    finish(&reports, options.json.as_deref())
}

/// What a person types to play a scene again.
fn repeat(scene: &str, ground: &Ground) -> String {
    let mut command = format!("cargo xtask overload {scene}");
    if ground.short {
        command.push_str(" --short");
    } else if scene == "churn" {
        command.push_str(&format!(" --minutes {}", ground.minutes));
    }
    if ground.seed != 1 {
        command.push_str(&format!(" --seed {}", ground.seed));
    }
    command
}

/// A scene that did not come to its end holds nothing.
fn broken(scene: &str, why: &str) -> Result<Report> {
    let name = NAMES.into_iter().find(|name| *name == scene).context("a scene")?;
    let mut report = Report::new(name);
    report.hold("the scene is played to its end", false, why);
    Ok(report)
}

fn finish(reports: &[Report], json: Option<&std::path::Path>) -> Result<()> {
    let all: Vec<_> = reports.iter().map(Report::json).collect();
    let all = serde_json::Value::from(all).to_string();
    if let Some(path) = json {
        std::fs::write(path, &all).with_context(|| path.display().to_string())?;
    }
    println!("{all}\n");
    println!("| scene | figures | holds | command |\n| --- | --- | --- | --- |");
    for report in reports {
        println!("{}", report.markdown());
    }
    let broken: Vec<_> = reports
        .iter()
        .filter(|report| !report.is_kept())
        .map(|report| report.repeat.as_str())
        .collect();
    ensure!(broken.is_empty(), "broken; repeat: {}", broken.join("; "));
    Ok(())
}

/// One line of what goes on.
pub(crate) fn say(line: &str) {
    println!("{line}");
}
