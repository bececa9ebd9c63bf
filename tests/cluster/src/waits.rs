//! How long tests wait for what takes a busy machine longer.

use anyhow::ensure;
use muster_testkit::{Writer, eventually};
use std::time::Duration;

/// What is dead is gone everywhere by then, with its node (G6: 35 s) or alone; a busy machine is given ten more. The time that
/// it took is printed.
pub const GONE_WITHIN: Duration = Duration::from_secs(45);
/// For what takes as many writes as the machine has time for.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(120);

/// Waits until so many more writes are acknowledged.
///
/// # Errors
/// They are not within two minutes.
pub async fn written(writer: &Writer, more: usize) -> anyhow::Result<()> {
    let from = writer.acknowledged_count();
    eventually(WRITTEN_WITHIN, "writes go on", || async {
        let count = writer.acknowledged_count();
        ensure!(count >= from + more, "{} acknowledged since", count - from);
        Ok(())
    })
    .await
}
