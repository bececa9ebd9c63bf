//! What a call costs the server in instructions, counted by callgrind: the same whatever else the machine does, so that a
//! change for the worse shows.
//!
//! The whole server runs under callgrind. Its counters are set to zero once it has started and what is to be asked for is there,
//! then so many calls are made on one connection: what they cost from the socket to the answer, outside the kernel. What the
//! server does in the background falls in as well; figures differ by a few in a hundred from run to run.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use muster_benches::load::{Door, Scenario, Shape, send};
use muster_benches::peers::{Program, start_program};
use muster_testkit::{free_port, muster};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const PATHS: [(Scenario, Door); 5] = [
    (Scenario::Register, Door::Http),
    (Scenario::Beat, Door::Http),
    (Scenario::List, Door::Http),
    (Scenario::Register, Door::Grpc),
    (Scenario::List, Door::Grpc),
];
const CALLS: u64 = 6_000;
const SHAPE: Shape = Shape {
    instances: 1_000,
    per_service: 10,
    services: 100,
};

#[derive(Args)]
pub(crate) struct Instructions {
    /// Where the figures are kept
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"))]
    kept: PathBuf,
    /// Fails where a call costs so much more than is kept, in hundredths
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100))]
    margin: u64,
    /// Compares with what is kept; without it the figures are kept
    #[arg(long)]
    check: bool,
}

impl Instructions {
    pub(crate) async fn run(self) -> Result<()> {
        let kept = self.check.then(|| self.read()).transpose()?;
        let (mut figures, mut worse) = (Map::new(), Vec::new());
        println!("{:14} {:>12} {:>12} {:>8}", "call", "instructions", "kept", "ratio");
        for (scenario, door) in PATHS {
            let name = format!(
                "{} {}",
                scenario.name(),
                if door == Door::Http { "http" } else { "grpc" }
            );
            let each = total(scenario, door).await? / CALLS;
            let before = kept.as_ref().and_then(|kept| kept.get(&name)?.as_u64());
            let ratio = before.map(|before| each as f64 / before as f64);
            let shown = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
            println!(
                "{name:14} {each:>12} {:>12} {shown:>8}",
                before.map_or("-".to_owned(), |it| it.to_string())
            );
            ensure!(
                !self.check || before.is_some(),
                "{} has no figure of {name}",
                self.kept.display()
            );
            if ratio.is_some_and(|ratio| ratio > 1.0 + self.margin as f64 / 100.0) {
                worse.push(name.clone());
            }
            figures.insert(name, json!(each));
        }
        if !self.check {
            std::fs::write(&self.kept, format!("{:#}\n", Value::Object(figures)))?;
        }
        ensure!(
            worse.is_empty(),
            "more than {} in a hundred worse: {}",
            self.margin,
            worse.join(", ")
        );
        Ok(())
    }

    fn read(&self) -> Result<Map<String, Value>> {
        let text = std::fs::read_to_string(&self.kept).with_context(|| self.kept.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// Instructions of a server while it answers so many calls.
async fn total(scenario: Scenario, door: Door) -> Result<u64> {
    let port = free_port()?;
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("counts");
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(muster()?)
        .args(["server", "--id", "1", "--data-dir", "data", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--members")
        .arg(format!("1@127.0.0.1:{port}"));
    let mut server: Program = start_program(command, port).await.context("under valgrind")?;
    let process = server.pid();
    send(scenario, door, &server, &SHAPE, CALLS, || control("--zero", process)).await?;
    control("--dump", process)?;
    server.stop().await?;
    // The first dump; the end of the process is another.
    read_total(&counts.with_extension("1"))
}

fn control(what: &str, process: u32) -> Result<()> {
    let done = Command::new("callgrind_control")
        .args([what, &process.to_string()])
        .output()
        .context("callgrind_control, which comes with valgrind")?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(
        done.status.success() && said.contains("OK"),
        "callgrind_control {what}: {said}"
    );
    Ok(())
}

fn read_total(counts: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(counts).context("callgrind has written nothing")?;
    let Some(total) = text.lines().rev().find_map(|line| line.strip_prefix("totals: ")) else {
        bail!("callgrind tells no total");
    };
    Ok(total.trim().parse()?)
}
