//! Commands run one after the other, timed, with how to repeat what failed.

use crate::cargo::cargo;
use anyhow::bail;
use std::time::{Duration, Instant};

/// One command.
pub(crate) struct Step {
    name: &'static str,
    arguments: Vec<String>,
}

impl Step {
    pub(crate) fn cargo(name: &'static str, arguments: &[&str]) -> Self {
        Self {
            name,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        }
    }

    /// What a person types to run it again.
    fn repeat(&self) -> String {
        format!("cargo {}", self.arguments.join(" "))
    }
}

/// Runs all steps; one that fails stops the others only if `fail_fast`.
///
/// # Errors
/// The steps that failed, each with the command that repeats it.
pub(crate) fn run_all(steps: Vec<Step>, fail_fast: bool) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let mut took: Vec<(&'static str, Duration, bool)> = Vec::new();
    for step in &steps {
        println!("==> {}: {}", step.name, step.repeat());
        #[allow(
            clippy::disallowed_methods,
            reason = "a program for the terminal says how long things take"
        )]
        let begun = Instant::now();
        let status = cargo().args(&step.arguments).status();
        let well = matches!(&status, Ok(status) if status.success());
        took.push((step.name, begun.elapsed(), well));
        if !well {
            failed.push(format!("{} (repeat: {})", step.name, step.repeat()));
            if fail_fast {
                break;
            }
        }
    }
    println!();
    for (name, time, well) in took {
        println!(
            "{:>8.1} s  {name}  {}",
            time.as_secs_f64(),
            if well { "well" } else { "FAILED" }
        );
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    Ok(())
}
