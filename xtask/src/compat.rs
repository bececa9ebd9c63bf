//! Real Nacos 1.x clients against three nodes.

/// `cargo xtask compat`, given what stands after `compat`.
///
/// # Errors
/// Always, while there are none.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("no scenarios yet ({})", args.join(" "))
}
