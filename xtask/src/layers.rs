//! `cargo xtask layers`: the floors as cargo sees them.

use crate::cargo::cargo;
use crate::floors::{Arrows, floor_of, wrong_arrows};
use crate::root;
use anyhow::{Context, bail, ensure};
use serde_json::Value;

const PACKAGE_PREFIX: &str = "muster-";

/// Prints the floors, top first.
///
/// # Errors
/// An arrow does not run down.
pub(crate) fn run() -> anyhow::Result<()> {
    let arrows = arrows_of(&metadata()?)?;
    for floor in (0..=7).rev() {
        let on_it = arrows.keys().filter(|name| floor_of(name) == Some(floor));
        println!("{floor}  {}", on_it.cloned().collect::<Vec<_>>().join("  "));
    }
    let count: usize = arrows.values().map(Vec::len).sum();
    println!("{} crates, {count} arrows", arrows.len());
    let wrong = wrong_arrows(&arrows);
    if !wrong.is_empty() {
        bail!("arrows must run down: {}", wrong.join("; "));
    }
    Ok(())
}

fn metadata() -> anyhow::Result<Value> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The arrows between the product's crates, those under `crates/`. What only tests use does not count: it is not shipped,
/// and cargo keeps it from making circles.
fn arrows_of(metadata: &Value) -> anyhow::Result<Arrows> {
    let crates = root().join("crates");
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    let mut arrows = Arrows::new();
    for package in packages {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if !std::path::Path::new(&text(&package["manifest_path"])).starts_with(&crates) {
            continue;
        }
        let short = |name: String| name.strip_prefix(PACKAGE_PREFIX).map(str::to_owned);
        let name = text(&package["name"]);
        let name = short(name.clone()).with_context(|| format!("package {name} is not called {PACKAGE_PREFIX}..."))?;
        let used = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        let used = used
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .filter_map(|dependency| short(text(&dependency["name"])));
        let mut used: Vec<_> = used.collect();
        used.sort();
        used.dedup();
        arrows.insert(name, used);
    }
    Ok(arrows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arrows_of_this_workspace_run_down() {
        let arrows = arrows_of(&metadata().unwrap()).unwrap();
        assert!(arrows.len() >= 15, "{arrows:?}");
        assert_eq!(wrong_arrows(&arrows), [""; 0]);
    }
}
