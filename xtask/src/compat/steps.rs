//! The clients, and the steps that each has to show. A step that is not in here is not asked for, so it cannot be missed.

use std::path::Path;
use std::process::Command;

pub(super) struct Client {
    /// What the command calls it; also the name that `install.sh` knows.
    pub(super) name: &'static str,
    /// What its program calls itself in its lines.
    pub(super) language: &'static str,
    pub(super) version: &'static str,
    pub(super) steps: &'static [&'static str],
    pub(super) failover: &'static [&'static str],
    /// Whether it applies an empty list. Node never does, Go keeps what it has unless told otherwise.
    pub(super) takes_empty: bool,
}

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

pub(super) const CLIENTS: &[Client] = &[
    Client {
        name: "node",
        language: "node",
        version: "2.6.3",
        steps: NODE,
        failover: FAILOVER,
        takes_empty: false,
    },
    Client {
        name: "node",
        language: "node",
        version: "2.6.0",
        steps: NODE,
        failover: FAILOVER,
        takes_empty: false,
    },
    Client {
        name: "java",
        language: "java",
        version: "1.4.8",
        steps: JAVA,
        failover: FAILOVER_JAVA,
        takes_empty: true,
    },
    Client {
        name: "python",
        language: "python",
        version: "0.1.17",
        steps: PYTHON,
        failover: FAILOVER,
        takes_empty: true,
    },
    Client {
        name: "python-1.0",
        language: "python",
        version: "1.0.0",
        steps: PYTHON,
        failover: FAILOVER,
        takes_empty: true,
    },
    Client {
        name: "go",
        language: "go",
        version: "1.1.6",
        steps: GO,
        failover: FAILOVER,
        takes_empty: false,
    },
];

impl Client {
    pub(super) fn label(&self) -> String {
        format!("{}-{}", self.language, self.version)
    }

    /// The command that runs this client's program.
    pub(super) fn command(&self, folder: &Path) -> Command {
        let cache = folder.join(".cache");
        match self.name {
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
                let venv = if self.name == "python" {
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
}
