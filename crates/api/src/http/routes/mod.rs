//! The tables of all calls, Nacos's by generation and our own: routing goes by them, and so does the description of the
//! interface.

pub(super) mod own;
mod v1;
mod v2;
mod v3;

use super::endpoint::Endpoint;

/// All of Nacos's.
pub(super) fn all() -> impl Iterator<Item = &'static Endpoint> {
    [
        v1::NAMING,
        v1::OTHERS,
        v2::NAMING,
        v2::OTHERS,
        v3::CLIENT,
        v3::NAMING,
        v3::CORE,
    ]
    .into_iter()
    .flatten()
}

/// Our own that stand below the prefix, health and metrics aside.
pub(super) fn admin() -> impl Iterator<Item = &'static Endpoint> {
    own::ADMIN.iter().map(|call| &call.endpoint)
}

/// Health and metrics, at the root.
pub(super) fn probes() -> impl Iterator<Item = &'static Endpoint> {
    own::PROBES.iter().map(|call| &call.endpoint)
}

/// Why a call is never answered.
const LOG_LEVEL: &str = "the log level is set where the node is started, not by HTTP";
const MEMBERS: &str = "members are added and removed at /v3/admin/muster/cluster/members";
const LOOKUP: &str = "members are found by the configuration and by Raft: there is no other lookup to change to";
const RAFT: &str = "Raft is commanded at /v3/admin/muster/cluster: transfer-leader, members";
const IDS: &str = "there are no id generators";
const LOADER: &str = "connections are not moved by HTTP: a node that stops sends its clients elsewhere";
const NAMESPACES: &str = "namespaces are not kept: one begins with its first service and ends with its last";
const RESPONSIBLE: &str = "every node answers for every client: none is responsible for an address";
