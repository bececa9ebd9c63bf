//! `cargo xtask docs`: the pages that are written by programs.

use crate::cargo::cargo;
use crate::{metrics_page, root};
use anyhow::{Context, bail, ensure};

/// Writes the pages, or only says which are old.
///
/// # Errors
/// A page is old (`check`), or cannot be made.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let pages = [
        ("docs/config.md", config_page()?),
        ("docs/metrics.md", metrics_page::page(&root().join("crates"))?),
    ];
    let mut old = Vec::new();
    for (path, page) in pages {
        let kept = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        if kept == page {
            continue;
        }
        if check {
            old.push(path);
        } else {
            std::fs::write(root().join(path), page).with_context(|| path.to_owned())?;
            println!("wrote {path}");
        }
    }
    if !old.is_empty() {
        bail!("{} is old: run cargo xtask docs", old.join(" and "));
    }
    Ok(())
}

/// The program knows its settings best.
fn config_page() -> anyhow::Result<String> {
    let output = cargo()
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "muster-server",
            "--",
            "config-page",
        ])
        .output()
        .context("muster config-page")?;
    ensure!(
        output.status.success(),
        "muster config-page: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
