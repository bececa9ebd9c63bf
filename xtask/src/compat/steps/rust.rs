//! Rust. It takes TLS by a feature of its crate, so a second build speaks it, which
//! the program starts itself.

use super::{Client, GRPC, GRPC_FAILOVER, GRPC_SKEW, GRPC_STOP};
use std::process::Command;

const TLS: &[&str] = &[
    "tls_register",
    "tls_list",
    "tls_push",
    "tls_refuses_unknown_ca",
    "tls_mutual_refuses",
];

pub(super) const CLIENTS: &[Client] = &[Client {
    name: "rust",
    install: "rust",
    language: "rust",
    version: "0.8.3",
    steps: GRPC,
    failover: GRPC_FAILOVER,
    stop: GRPC_STOP,
    skew: GRPC_SKEW,
    tls: TLS,
    mixed: true,
    takes_empty: false,
    command: |folder, _| Command::new(Client::cache(folder).join("rust-client")),
}];
