//! The Java clients of 2.x and 3.x, which talk gRPC: one program, three class paths.

use std::path::Path;
use std::process::Command;

use super::Client;

const V2_0: &[&str] = &[
    "subscribe_before_it_exists",
    "get_all_instances",
    "subscribe_when_it_exists",
    "update_seen",
    "push_times",
    "frozen_client_removed",
    "frozen_client_returns",
    "killed_client_removed",
    "persistent_register",
    "persistent_deregister",
    "large_list",
    "select_instances",
    "select_one_healthy",
    "clusters",
    "unsubscribe",
    "namespace",
    "credentials",
    "server_status",
    "services_of_server",
    "deregister_last",
];

const V2_4: &[&str] = &[
    "subscribe_before_it_exists",
    "get_all_instances",
    "subscribe_when_it_exists",
    "update_seen",
    "push_times",
    "frozen_client_removed",
    "frozen_client_returns",
    "killed_client_removed",
    "persistent_register",
    "persistent_deregister",
    "batch_register",
    "batch_deregister",
    "large_list",
    "select_instances",
    "select_one_healthy",
    "clusters",
    "unsubscribe",
    "namespace",
    "credentials",
    "server_status",
    "services_of_server",
    "deregister_last",
];

const V3: &[&str] = &[
    "subscribe_before_it_exists",
    "get_all_instances",
    "subscribe_when_it_exists",
    "update_seen",
    "push_times",
    "frozen_client_removed",
    "frozen_client_returns",
    "killed_client_removed",
    "persistent_register",
    "persistent_deregister",
    "batch_register",
    "batch_deregister",
    "large_list",
    "fuzzy_watch_init",
    "fuzzy_watch_add",
    "fuzzy_watch_delete",
    "fuzzy_watch_cancel",
    "maintainer_register",
    "maintainer_list",
    "maintainer_update",
    "maintainer_deregister",
    "maintainer_service",
    "select_instances",
    "select_one_healthy",
    "clusters",
    "unsubscribe",
    "namespace",
    "credentials",
    "server_status",
    "services_of_server",
    "deregister_last",
];

const FAILOVER: &[&str] = &[
    "failover_stays_listed",
    "failover_moves",
    "failover_event",
    "failover_register",
    "failover_persistent_register",
    "failover_lost_client_removed",
    "failover_restarted_node",
];

const FAILOVER_3: &[&str] = &[
    "failover_stays_listed",
    "failover_moves",
    "failover_event",
    "failover_register",
    "failover_persistent_register",
    "failover_fuzzy_watch",
    "failover_lost_client_removed",
    "failover_restarted_node",
];

const STOP: &[&str] = &[
    "stop_stays_listed",
    "stop_moves",
    "stop_event",
    "stop_register",
    "stop_persistent_register",
    "stop_lost_client_removed",
    "stop_restarted_node",
];

const STOP_3: &[&str] = &[
    "stop_stays_listed",
    "stop_moves",
    "stop_event",
    "stop_register",
    "stop_persistent_register",
    "stop_fuzzy_watch",
    "stop_lost_client_removed",
    "stop_restarted_node",
];

const TLS: &[&str] = &["tls_register", "tls_list", "tls_push", "tls_refuses_unknown_ca"];

const SKEW: &[&str] = &[
    "skew_ahead",
    "skew_behind",
    "skew_moves",
    "skew_moved",
    "skew_moved_publisher",
    "skew_returned",
];

const JAVA_2_0: Client = Client {
    name: "java-2.0",
    install: "java2",
    language: "java",
    version: "2.0.4",
    steps: V2_0,
    failover: FAILOVER,
    stop: STOP,
    skew: SKEW,
    // It knows nothing of TLS.
    tls: &[],
    mixed: true,
    takes_empty: true,
    command,
};

const JAVA_2_4: Client = Client {
    name: "java-2.4",
    install: "java2",
    language: "java",
    version: "2.4.3",
    steps: V2_4,
    failover: FAILOVER,
    stop: STOP,
    skew: SKEW,
    tls: TLS,
    mixed: true,
    takes_empty: true,
    command,
};

const JAVA_3: Client = Client {
    name: "java-3",
    install: "java2",
    language: "java",
    version: "3.2.1-2026.03.30",
    steps: V3,
    failover: FAILOVER_3,
    stop: STOP_3,
    skew: SKEW,
    tls: TLS,
    mixed: true,
    takes_empty: true,
    command,
};

pub(super) const CLIENTS: &[Client] = &[JAVA_2_0, JAVA_2_4, JAVA_3];

/// One class path a version; all versions of 3.x that are ever pinned share the third.
fn command(folder: &Path, client: &Client) -> Command {
    let version = client.version;
    let cache = folder.join(".cache");
    let path = if version.starts_with("3.") { "3" } else { version };
    let mut command = Command::new("java");
    // Short lives on two cores: the second compiler and a collector with threads of its own would cost more than they give.
    command
        .args(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!(
            "{0}/java2/{path}/classes:{0}/java2/{path}/lib/*",
            cache.display()
        ))
        .arg("Client");
    // The client keeps its disk cache and logs under the user's home.
    command.env(
        "JAVA_TOOL_OPTIONS",
        format!(
            "-Duser.home={}",
            cache.join("logs").join(format!("java2-{path}-home")).display()
        ),
    );
    command
}
