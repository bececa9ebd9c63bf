//! What the services and instances of the simulation are called.

use muster_model::{GroupName, Host, Instance, InstanceKey, Kind, Metadata, NamespaceId, ServiceKey, ServiceName};

/// One of the few services that everybody uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    Ephemeral(u16),
    Persistent(u16),
}

impl Service {
    pub fn key(self) -> ServiceKey {
        let name = match self {
            Service::Ephemeral(number) => format!("e{number}"),
            Service::Persistent(number) => format!("p{number}"),
        };
        let name = ServiceName::parse(&name).expect("a plain name");
        ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name)
    }

    pub fn kind(self) -> Kind {
        match self {
            Service::Ephemeral(_) => Kind::Ephemeral,
            Service::Persistent(_) => Kind::Persistent,
        }
    }

    pub fn number(self) -> u64 {
        match self {
            Service::Ephemeral(number) => u64::from(number),
            Service::Persistent(number) => 1_000 + u64::from(number),
        }
    }
}

/// One instance of one service; all are on one host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub service: Service,
    pub port: u16,
}

impl Key {
    pub fn instance_key(self) -> InstanceKey {
        InstanceKey::new(Host::parse("10.9.9.9").expect("an address"), self.port)
    }

    /// The instance with `value` in its metadata.
    pub fn instance(self, value: u64) -> Instance {
        let mut instance = Instance::new(self.instance_key(), self.service.kind());
        instance.metadata = value_metadata(value);
        instance
    }

    pub fn numbers(self) -> [u64; 2] {
        [self.service.number(), u64::from(self.port)]
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (letter, number) = match self.service {
            Service::Ephemeral(number) => ('e', number),
            Service::Persistent(number) => ('p', number),
        };
        write!(f, "{letter}{number}:{}", self.port)
    }
}

pub fn value_metadata(value: u64) -> Metadata {
    [("v".to_owned(), value.to_string())].into_iter().collect()
}

/// What [`Key::instance`] put there.
pub fn value_of(instance: &Instance) -> u64 {
    instance.metadata.get("v").and_then(|v| v.parse().ok()).unwrap_or(0)
}
