//! Go 2.x.

use super::{Client, GRPC, GRPC_FAILOVER, GRPC_SKEW, GRPC_STOP, GRPC_TLS};
use std::process::Command;

pub(super) const CLIENTS: &[Client] = &[Client {
    name: "go2",
    install: "go2",
    language: "go",
    version: "2.3.5",
    steps: GRPC,
    failover: GRPC_FAILOVER,
    stop: GRPC_STOP,
    skew: GRPC_SKEW,
    tls: GRPC_TLS,
    mixed: true,
    takes_empty: false,
    command: |folder, _| Command::new(Client::cache(folder).join("go2-client")),
}];
