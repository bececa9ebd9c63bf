//! What the operator's calls answer, as the server writes it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one node knows of the cluster.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct ClusterStatus {
    pub local: u64,
    pub version: String,
    pub standalone: bool,
    pub ready: bool,
    pub reasons: Vec<String>,
    pub role: String,
    pub term: u64,
    pub leader: Option<u64>,
    pub initialized: bool,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    pub quorum_silent_ms: Option<u64>,
    pub fatal: Option<String>,
    pub quorum: bool,
    pub epoch: u64,
    pub digest: String,
    pub services: u64,
    pub ephemeral_instances: u64,
    pub persistent_instances: u64,
    pub responsible_instances: u64,
    pub subscriptions: u64,
    pub members: Vec<MemberStatus>,
}

/// One member as that node sees it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct MemberStatus {
    pub id: u64,
    pub client_address: String,
    pub peer_address: String,
    pub role: String,
    pub voter: bool,
    pub alive: bool,
    pub ready: bool,
    pub last_seen_ms: Option<u64>,
    pub skew_ms: Option<i64>,
    pub matched_index: Option<u64>,
}

/// A page of services.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct ServicePage {
    pub namespace: String,
    pub total: u64,
    pub page: u64,
    pub page_size: u64,
    pub services: Vec<ServiceSummary>,
}

/// A service in a list.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct ServiceSummary {
    pub namespace: String,
    pub group: String,
    pub name: String,
    pub instances: u64,
    pub healthy: u64,
    pub enabled: u64,
    pub ephemeral: u64,
    pub persistent: u64,
}

/// A service with everything that is known of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct ServiceDetail {
    pub namespace: String,
    pub group: String,
    pub name: String,
    pub revision: u64,
    pub stamp_ms: u64,
    pub protect_threshold: f64,
    pub metadata: BTreeMap<String, String>,
    pub clusters: Vec<ClusterDetail>,
    pub instances: Vec<InstanceDetail>,
    pub subscribers: u64,
}

/// A cluster of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct ClusterDetail {
    pub name: String,
    pub checker: serde_json::Value,
    pub check_port: u16,
    pub use_instance_port: bool,
    pub metadata: BTreeMap<String, String>,
}

/// An instance, disabled ones too, with its true health.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct InstanceDetail {
    pub ip: String,
    pub port: u16,
    pub cluster: String,
    pub kind: String,
    pub weight: f64,
    pub enabled: bool,
    pub healthy: bool,
    pub metadata: BTreeMap<String, String>,
}

/// Whether a node serves clients.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of docs/admin-api.md")]
pub struct Readiness {
    pub ready: bool,
    pub has_leader: bool,
    pub reasons: Vec<String>,
}
