//! Disks of the nodes' own that can be filled: a small file system in memory over each data folder.

use anyhow::{Context, ensure};
use muster_testkit::{Cluster, Node};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Room for a short run's log, checkpoint and snapshots.
const BYTES: usize = 256 << 20;
const BALLAST: &str = "ballast";
/// Like the writes that are to fail, small in the end.
const PIECES: [usize; 3] = [1 << 20, 4096, 1];

/// Mounts, taken away when dropped.
#[derive(Default)]
pub(crate) struct Disks {
    mounted: Vec<PathBuf>,
}

impl Disks {
    /// Moves the data of each node onto a disk of its own, one node after the other.
    ///
    /// # Errors
    /// No right to mount.
    pub(crate) async fn mount(cluster: &mut Cluster) -> anyhow::Result<Self> {
        let mut disks = Self::default();
        for id in cluster.ids() {
            cluster.stop(id).await?;
            let folder = cluster.node(id).data_dir.clone();
            let aside = folder.with_extension("aside");
            fs::rename(&folder, &aside)?;
            fs::create_dir(&folder)?;
            run(Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={BYTES}"), "tmpfs"])
                .arg(&folder))?;
            disks.mounted.push(folder.clone());
            run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(&folder))?;
            cluster.restart(id).await?;
            cluster.leader(Duration::from_secs(60)).await?;
        }
        Ok(disks)
    }

    /// Leaves not one byte.
    ///
    /// # Errors
    /// The node has no such disk, or another error than a full disk.
    pub(crate) fn fill(&self, node: &Node) -> anyhow::Result<()> {
        ensure!(
            self.mounted.contains(&node.data_dir),
            "node {} has no disk of its own",
            node.id
        );
        let path = node.data_dir.join(BALLAST);
        let mut file = fs::File::create(&path).with_context(|| path.display().to_string())?;
        for piece in PIECES {
            let bytes = vec![0; piece];
            loop {
                match file.write(&bytes) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling a disk"),
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// Those of the disk.
    pub(crate) fn make_room(&self, node: &Node) -> anyhow::Result<()> {
        Ok(fs::remove_file(node.data_dir.join(BALLAST))?)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for folder in &self.mounted {
            // lazily: a node that has not ended yet still has files open
            if let Err(error) = run(Command::new("umount").arg("-l").arg(folder)) {
                eprintln!("{error:#}");
            }
        }
    }
}

/// Why no disk can be mounted here; `None` if it can.
pub(crate) fn mounts_missing(probe: &Path) -> Option<String> {
    let mounted = fs::create_dir_all(probe)
        .context("a folder to mount on")
        .and_then(|()| {
            run(Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
                .arg(probe))
        });
    let taken = mounted.and_then(|()| run(Command::new("umount").arg(probe)));
    taken.err().map(|error| format!("{error:#}"))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}
