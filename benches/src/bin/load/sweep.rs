//! Delays over the rate of calls: first what the server can do at all, then tenths of that.

use crate::{Started, Traffic};
use anyhow::{Context, Result};
use clap::Args;
use muster_benches::load::{Outcome, Plan};
use muster_benches::peers::Peer;
use muster_benches::plot::{Curve, plot};
use std::path::PathBuf;

/// Of what the server can do. The generator has its part in that: beyond nine tenths delays are the machine's.
const TENTHS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

#[derive(Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    traffic: Traffic,
    #[command(flatten)]
    started: Started,
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["muster"])]
    peers: Vec<Peer>,
    /// Where the picture goes, an SVG
    #[arg(long)]
    plot: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

impl Sweep {
    pub(crate) async fn run(self) -> Result<()> {
        self.started.check(&self.peers)?;
        let mut curves = Vec::new();
        for peer in &self.peers {
            let running = self.started.start(*peer).await?;
            let most = self.traffic.plan_for(&running, None).run().await?;
            self.tell(*peer, &most);
            let mut points = Vec::new();
            for tenth in TENTHS {
                let rate = (most.per_second * tenth).max(1.0);
                let plan = Plan {
                    // What it was asked for its most has warmed it.
                    warming: None,
                    ..self.traffic.plan_for(&running, Some(rate))
                };
                let outcome = plan.run().await?;
                self.tell(*peer, &outcome);
                points.push(outcome);
            }
            curves.push(Curve::new(format!("{} p50", peer.name()), &points, |it| it.p50_ms));
            curves.push(Curve::new(format!("{} p99", peer.name()), &points, |it| it.p99_ms));
        }
        if let Some(path) = &self.plot {
            let title = format!("{}, {:?}", self.traffic.scenario.name(), self.traffic.door);
            plot(path, &title, &curves).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn tell(&self, peer: Peer, outcome: &Outcome) {
        if self.json {
            println!(
                "{}",
                serde_json::json!({"peer": peer.name(), "outcome": outcome.json()})
            );
            return;
        }
        if outcome.rate.is_none() {
            println!("{:9} {}", peer.name(), Outcome::HEAD);
        }
        println!("{:9} {}", "", outcome.row());
    }
}
