//! The program under test.

use anyhow::{Context, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `muster` program of the profile that the tests were built in, brought up to date once per test process; or the one
/// that `MUSTER_BIN` names.
///
/// # Errors
/// It cannot be built.
pub fn muster() -> anyhow::Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test's own environment, not a setting of the product"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = variable("MUSTER_BIN") {
        return Ok(path.into());
    }
    // <target>/<profile>/deps/<test executable>, or <target>/<profile>/<program>
    let executable = env::current_exe().context("the path of this test")?;
    let folder = executable.parent().context("the folder of this test")?;
    let profile = match folder.parent() {
        Some(profile) if folder.ends_with("deps") => profile,
        _ => folder,
    };
    let target = profile.parent().context("the target folder")?;
    let cargo = variable("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build
        .args([
            "build",
            "--quiet",
            "--package",
            "muster-server",
            "--bin",
            "muster",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().context("cargo build")?;
    ensure!(status.success(), "cargo build --bin muster: {status}");
    Ok(profile.join("muster"))
}
