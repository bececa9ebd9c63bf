//! What is told of a connection.

use muster_model::ConnectionId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A connection as listed.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    pub id: ConnectionId,
    /// As clients are told it: `<millis>_<ip>_<port>`.
    pub name: String,
    pub peer: SocketAddr,
    /// What the client says its own address is.
    pub client_ip: String,
    pub version: String,
    pub app: String,
    pub labels: BTreeMap<String, String>,
    pub since_ms: u64,
    pub last_active_ms: u64,
}
