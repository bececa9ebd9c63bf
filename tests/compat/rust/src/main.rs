//! The Rust client against a cluster of three: `compat-rust steps|failover|stop|skew|mixed|tls|hold`. Settings come in the environment:
//! COMPAT_NODES=a,b,c  COMPAT_RUN=word  COMPAT_IP=address  COMPAT_PORT=first port of its own  COMPAT_VERSION=x.y.z
#![forbid(unsafe_code)]

mod client;
mod mixed;
mod moving;
mod report;
mod skew;
mod steps;
mod tls;
mod watch;

/// Refuses to speak for another version than the one that is built in.
fn check_version() {
    let wanted = format!(
        "name = \"nacos-sdk\"\nversion = \"{}\"\n",
        report::setting("COMPAT_VERSION")
    );
    assert!(
        include_str!("../Cargo.lock").contains(&wanted),
        "the client built in is another version"
    );
}

#[tokio::main]
async fn main() {
    check_version();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let scenario = std::env::args().nth(1).unwrap_or_default();
    if scenario != "hold" && (scenario != "tls" || cfg!(feature = "tls")) {
        report::listen();
    }
    let outcome = match scenario.as_str() {
        "steps" => steps::play().await,
        "failover" => moving::play("failover", "kill", "restart").await,
        "stop" => moving::play("stop", "stop", "start").await,
        "skew" => skew::play().await,
        "mixed" => mixed::play().await,
        "tls" => tls::play().await,
        "hold" => steps::hold().await,
        other => Err(format!("no scenario is called {other}")),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}
