//! Python 2.x and 3.x, one program for both.

use super::{Client, GRPC, GRPC_FAILOVER, GRPC_SKEW, GRPC_STOP};
use std::path::Path;
use std::process::Command;

const TLS: &[&str] = &[
    "tls_register",
    "tls_list",
    "tls_push",
    "tls_refuses_unknown_ca",
    "tls_mutual",
];

const fn client(name: &'static str, version: &'static str) -> Client {
    Client {
        name,
        install: name,
        language: "python",
        version,
        steps: GRPC,
        failover: GRPC_FAILOVER,
        stop: GRPC_STOP,
        skew: GRPC_SKEW,
        tls: TLS,
        mixed: true,
        takes_empty: false,
        command,
    }
}

pub(super) const CLIENTS: &[Client] = &[client("python-2", "2.0.11"), client("python-3", "3.2.0")];

fn command(folder: &Path, client: &Client) -> Command {
    let mut command = Command::new(Client::cache(folder).join(client.install).join("bin/python"));
    command
        .arg(folder.join("python2/client.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
