//! Services and instances as they are stored: in commands on the log, in snapshots and in checkpoints.
//!
//! Tags are for ever. A field may be added where leaving it out means what it meant before.

use muster_model::{
    ClusterName, ClusterSettings, GroupName, HealthChecker, Host, Instance, InstanceKey, Kind, Metadata, NamespaceId,
    ServiceKey, ServiceName, ServiceSettings, Weight,
};
use prost::Message;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Stored bytes that do not hold what they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn of(what: &str, why: impl Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

type Pairs = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServiceKeyRecord {
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    #[prost(string, tag = "2")]
    pub(crate) group: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InstanceKeyRecord {
    #[prost(string, tag = "1")]
    pub(crate) host: String,
    #[prost(uint32, tag = "2")]
    pub(crate) port: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InstanceRecord {
    #[prost(string, tag = "1")]
    pub(crate) host: String,
    #[prost(uint32, tag = "2")]
    pub(crate) port: u32,
    #[prost(string, tag = "3")]
    pub(crate) cluster: String,
    #[prost(double, tag = "4")]
    pub(crate) weight: f64,
    #[prost(bool, tag = "5")]
    pub(crate) enabled: bool,
    #[prost(bool, tag = "6")]
    pub(crate) healthy: bool,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(crate) metadata: Pairs,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClusterRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// 0 TCP, 1 HTTP, 2 none.
    #[prost(uint32, tag = "2")]
    pub(crate) checker: u32,
    #[prost(string, tag = "3")]
    pub(crate) http_path: String,
    #[prost(string, tag = "4")]
    pub(crate) http_headers: String,
    #[prost(uint32, tag = "5")]
    pub(crate) http_expected_code: u32,
    #[prost(uint32, tag = "6")]
    pub(crate) check_port: u32,
    #[prost(bool, tag = "7")]
    pub(crate) use_instance_port: bool,
    #[prost(btree_map = "string, string", tag = "8")]
    pub(crate) metadata: Pairs,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SettingsRecord {
    #[prost(float, tag = "1")]
    pub(crate) protect_threshold: f32,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(crate) metadata: Pairs,
    /// Sorted by name.
    #[prost(message, repeated, tag = "3")]
    pub(crate) clusters: Vec<ClusterRecord>,
}

/// A service without its instances.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServiceRecord {
    #[prost(bool, tag = "1")]
    pub(crate) created: bool,
    #[prost(message, optional, tag = "2")]
    pub(crate) settings: Option<SettingsRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SwitchesRecord {
    #[prost(btree_map = "string, string", tag = "1")]
    pub(crate) values: Pairs,
}

pub(crate) fn pairs(metadata: &Metadata) -> Pairs {
    metadata.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

pub(crate) fn metadata(pairs: Pairs) -> Metadata {
    pairs.into_iter().collect()
}

fn short(what: &str, number: u32) -> Result<u16, Malformed> {
    u16::try_from(number).map_err(|_| Malformed(format!("{what} {number} is above 65535")))
}

/// A part of a message that this version never leaves out.
pub(crate) fn present<T>(part: Option<T>, what: &str) -> Result<T, Malformed> {
    part.ok_or_else(|| Malformed(format!("no {what}")))
}

impl From<&ServiceKey> for ServiceKeyRecord {
    fn from(key: &ServiceKey) -> Self {
        Self {
            namespace: key.namespace().as_str().to_owned(),
            group: key.group().as_str().to_owned(),
            name: key.name().as_str().to_owned(),
        }
    }
}

impl TryFrom<ServiceKeyRecord> for ServiceKey {
    type Error = Malformed;

    fn try_from(record: ServiceKeyRecord) -> Result<Self, Malformed> {
        let wrong = |error| Malformed::of("service key", error);
        Ok(ServiceKey::new(
            NamespaceId::parse(&record.namespace).map_err(wrong)?,
            GroupName::parse(&record.group).map_err(wrong)?,
            ServiceName::parse(&record.name).map_err(wrong)?,
        ))
    }
}

impl From<&InstanceKey> for InstanceKeyRecord {
    fn from(key: &InstanceKey) -> Self {
        Self {
            host: key.host.as_str().to_owned(),
            port: key.port.into(),
        }
    }
}

impl TryFrom<InstanceKeyRecord> for InstanceKey {
    type Error = Malformed;

    fn try_from(record: InstanceKeyRecord) -> Result<Self, Malformed> {
        let host = Host::parse(&record.host).map_err(|error| Malformed::of("instance key", error))?;
        Ok(InstanceKey::new(host, short("port", record.port)?))
    }
}

impl From<&Instance> for InstanceRecord {
    fn from(instance: &Instance) -> Self {
        Self {
            host: instance.key.host.as_str().to_owned(),
            port: instance.key.port.into(),
            cluster: instance.cluster.as_str().to_owned(),
            weight: instance.weight.get(),
            enabled: instance.enabled,
            healthy: instance.healthy,
            metadata: pairs(&instance.metadata),
        }
    }
}

impl TryFrom<InstanceRecord> for Instance {
    type Error = Malformed;

    fn try_from(record: InstanceRecord) -> Result<Self, Malformed> {
        let wrong = |error| Malformed::of("instance", error);
        Ok(Instance {
            key: InstanceKey::new(Host::parse(&record.host).map_err(wrong)?, short("port", record.port)?),
            kind: Kind::Persistent,
            cluster: ClusterName::parse(&record.cluster).map_err(wrong)?,
            weight: Weight::new(record.weight).map_err(|error| Malformed::of("instance", error))?,
            enabled: record.enabled,
            healthy: record.healthy,
            metadata: metadata(record.metadata),
        })
    }
}

impl From<(&ClusterName, &ClusterSettings)> for ClusterRecord {
    fn from((name, settings): (&ClusterName, &ClusterSettings)) -> Self {
        let mut record = Self {
            name: name.as_str().to_owned(),
            check_port: settings.check_port.into(),
            use_instance_port: settings.use_instance_port,
            metadata: pairs(&settings.metadata),
            ..Self::default()
        };
        match &settings.checker {
            HealthChecker::Tcp => record.checker = 0,
            HealthChecker::Http {
                path,
                headers,
                expected_code,
            } => {
                record.checker = 1;
                record.http_path = path.clone();
                record.http_headers = headers.clone();
                record.http_expected_code = (*expected_code).into();
            }
            HealthChecker::None => record.checker = 2,
        }
        record
    }
}

impl TryFrom<ClusterRecord> for (ClusterName, ClusterSettings) {
    type Error = Malformed;

    fn try_from(record: ClusterRecord) -> Result<Self, Malformed> {
        let checker = match record.checker {
            0 => HealthChecker::Tcp,
            1 => HealthChecker::Http {
                path: record.http_path,
                headers: record.http_headers,
                expected_code: short("expected code", record.http_expected_code)?,
            },
            2 => HealthChecker::None,
            other => return Err(Malformed(format!("health checker {other} is not known"))),
        };
        let name = ClusterName::parse(&record.name).map_err(|error| Malformed::of("cluster", error))?;
        let settings = ClusterSettings {
            checker,
            check_port: short("check port", record.check_port)?,
            use_instance_port: record.use_instance_port,
            metadata: metadata(record.metadata),
        };
        Ok((name, settings))
    }
}

impl From<&ServiceSettings> for SettingsRecord {
    fn from(settings: &ServiceSettings) -> Self {
        Self {
            protect_threshold: settings.protect_threshold,
            metadata: pairs(&settings.metadata),
            clusters: settings.clusters.iter().map(ClusterRecord::from).collect(),
        }
    }
}

impl TryFrom<SettingsRecord> for ServiceSettings {
    type Error = Malformed;

    fn try_from(record: SettingsRecord) -> Result<Self, Malformed> {
        Ok(ServiceSettings {
            protect_threshold: record.protect_threshold,
            metadata: metadata(record.metadata),
            clusters: record
                .clusters
                .into_iter()
                .map(TryFrom::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}
