//! Loss of power under a group of real processes.

pub(crate) fn run(_arguments: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
