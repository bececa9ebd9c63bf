//! More load than a node can serve: `cargo xtask overload [SCENE …] [--short] [--minutes N]`.
//!
//! Builds the server and the scenes of `tests/overload` with optimisations, or with `--debug` without, and plays them. All that
//! is not about building is passed on; `--help` shows it.

use crate::root;
use crate::steps::{Step, run_all};
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// `cargo xtask overload`, given what stands after `overload`.
///
/// # Errors
/// When something does not build, or a scene broke what must hold.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (debug, rest): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|argument| *argument == "--debug");
    let is_debug = !debug.is_empty();
    // Together, so that what both depend on is built once.
    let mut build = vec![
        "build",
        "--locked",
        "--package",
        "muster-server",
        "--package",
        "muster-overload",
    ];
    if !is_debug {
        build.push("--release");
    }
    run_all(vec![Step::cargo("build", &build)], true)?;
    let built = root().join("target").join(if is_debug { "debug" } else { "release" });
    let status = Command::new(built.join("overload"))
        .args(rest)
        .env("MUSTER_BIN", built.join("muster"))
        .current_dir(root())
        .status()
        .context("cannot run the scenes")?;
    ensure!(status.success(), "overload: {status}");
    Ok(())
}
