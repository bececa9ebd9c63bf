//! Settings, and why a start fails.

use muster_model::Member;
use std::path::PathBuf;
use std::time::Duration;

/// When the log tells the disk to keep what it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sync {
    /// Before anything is acknowledged.
    #[default]
    Always,
    /// Never by us; for benchmarks beside peers that do not sync either. Said loudly in log and metrics.
    Never,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// This member and its addresses.
    pub local: Member,
    /// The voters that the cluster starts with, this one included; the same on every member. Not used once initialized. A
    /// member that is not among them waits to be added.
    pub founders: Vec<Member>,
    pub sync: Sync,
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
    /// Entries after which a snapshot is written and the log before it may go.
    pub snapshot_every_entries: u64,
    /// Proposals waiting at this member; more are refused with [`crate::ProposeError::Overloaded`].
    pub proposals_waiting_max: usize,
}

impl Config {
    /// The usual settings. 100/500/1000 ms: a new leader in 1.5 to 1.8 s, and a JVM-sized neighbour on the same machine does not
    /// unseat one. 200,000 entries: some 20 s of writes at 10,000 a second, so that snapshots stay rare.
    pub fn new(data_dir: PathBuf, local: Member, founders: Vec<Member>) -> Self {
        Self {
            data_dir,
            local,
            founders,
            sync: Sync::Always,
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(1000),
            snapshot_every_entries: 200_000,
            proposals_waiting_max: 10_000,
        }
    }

    /// A hash of who founds, so that two lists are not taken for one. Addresses may differ: they are seen from different
    /// places.
    pub(crate) fn founders_hash(&self) -> u64 {
        let mut ids: Vec<u64> = self.founders.iter().map(|member| member.id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        // FNV-1a: the same on every member, whatever it was built with.
        ids.iter()
            .flat_map(|id| id.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
    }

    pub(crate) fn raft(&self) -> Result<openraft::Config, StartError> {
        let keep = (self.snapshot_every_entries / 4).min(50_000);
        let config = openraft::Config {
            cluster_name: "muster".into(),
            heartbeat_interval: self.heartbeat.as_millis() as u64,
            election_timeout_min: self.election_min.as_millis() as u64,
            election_timeout_max: self.election_max.as_millis() as u64,
            install_snapshot_timeout: crate::network::INSTALL_WITHIN.as_millis() as u64,
            // Bytes are bounded by the log store; this bounds the bookkeeping.
            max_payload_entries: 1024,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every_entries),
            // For a member that restarts: entries instead of a whole snapshot.
            max_in_snapshot_log_to_keep: keep,
            replication_lag_threshold: self.snapshot_every_entries + keep + 1_000,
            enable_pre_vote: Some(true),
            ..openraft::Config::default()
        };
        config
            .validate()
            .map_err(|error| StartError::Refused(error.to_string()))
    }
}

/// Why this member did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Refused(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}
