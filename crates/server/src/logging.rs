//! Where log lines go and what a panic says.

use crate::settings::{LogFormat, LogSettings};
use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error; standard output is for answers.
///
/// # Errors
/// A filter that is none, or a second call.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let filter: EnvFilter = settings.filter.parse().context("log.filter")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("log: {error}"))?;
    log_panics();
    Ok(())
}

/// A panic is one log line with its place; what the task's end means, `runtime::Tasks` decides.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no text)");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("(unnamed)").to_owned();
        tracing::error!(text, place, thread, "panic");
    }));
}
