//! One scenario against servers that run.

use crate::Traffic;
use anyhow::Result;
use clap::Args;
use muster_benches::load::Outcome;
use std::net::SocketAddr;

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    traffic: Traffic,
    /// Addresses on loopback that take the connections in turn; of gRPC where --door is grpc
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:8848")]
    servers: Vec<SocketAddr>,
    /// Calls a second; without it as many as are answered
    #[arg(long)]
    rate: Option<f64>,
    /// Server processes whose CPU and memory are to be told
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(crate) async fn run(self) -> Result<()> {
        let mut plan = self.traffic.plan(self.servers, self.pids, self.rate);
        plan.shows_progress = !self.json;
        let outcome = plan.run().await?;
        if self.json {
            println!("{}", outcome.json());
        } else {
            println!("{}\n{}", Outcome::HEAD, outcome.row());
        }
        Ok(())
    }
}
