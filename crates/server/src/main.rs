//! `muster`: the server, the cluster for developers, and the operator's commands.

use clap::{Parser, Subcommand};
use muster_server::dev::{self, DevFlags};
use muster_server::server_command::{self, ServerFlags};
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

/// glibc's keeps what a flood took: 474 MiB after one of 10,000 connections at each port, where this one has 150 after five
/// seconds, and half the peak (tests/overload/README.md, measured by preloading it). Background threads give back what is idle.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What blocking work may still take when everything else has ended.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// A Nacos-compatible naming cluster.
#[derive(Parser)]
#[command(name = "muster", version, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Top,
}

#[derive(Subcommand)]
enum Top {
    /// Run one node, standalone or a member of a cluster
    Server(ServerFlags),
    /// Run a three-node cluster on this machine
    Dev(DevFlags),
    #[command(flatten)]
    Operator(muster_cli::Command),
    /// Print the page docs/config.md
    #[command(hide = true)]
    ConfigPage,
}

fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let is_failure = error.use_stderr();
            // Nobody to tell if this fails.
            let _ = error.print();
            return if is_failure {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match line.command {
        Top::Server(flags) => in_runtime(async { code_of(server_command::run(flags).await) }),
        Top::Dev(flags) => in_runtime(async { code_of(dev::run(flags).await) }),
        Top::Operator(command) => in_runtime(muster_cli::run(command)),
        Top::ConfigPage => {
            use std::io::Write;
            let written = std::io::stdout().write_all(muster_server::settings::config_page().as_bytes());
            code_of(written.map_err(Into::into))
        }
    }
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return code_of(Err(error.into())),
    };
    let code = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_END);
    code
}

fn code_of(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster: {error:#}");
            ExitCode::FAILURE
        }
    }
}
