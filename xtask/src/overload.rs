//! More load than a node can serve.

pub(crate) fn run(_arguments: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
