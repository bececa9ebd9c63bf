//! How this program calls cargo.

use crate::root;
use std::process::Command;

/// The cargo that runs us, so that the tool chain is the same, in the workspace's folder.
///
/// What it tells this program of its own package is not passed on: that is news to a build script that asks for it, as ring's
/// does, so that ring and all that needs it, nearly the whole product, would be built anew whenever somebody has called cargo by
/// hand before.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(program());
    command.current_dir(root());
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        command.env_remove(name);
    }
    command
}

/// What is called.
pub(crate) fn program() -> &'static str {
    option_env!("CARGO").unwrap_or("cargo")
}
