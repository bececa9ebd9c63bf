//! The cores of three nodes in one process, without client doors, on a network in memory.

use muster_model::{GroupName, Host, Instance, InstanceKey, Kind, NamespaceId, Principal, ServiceKey, ServiceName};
use muster_naming::Context;
use muster_push::{Delivery, Handed, Sink};
use muster_server::settings::Settings;
use std::path::Path;
use std::time::Duration;

/// Nobody subscribes here.
pub(crate) struct NoClients;

impl Sink for NoClients {
    fn deliver(&self, _: &Delivery) -> Handed {
        Handed::Unreachable
    }
}

pub(crate) fn settings(id: u64, folder: &Path) -> Settings {
    Settings {
        id,
        data_dir: folder.join(id.to_string()),
        members: "1@10.0.0.1:8848,2@10.0.0.2:8848,3@10.0.0.3:8848".parse().unwrap(),
        ..Settings::default()
    }
}

pub(crate) fn service(name: &str) -> ServiceKey {
    let name = ServiceName::parse(name).unwrap();
    ServiceKey::new(NamespaceId::public(), GroupName::default_group(), name)
}

pub(crate) fn instance(port: u16, kind: Kind) -> Instance {
    Instance::new(InstanceKey::new(Host::parse("10.1.0.1").unwrap(), port), kind)
}

/// Of a call that is made now and may take so long.
pub(crate) fn context(within: Duration) -> Context {
    let now = tokio::time::Instant::now().into_std();
    Context {
        principal: Principal::Anonymous,
        received: now,
        deadline: now + within,
    }
}
