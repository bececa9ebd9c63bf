//! Clients as Nacos counts them: a connection is one, and so is each address that publishes or listens to datagrams.
//!
//! What this node knows, as in Nacos: its own connections and subscribers. Publishers by address are those of all instances
//! that no connection of this node holds; those that a connection of another node holds are among them.

use super::door::Call;
use super::failure::Failure;
use super::result::Code;
use crate::grpc::{ConnectionInfo, Connections};
use hyper::StatusCode;
use muster_model::{ConnectionId, Instance, InstanceKey, Kind, ServiceKey, ServiceSnapshot};
use muster_naming::ServiceFilter;
use muster_push::{Listed, Target};
use muster_wire::host_of;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// An address that publishes instances of a kind, or listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) key: InstanceKey,
    pub(super) kind: Kind,
}

impl Address {
    /// `IP:PORT#true` for ephemeral ones, `IP:PORT#false` for persistent ones.
    fn id(key: &impl std::fmt::Display, kind: Kind) -> String {
        format!("{key}#{}", kind == Kind::Ephemeral)
    }

    fn parse(id: &str) -> Option<Self> {
        let (address, ephemeral) = id.rsplit_once('#')?;
        let kind = match ephemeral {
            "true" => Kind::Ephemeral,
            "false" => Kind::Persistent,
            _ => return None,
        };
        let (host, port) = address.rsplit_once(':')?;
        let key = InstanceKey::new(host_of(host).ok()?, port.parse().ok()?);
        Some(Self { key, kind })
    }

    /// Its datagrams go here. Listeners count as ephemeral.
    fn listens(&self, listed: &Listed) -> bool {
        matches!(listed.key.target, Target::Udp(to) if self.kind == Kind::Ephemeral && to.to_string() == self.key.to_string())
    }
}

/// A client, as far as listings tell of it.
pub(super) enum Client {
    Connection(ConnectionInfo),
    Address {
        address: Address,
        /// When the newest of its lists was made; 0 for one that only listens.
        changed_ms: u64,
    },
}

/// Which members of a service are asked for.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub(super) ip: Option<&'a str>,
    pub(super) port: Option<i32>,
}

impl Wanted<'_> {
    fn includes(&self, ip: &str, port: u16) -> bool {
        self.ip.is_none_or(|wanted| wanted == ip) && self.port.is_none_or(|wanted| wanted == i32::from(port))
    }
}

fn connections(call: &Call<'_>) -> Vec<ConnectionInfo> {
    call.site.connections().map(Connections::list).unwrap_or_default()
}

/// Who holds what by a connection to this node.
fn held(call: &Call<'_>) -> HashMap<(ServiceKey, InstanceKey), String> {
    let mut held = HashMap::new();
    for connection in connections(call) {
        for (service, instances) in call.naming.published_by(connection.id) {
            for instance in instances {
                held.insert((service.clone(), instance.key.clone()), connection.name.clone());
            }
        }
    }
    held
}

fn all_services(call: &Call<'_>) -> impl Iterator<Item = Arc<ServiceSnapshot>> {
    call.naming.namespaces().into_iter().flat_map(|(namespace, _)| {
        let filter = ServiceFilter { namespace, group: None };
        let found = call.naming.services(&filter, 0, usize::MAX).services;
        found.into_iter().map(|key| call.naming.snapshot(&key))
    })
}

/// The names of all clients, sorted.
pub(super) fn ids(call: &Call<'_>) -> BTreeSet<String> {
    let held = held(call);
    let mut ids: BTreeSet<String> = connections(call)
        .into_iter()
        .map(|connection| connection.name)
        .collect();
    for snapshot in all_services(call) {
        for instance in &snapshot.instances {
            let by_connection = !held.is_empty() && held.contains_key(&(snapshot.key.clone(), instance.key.clone()));
            if !by_connection {
                ids.insert(Address::id(&instance.key, instance.kind));
            }
        }
    }
    for listed in call.naming.push().subscriptions(&|_| true) {
        if let Target::Udp(to) = listed.key.target {
            ids.insert(Address::id(&to, Kind::Ephemeral));
        }
    }
    ids
}

