mod compat;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((name, rest)) if name == "compat" => compat::run(rest),
        _ => anyhow::bail!("usage: cargo xtask compat"),
    }
}
