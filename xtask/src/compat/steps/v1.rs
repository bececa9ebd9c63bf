//! Clients of 1.x: HTTP, and UDP pushes.

use super::Client;
use std::path::Path;
use std::process::Command;

const NODE: &[&str] = &[
    "register",
    "get_all_instances",
    "select_instances",
    "subscribe_event",
    "push_times",
    "update_seen",
    "server_status",
    "services_of_server",
    "deregister",
    "deregister_in_group",
    "stays_alive",
    "killed_client_unhealthy",
    "killed_client_removed",
];

const JAVA: &[&str] = &[
    "register",
    "get_all_instances",
    "subscribe_event",
    "push_times",
    "select_one_healthy",
    "server_status",
    "services_of_server",
    "update_instance",
    "create_service",
    "query_service",
    "update_service",
    "delete_service",
    "persistent_register",
    "persistent_deregister",
    "deregister",
    "light_beats",
    "light_beat_registers_again",
    "killed_client_unhealthy",
    "killed_client_removed",
];

const PYTHON: &[&str] = &[
    "add_instance",
    "list_instance",
    "get_instance",
    "send_heartbeat",
    "subscribe_event",
    "modify_instance",
    "poll_times",
    "remove_instance",
    "cluster_none",
    "stays_alive",
    "killed_client_unhealthy",
    "killed_client_removed",
];

const GO: &[&str] = &[
    "register",
    "list",
    "select_instances",
    "select_one_healthy",
    "subscribe_event",
    "push_times",
    "update_seen",
    "services_of_server",
    "persistent_register",
    "persistent_deregister",
    "deregister",
    "large_list",
    "stays_alive",
    "killed_client_unhealthy",
    "killed_client_removed",
];

const FAILOVER: &[&str] = &[
    "failover_register",
    "failover_list",
    "failover_event",
    "failover_stays_listed",
    "failover_restarted_node",
];

const FAILOVER_JAVA: &[&str] = &[
    "failover_register",
    "failover_list",
    "failover_event",
    "failover_persistent_register",
    "failover_stays_listed",
    "failover_restarted_node",
];

const TLS: &[&str] = &["tls_register", "tls_list", "tls_push"];

const TLS_NODE: &[&str] = &["tls_register", "tls_list", "tls_push", "tls_refuses_unknown_ca"];

const fn client(
    name: &'static str,
    language: &'static str,
    version: &'static str,
    steps: &'static [&'static str],
    failover: &'static [&'static str],
    takes_empty: bool,
) -> Client {
    Client {
        name,
        install: name,
        language,
        version,
        steps,
        failover,
        stop: &[],
        skew: &[],
        tls: &[],
        mixed: true,
        takes_empty,
        command,
    }
}

pub(super) const CLIENTS: &[Client] = &[
    Client {
        tls: TLS_NODE,
        ..client("node", "node", "2.6.3", NODE, FAILOVER, false)
    },
    client("node", "node", "2.6.0", NODE, FAILOVER, false),
    Client {
        tls: TLS,
        ..client("java", "java", "1.4.8", JAVA, FAILOVER_JAVA, true)
    },
    client("python", "python", "0.1.17", PYTHON, FAILOVER, true),
    client("python-1.0", "python", "1.0.0", PYTHON, FAILOVER, true),
    client("go", "go", "1.1.6", GO, FAILOVER, false),
];

fn command(folder: &Path, client: &Client) -> Command {
    let cache = Client::cache(folder);
    match client.name {
        "node" => {
            let mut command = Command::new("node");
            command
                .arg(folder.join("node/client.js"))
                .env("COMPAT_MODULES", cache.join("node"));
            command
        }
        "java" => {
            let mut command = Command::new("java");
            command.arg("-Xmx256m").arg("-cp");
            command
                .arg(format!("{0}/java/classes:{0}/java/lib/*", cache.display()))
                .arg("Client");
            // The client keeps its disk cache and logs under the user's home.
            command.env(
                "JAVA_TOOL_OPTIONS",
                format!("-Duser.home={}", cache.join("logs/java-home").display()),
            );
            command
        }
        "python" | "python-1.0" => {
            let venv = if client.name == "python" {
                "python-0.1"
            } else {
                "python-1.0"
            };
            let mut command = Command::new(cache.join(venv).join("bin/python"));
            command
                .arg(folder.join("python/client.py"))
                .env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
        _ => Command::new(cache.join("go-client")),
    }
}
