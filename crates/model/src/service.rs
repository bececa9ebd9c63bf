//! What an operator may say about a service, apart from its instances.

use crate::{ClusterName, Metadata};
use std::collections::BTreeMap;

/// How persistent instances of a cluster are probed (Nacos `HealthChecker` types that we run).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HealthChecker {
    /// Connect to the port. Nacos's default.
    #[default]
    Tcp,
    /// `GET` the path; 200 alone is well. `headers` is `name:value` parted by `|`, as on Nacos's wire.
    Http {
        path: String,
        headers: String,
        expected_code: u16,
    },
    /// Nobody probes; the health is what a person said.
    None,
}

/// Settings of one cluster of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    pub checker: HealthChecker,
    /// Probed instead of the instance's own port where `use_instance_port` is false.
    pub check_port: u16,
    pub use_instance_port: bool,
    pub metadata: Metadata,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            checker: HealthChecker::Tcp,
            check_port: 80,
            use_instance_port: true,
            metadata: Metadata::default(),
        }
    }
}

/// Settings of a service. Replicated by Raft.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceSettings {
    /// Share of healthy instances at or below which all are listed as healthy; 0 to 1, 32-bit as on Nacos's wire.
    pub protect_threshold: f32,
    pub metadata: Metadata,
    pub clusters: BTreeMap<ClusterName, ClusterSettings>,
}

impl ServiceSettings {
    /// Whether so few of `total` instances are healthy that all are listed as healthy. `<=`: a service without one healthy
    /// instance is protected at the default threshold of zero, too.
    pub fn protects(&self, healthy: usize, total: usize) -> bool {
        total > 0 && healthy as f32 / total as f32 <= self.protect_threshold
    }
}
