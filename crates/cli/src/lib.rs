//! The operator's command: a thin face over the client library.
//!
//! [`Command`] is what the command line reads, [`run`] carries it out: tables or JSON on standard output, one sentence on
//! standard error and exit code 1 when it failed.

mod clock_face;
mod cluster;
mod command;
mod instance;
mod output;
mod service;

pub use clock_face::time_of_day;
pub use command::{ClusterCommand, Command, Connection, Format, InstanceCommand, ServiceCommand};

use output::Output;
use std::process::ExitCode;

/// Carries a command out and says how it went.
pub async fn run(command: Command) -> ExitCode {
    let connection = command.connection().clone();
    let mut output = Output::to_stdout(connection.output);
    match carry_out(command, &connection, &mut output).await {
        Ok(()) => ExitCode::SUCCESS,
        // `muster service list | head` is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster: {}", output::sentence(&error));
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(command: Command, connection: &Connection, output: &mut Output) -> anyhow::Result<()> {
    let client = connection.client()?;
    match command {
        Command::Service { command, .. } => service::run(command, connection, &client, output).await,
        Command::Instance { command, .. } => instance::run(command, connection, &client, output).await,
        Command::Cluster { command, .. } => cluster::run(command, &client, output).await,
    }
}
