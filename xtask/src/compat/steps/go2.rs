//! Go 2.x.

use super::{Client, GRPC, GRPC_FAILOVER, GRPC_SKEW, GRPC_STOP};
use std::process::Command;

const TLS: &[&str] = &[
    "tls_register",
    "tls_list",
    "tls_push",
    "tls_refuses_unknown_ca",
    "tls_mutual",
    "tls_mutual_refuses",
];

pub(super) const CLIENTS: &[Client] = &[Client {
    name: "go2",
    install: "go2",
    language: "go",
    version: "2.3.5",
    steps: GRPC,
    failover: GRPC_FAILOVER,
    stop: GRPC_STOP,
    skew: GRPC_SKEW,
    tls: TLS,
    mixed: true,
    takes_empty: false,
    command: |folder, _| Command::new(Client::cache(folder).join("go2-client")),
}];
