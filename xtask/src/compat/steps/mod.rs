//! The clients, and the steps that each has to show. A step that is not in here is not asked for, so it cannot be missed.

mod go2;
mod java2;
mod python;
mod rust;
mod spring;
mod v1;

use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Client {
    /// What the command calls it.
    pub(super) name: &'static str,
    /// What `install.sh` calls it; several versions may come by one name.
    pub(super) install: &'static str,
    /// What its program calls itself in its lines.
    pub(super) language: &'static str,
    pub(super) version: &'static str,
    /// What it has to show in the scenario of that name; nothing, and it has no part in it.
    pub(super) steps: &'static [&'static str],
    pub(super) failover: &'static [&'static str],
    pub(super) stop: &'static [&'static str],
    pub(super) skew: &'static [&'static str],
    pub(super) tls: &'static [&'static str],
    /// Whether it has a part in the scenario of all clients on one service.
    pub(super) mixed: bool,
    /// Whether it applies an empty list, unless told otherwise. Node and Go never do, Python 2 and 3 and Rust neither.
    pub(super) takes_empty: bool,
    /// The command that runs its program, told the folder of all programs.
    pub(super) command: fn(&Path, &Client) -> Command,
}

impl Client {
    pub(super) fn label(&self) -> String {
        format!("{}-{}", self.language, self.version)
    }

    pub(super) fn cache(folder: &Path) -> PathBuf {
        folder.join(".cache")
    }
}

/// Every client, those of 1.x first.
pub(super) fn clients() -> impl Iterator<Item = &'static Client> {
    let every = [
        v1::CLIENTS,
        go2::CLIENTS,
        python::CLIENTS,
        rust::CLIENTS,
        java2::CLIENTS,
        spring::CLIENTS,
    ];
    every.into_iter().flatten()
}

/// What a client of gRPC shows of everything it can do.
const GRPC: &[&str] = &[
    "register",
    "list",
    "select_instances",
    "select_clusters",
    "subscribe_event",
    "subscribe_before_service",
    "push_times",
    "large_list",
    "update_seen",
    "service_list",
    "batch_register",
    "batch_deregister",
    "persistent_register",
    "persistent_deregister",
    "unsubscribe",
    "deregister",
    "stays_alive",
    "killed_client_removed",
];

/// A node killed under it.
const GRPC_FAILOVER: &[&str] = &[
    "failover_moves",
    "failover_register",
    "failover_event",
    "failover_list",
    "failover_stays_listed",
    "failover_settled",
    "failover_restarted_node",
];

/// A node told to stop under it.
const GRPC_STOP: &[&str] = &[
    "stop_moves",
    "stop_register",
    "stop_event",
    "stop_list",
    "stop_stays_listed",
    "stop_settled",
    "stop_restarted_node",
];

/// Nodes whose clocks stand apart.
const GRPC_SKEW: &[&str] = &[
    "skew_ahead",
    "skew_behind",
    "skew_moves",
    "skew_moved_at_once",
    "skew_moved",
    "skew_moved_publisher",
    "skew_returned",
];
