//! `cargo xtask histories`: clients against real processes under faults; what they saw is checked. `--help` says how.

use crate::cargo::cargo;
use crate::root;
use anyhow::{Context, ensure};
use std::process::Command;

/// The crate and its program.
const PACKAGE: &str = "muster-nemesis";
const PROGRAM: &str = "histories";

/// # Errors
/// It cannot be built, or a history is broken.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let release = arguments.iter().any(|argument| argument == "--release");
    let rest: Vec<_> = arguments.iter().filter(|argument| *argument != "--release").collect();
    let profile = if release { "release" } else { "debug" };
    let target = root().join("target");
    let given = given_program();
    let mut build = cargo();
    build.args(["build", "--locked", "--package", PACKAGE, "--bin", PROGRAM]);
    if given.is_none() {
        build.args(["--package", "muster-server", "--bin", "muster"]);
    }
    if release {
        build.arg("--release");
    }
    build.arg("--target-dir").arg(&target);
    ensure!(build.status().context("cargo build")?.success(), "cargo build failed");
    let built = target.join(profile);
    let server = given.unwrap_or_else(|| built.join("muster").into_os_string());
    let status = Command::new(built.join(PROGRAM))
        .args(rest)
        .env("MUSTER_BIN", &server)
        .current_dir(root())
        .status()
        .context("cannot run the clients")?;
    ensure!(status.success(), "not every history holds, or none could be made");
    Ok(())
}

/// Another server than the one of this workspace, for instance one with a broken rule.
#[allow(
    clippy::disallowed_methods,
    reason = "a tool's own environment, not a setting of the product"
)]
fn given_program() -> Option<std::ffi::OsString> {
    std::env::var("MUSTER_BIN").ok().map(Into::into)
}
