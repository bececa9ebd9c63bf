//! Spring Cloud Alibaba's discovery: applications that are told the cluster's addresses and nothing else about it.

use std::path::Path;
use std::process::Command;

use super::Client;

const STEPS: &[&str] = &[
    "provider_starts",
    "call_by_name",
    "second_provider",
    "killed_provider",
    "provider_stops",
    "call_without_provider",
];

/// The version is Spring Cloud Alibaba's; the Nacos client inside is the one that it brings.
pub(super) const CLIENTS: &[Client] = &[Client {
    name: "spring",
    install: "spring",
    language: "spring",
    version: "2025.1.0.0",
    steps: STEPS,
    failover: &["failover_calls_go_on", "failover_calls_go_on_after"],
    stop: &["stop_calls_go_on", "stop_calls_go_on_after"],
    skew: &[],
    tls: &[],
    mixed: false,
    takes_empty: true,
    command,
}];

fn command(folder: &Path, _: &Client) -> Command {
    let cache = folder.join(".cache");
    let mut command = Command::new("java");
    command
        .args(["-Xmx192m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(["-Dcompat.client=spring", "-cp"])
        .arg(format!("{0}/spring/classes:{0}/spring/lib/*", cache.display()))
        .arg("compat.Play");
    command.env(
        "JAVA_TOOL_OPTIONS",
        format!("-Duser.home={}", cache.join("logs/spring-home").display()),
    );
    command
}
