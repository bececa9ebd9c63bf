//! Nacos's own server, in Java: the modules that do naming, without console and settings (`benches/nacos`).

use anyhow::{Context, Result, ensure};
use muster_testkit::free_port;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Ten seconds where it has a processor to itself; it often has less.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(120);
/// Members elect a leader at the main port less this.
const RAFT_OFFSET: u16 = 1000;
const PORTS_TRIED: usize = 20;
/// As Nacos's own script starts a server that stands alone.
const HEAP: [&str; 3] = ["-Xms512m", "-Xmx512m", "-Xmn256m"];
const CLASSES: &str = "classes";
const MAIN: &str = "Naming";

/// The folder, as seen from anywhere.
///
/// # Errors
/// None is named, or Nacos is not in it.
pub(super) fn installed(folder: Option<&Path>) -> Result<PathBuf> {
    let hint = "Nacos; `benches/nacos/install.sh DIR` installs it, --nacos DIR names the folder";
    let folder = folder.context(hint)?.canonicalize().context(hint)?;
    let main = folder.join(CLASSES).join(MAIN).with_extension("class");
    ensure!(main.exists(), "{hint}: {} is missing", main.display());
    Ok(folder)
}

/// A main port such that all that Nacos adds to it and takes off it are free.
pub(super) fn port() -> Result<u16> {
    for _ in 0..PORTS_TRIED {
        let port = free_port()?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port - RAFT_OFFSET)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("of {PORTS_TRIED} free ports none has a free one {RAFT_OFFSET} below")
}

/// Starts it where it is run: its files go below.
pub(super) fn command(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("java");
    command.args(HEAP).args([
        "-Dnacos.standalone=true",
        "-Dnacos.home=.",
        "-Dnacos.logs.path=logs",
        "-Dserver.tomcat.basedir=tomcat",
    ]);
    command.arg(format!("-Dserver.port={port}"));
    let path = std::env::join_paths([folder.join(CLASSES), folder.join("lib").join("*")]);
    // A colon in the folder's name would be read as two folders; Java says then that there is no such class.
    command.arg("-cp").arg(path.unwrap_or_default()).arg(MAIN);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_nacos_is_refused_with_what_installs_it() -> Result<()> {
        let empty = tempfile::tempdir()?;
        for folder in [None, Some(empty.path()), Some(Path::new("/nowhere"))] {
            let refused = installed(folder).expect_err("there is no Nacos");
            assert!(format!("{refused:#}").contains("install.sh"), "{refused:#}");
        }
        Ok(())
    }
}
