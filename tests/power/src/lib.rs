//! Loss of power under real, unmodified processes.
//!
//! A process that is started with [`Disk::environment`] notes what it has synced (the shim, `tests/power/shim`, loaded before libc).
//! Killed, it leaves its real files, which the kernel keeps as it has always kept them, and beside them what would be on the disk.
//! [`Disk::lose_power`] then puts that in the place of the real files, together with a part of what was not synced, chosen by a seed.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let disk = muster_power::Disk::new("node-1.root".into())?;
//! let mut node = std::process::Command::new("muster").envs(disk.environment()?).spawn()?;
//! disk.tell(&muster_power::Faults { syncs_to_fail: 1, ..Default::default() })?;
//! node.kill()?;
//! node.wait()?;
//! let loss = disk.lose_power(&mut muster_power::Random::new(7))?;
//! # Ok(()) }
//! ```
//! A kill without a loss of power is a kill: the kernel's memory stays, and a later loss of power may still take it.

mod disk;
mod layout;
mod loss;
mod random;
mod shim;

pub use disk::{Disk, Faults, Seen};
pub use loss::Loss;
pub use random::Random;
pub use shim::built;
