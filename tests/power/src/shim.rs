//! The library that is loaded before libc.

use anyhow::{Context, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The shim of the profile that this program was built in, brought up to date once per process.
///
/// # Errors
/// It cannot be built.
pub fn built() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    // <target>/<profile>/<program>, or <target>/<profile>/deps/<test>
    let program = env::current_exe().context("the path of this program")?;
    let folder = program.parent().context("its folder")?;
    let profile = if folder.ends_with("deps") {
        folder.parent().context("the folder of this profile")?
    } else {
        folder
    };
    let target = profile.parent().context("the target folder")?;
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build
        .args(["build", "--quiet", "--package", "muster-power-shim", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().context("cargo build")?;
    ensure!(status.success(), "cargo build --package muster-power-shim: {status}");
    Ok(profile.join("libmuster_power_shim.so"))
}
