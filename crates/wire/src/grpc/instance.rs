//! An instance as clients send it.

use super::scalar::Scalar;
use crate::instance_form::parse_cluster;
use crate::loose::{Gather, gathered};
use crate::{Refusal, host_of};
use muster_model::{ClusterName, Host, Instance, InstanceKey, Kind, Metadata, Weight};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// Pairs that are read of metadata. The check allows 1,024 characters in all, so more pairs than that are too many.
const PAIRS_MAX: usize = 1_024;

/// Instances that are read of one batch: twice what one service is meant to hold on one node, and 10 MiB of `{}` are not
/// made into a gigabyte.
pub const BATCH_INSTANCES_MAX: usize = 20_000;

/// Where whoever names no address stands; nothing is registered there.
const NOWHERE: &str = "0.0.0.0";

/// What is read of an instance. Derived members (`instanceHeartBeatInterval`, …), the id and the service's name, which
/// clients leave empty or write as they like, are not looked at.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
pub(super) struct InstanceJson<'a> {
    ip: Scalar<'a>,
    port: Scalar<'a>,
    weight: Scalar<'a>,
    healthy: Scalar<'a>,
    enabled: Scalar<'a>,
    cluster_name: Scalar<'a>,
    metadata: Pairs,
}

impl InstanceJson<'_> {
    pub(super) fn instance(self, kind: Kind) -> Result<Instance, Refusal> {
        let host = host_of(&self.ip.nonblank().ok_or(Refusal::Required("ip"))?)?;
        let mut instance = Instance::new(InstanceKey::new(host, self.port()?), kind);
        if let Some(name) = self.cluster_name.nonblank() {
            instance.cluster = parse_cluster(&name)?;
        } else {
            instance.cluster = ClusterName::default_cluster();
        }
        if let Some(weight) = self.weight.number()? {
            instance.weight = Weight::new(weight).map_err(|_| Refusal::Weight)?;
        }
        instance.healthy = self.healthy.flag()?.unwrap_or(true);
        instance.enabled = self.enabled.flag()?.unwrap_or(true);
        instance.metadata = self.metadata.metadata()?;
        Ok(instance)
    }

    /// The address alone: what a deregistration needs. Go sends weight 0 and false flags with it.
    pub(super) fn key(&self) -> Result<InstanceKey, Refusal> {
        let host = host_of(self.ip.nonblank().as_deref().unwrap_or(NOWHERE))?;
        Ok(InstanceKey::new(host, self.port()?))
    }

    fn port(&self) -> Result<u16, Refusal> {
        u16::try_from(self.port.int()?.unwrap_or(0)).map_err(|_| Refusal::Port)
    }
}

/// The address of a deregistration that names none.
pub(super) fn nowhere() -> InstanceKey {
    InstanceKey::new(Host::parse(NOWHERE).expect("an address is a host"), 0)
}

/// Metadata; `null` values are left out, as in forms.
#[derive(Debug, Default)]
struct Pairs {
    kept: Vec<(String, String)>,
    /// There were more than are kept.
    more: bool,
}

impl Pairs {
    fn metadata(self) -> Result<Metadata, Refusal> {
        if self.more {
            return Err(Refusal::TooLong {
                name: "Metadata",
                chars_max: 1_024,
            });
        }
        Ok(self.kept.into_iter().collect())
    }
}

impl Gather for Pairs {
    fn gather(&mut self, key: String, value: Option<String>) {
        let Some(value) = value else { return };
        self.more |= self.kept.len() == PAIRS_MAX;
        if !self.more {
            self.kept.push((key, value));
        }
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        gathered(deserializer)
    }
}

/// A batch; `None` where the member is absent or `null`.
#[derive(Debug, Default)]
pub(super) struct Batch<'a>(pub(super) Option<Vec<InstanceJson<'a>>>);

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Batch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {BATCH_INSTANCES_MAX} instances")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Batch<'de>, A::Error> {
                let mut kept = Vec::new();
                while let Some(item) = items.next_element()? {
                    if kept.len() == BATCH_INSTANCES_MAX {
                        return Err(A::Error::invalid_length(kept.len() + 1, &self));
                    }
                    kept.push(item);
                }
                Ok(Batch(Some(kept)))
            }

            fn visit_unit<E: Error>(self) -> Result<Batch<'de>, E> {
                Ok(Batch(None))
            }
        }
        deserializer.deserialize_any(Items)
    }
}
