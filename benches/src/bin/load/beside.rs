//! One scenario against several servers, in turn and several times over: what the machine does meanwhile falls on all.

use crate::{Started, Traffic};
use anyhow::Result;
use clap::Args;
use muster_benches::load::Outcome;
use muster_benches::peers::Peer;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Args)]
pub(crate) struct Beside {
    #[command(flatten)]
    traffic: Traffic,
    #[command(flatten)]
    started: Started,
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["muster", "rnacos", "constant"])]
    peers: Vec<Peer>,
    /// Each server is measured so often; the round with the median rate counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    #[arg(long)]
    json: bool,
}

impl Beside {
    pub(crate) async fn run(self) -> Result<()> {
        self.traffic.scenario.check(self.traffic.door)?;
        self.started.check(&self.peers)?;
        let mut outcomes: BTreeMap<Peer, Vec<Outcome>> = BTreeMap::new();
        for round in 1..=self.rounds {
            for peer in &self.peers {
                let running = self.started.start(*peer).await?;
                let outcome = self.traffic.plan_for(&running, None).run().await?;
                eprintln!("round {round}: {:9} {:>9.0} calls/s", peer.name(), outcome.per_second);
                outcomes.entry(*peer).or_default().push(outcome);
            }
        }
        let medians: BTreeMap<Peer, Outcome> = outcomes
            .into_iter()
            .map(|(peer, rounds)| (peer, median(rounds)))
            .collect();
        self.tell(&medians);
        Ok(())
    }

    fn tell(&self, medians: &BTreeMap<Peer, Outcome>) {
        let measure = medians.get(&Peer::Constant).map(|it| it.per_second);
        let ratio = |outcome: &Outcome| measure.map(|constant| outcome.per_second / constant);
        if self.json {
            for (peer, outcome) in medians {
                println!(
                    "{}",
                    json!({"peer": peer.name(), "door": format!("{:?}", self.traffic.door), "of_constant": ratio(outcome),
                        "rounds": self.rounds, "outcome": outcome.json()})
                );
            }
            return;
        }
        println!("{:9} of constant {}", "", Outcome::HEAD);
        for (peer, outcome) in medians {
            let ratio = ratio(outcome).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            println!("{:9} {ratio:>11} {}", peer.name(), outcome.row());
        }
    }
}

/// The one in the middle by its rate; of an even number the better one of the two.
fn median(mut rounds: Vec<Outcome>) -> Outcome {
    rounds.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    rounds.swap_remove(rounds.len() / 2)
}