/// The client of that name.
pub(super) fn find(call: &Call<'_>, id: &str) -> Result<Client, Failure> {
    if let Some(connection) = call.site.connections().and_then(|all| all.find(id)) {
        return Ok(Client::Connection(connection));
    }
    let known = Address::parse(id).and_then(|address| {
        let changed_ms = published_at(call, &address)
            .map(|(snapshot, _)| snapshot.stamp_ms)
            .max();
        let listens = || {
            let all = call.naming.push().subscriptions(&|_| true);
            all.iter().any(|listed| address.listens(listed))
        };
        if changed_ms.is_none() && !listens() {
            return None;
        }
        let changed_ms = changed_ms.unwrap_or(0);
        Some(Client::Address { address, changed_ms })
    });
    known.ok_or_else(|| {
        Failure::detailed(
            StatusCode::NOT_FOUND,
            Code::ResourceNotFound,
            format!("clientId [ {id} ] not exist"),
        )
    })
}

fn published_at<'c>(
    call: &'c Call<'_>,
    address: &'c Address,
) -> impl Iterator<Item = (Arc<ServiceSnapshot>, Arc<Instance>)> {
    let held = held(call);
    all_services(call).filter_map(move |snapshot| {
        let of_it = |instance: &&Arc<Instance>| {
            instance.key == address.key
                && instance.kind == address.kind
                && (held.is_empty() || !held.contains_key(&(snapshot.key.clone(), instance.key.clone())))
        };
        let instance = snapshot.instances.iter().find(of_it)?.clone();
        Some((snapshot, instance))
    })
}

/// What a client publishes.
pub(super) fn published(call: &Call<'_>, client: &Client) -> Vec<(ServiceKey, Arc<Instance>)> {
    match client {
        Client::Connection(connection) => {
            let by_service = call.naming.published_by(connection.id).into_iter();
            by_service
                .flat_map(|(service, instances)| instances.into_iter().map(move |one| (service.clone(), one)))
                .collect()
        }
        Client::Address { address, .. } => published_at(call, address)
            .map(|(snapshot, instance)| (snapshot.key.clone(), instance))
            .collect(),
    }
}

/// What a client subscribes to.
pub(super) fn subscribed(call: &Call<'_>, client: &Client) -> Vec<Listed> {
    match client {
        Client::Connection(connection) => call.naming.push().subscriptions_of(connection.id),
        Client::Address { address, .. } => {
            let mut all = call.naming.push().subscriptions(&|_| true);
            all.retain(|listed| address.listens(listed));
            all
        }
    }
}

/// Who publishes instances of a kind under a service, with the client's name.
pub(super) fn publishers(
    call: &Call<'_>,
    service: &ServiceKey,
    kind: Kind,
    wanted: &Wanted<'_>,
) -> Vec<(String, Arc<Instance>)> {
    let held = held(call);
    let name = |instance: &Instance| {
        let by_connection = held.get(&(service.clone(), instance.key.clone())).cloned();
        by_connection.unwrap_or_else(|| Address::id(&instance.key, instance.kind))
    };
    call.naming
        .snapshot(service)
        .instances
        .iter()
        .filter(|one| one.kind == kind && wanted.includes(one.key.host.as_str(), one.key.port))
        .map(|one| (name(one), one.clone()))
        .collect()
}

/// Who subscribes to a service at this node, with the client's name, by that name.
pub(super) fn subscribers(call: &Call<'_>, service: &ServiceKey, wanted: &Wanted<'_>) -> Vec<(String, Listed)> {
    let names: HashMap<ConnectionId, String> = connections(call)
        .into_iter()
        .map(|connection| (connection.id, connection.name))
        .collect();
    let mut found: Vec<(String, Listed)> = call
        .naming
        .push()
        .subscriptions(&|of| of == service)
        .into_iter()
        .filter(|listed| {
            let at = listed.key.target.address();
            wanted.includes(&at.ip().to_string(), at.port())
        })
        .filter_map(|listed| {
            let name = match listed.key.target {
                Target::Udp(to) => Address::id(&to, Kind::Ephemeral),
                // One that is not listed any more has just ended.
                Target::Connection { id, .. } => names.get(&id)?.clone(),
            };
            Some((name, listed))
        })
        .collect();
    found.sort_by(|a, b| (&a.0, &a.1.key.clusters).cmp(&(&b.0, &b.1.key.clusters)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses_are_read_and_nonsense_is_none() {
        for id in ["10.0.0.1:80#true", "[::1]:80#false", "db.internal:1#true"] {
            let address = Address::parse(id).unwrap();
            assert_eq!(Address::id(&address.key, address.kind), id);
        }
        for id in [
            "",
            "10.0.0.1:80",
            "10.0.0.1:80#maybe",
            "10.0.0.1#true",
            "h:99999#true",
            "a b:1#true",
        ] {
            assert_eq!(Address::parse(id), None, "{id}");
        }
    }
}
