//! An instance: one address serving a service.

use crate::names::is_never_in_a_name;
use crate::{BeatTimings, ClusterName, Metadata, NameError, NameField, NameProblem};
use std::fmt;
use std::sync::Arc;

/// Lives by a lease, or until it is deregistered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Ephemeral,
    Persistent,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Ephemeral => "ephemeral",
            Kind::Persistent => "persistent",
        })
    }
}

/// The address part without the port: an IPv4 or IPv6 text (bare or bracketed) or a host name, as the client wrote it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    const CHARS_MAX: usize = 128;

    /// Parses a host: at most 128 characters, no white space, no CJK, no `#` (it parts the fields of an instance id).
    ///
    /// # Errors
    /// [`NameError`] with [`NameField::Host`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let problem = if text.is_empty() {
            NameProblem::Empty
        } else if text.chars().count() > Self::CHARS_MAX {
            NameProblem::TooLong {
                chars_max: Self::CHARS_MAX,
            }
        } else if text.chars().any(|c| is_never_in_a_name(c) || c == '#') {
            NameProblem::IllegalCharacter
        } else {
            return Ok(Self(Arc::from(text)));
        };
        Err(NameError {
            field: NameField::Host,
            problem,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Names an instance within one service and kind. The cluster is not part of it: Python's SDK registers in one cluster
/// and beats in another (reference T-3), and Nacos 2 keys by address alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    pub host: Host,
    pub port: u16,
}

impl InstanceKey {
    pub fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A publisher as the servers see it. For clients that speak HTTP it is the address of what they publish.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// The client behind an instance that was registered over HTTP.
    pub fn of_address(key: &InstanceKey) -> Self {
        Self(Arc::from(key.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How often an instance is chosen against its siblings; 0 is listed and never chosen.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Weight(f64);

/// The weight is not a number from 0 to 10000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the weights range from 0.0 to 10000.0")]
pub struct WeightError;

impl Weight {
    /// Checks a weight. `NaN` is refused; Nacos lets it slip through.
    ///
    /// # Errors
    /// [`WeightError`] outside 0 to 10000.
    pub fn new(value: f64) -> Result<Self, WeightError> {
        if (0.0..=10_000.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(WeightError)
        }
    }

    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1.0)
    }
}

/// One address serving a service.
#[derive(Clone, PartialEq, Debug)]
pub struct Instance {
    pub key: InstanceKey,
    pub kind: Kind,
    pub cluster: ClusterName,
    pub weight: Weight,
    /// What an operator or the client itself said; a disabled instance is never listed to clients.
    pub enabled: bool,
    /// What beats and probes found.
    pub healthy: bool,
    pub metadata: Metadata,
}

impl Instance {
    /// An enabled, healthy instance of weight 1 in the default cluster.
    pub fn new(key: InstanceKey, kind: Kind) -> Self {
        Self {
            key,
            kind,
            cluster: ClusterName::default_cluster(),
            weight: Weight::default(),
            enabled: true,
            healthy: true,
            metadata: Metadata::default(),
        }
    }

    /// The lease times the instance asks for; the defaults where its metadata contradicts itself (a registration that
    /// does so is refused at the door, so that only concerns records from elsewhere).
    pub fn timings(&self) -> BeatTimings {
        BeatTimings::from_metadata(&self.metadata).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_refuses_nan_negative_and_above_ten_thousand() {
        for wrong in [f64::NAN, -0.1, 10_000.1, f64::INFINITY] {
            assert_eq!(Weight::new(wrong), Err(WeightError), "{wrong}");
        }
        assert_eq!(Weight::new(0.0).unwrap().get(), 0.0);
    }

    #[test]
    fn hosts_may_be_names_or_bracketed_ipv6() {
        assert!(Host::parse("[::1]").is_ok());
        assert!(Host::parse("db-1.internal").is_ok());
        assert!(Host::parse("a b").is_err());
        assert!(Host::parse("a#b").is_err());
    }

    #[test]
    fn timings_that_contradict_themselves_fall_back_to_the_defaults() {
        let mut instance = Instance::new(InstanceKey::new(Host::parse("h").unwrap(), 1), Kind::Ephemeral);
        instance.metadata = [("preserved.heart.beat.timeout".to_owned(), "1".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(instance.timings(), BeatTimings::default());
    }
}
