//! Naming by Nacos's HTTP v1.

use crate::servers::{Answer, Repeat};
use crate::{Client, Error};
use hyper::Method;
use muster_model::{ClusterName, Host, Instance, InstanceKey, Kind, Metadata, ServiceKey, Weight};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const INSTANCE: &str = "/v1/ns/instance";
const INSTANCE_LIST: &str = "/v1/ns/instance/list";
const SERVICE: &str = "/v1/ns/service";

/// The instances of a service as a server listed them to a caller: enabled ones, the healthy marked.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// In the server's order.
    pub instances: Vec<Instance>,
    /// How long the server says the list may be kept.
    pub cache: Duration,
    /// When the list was made, in the cluster's time; never goes back at one server.
    pub stamp_ms: u64,
}

/// What was said of a service itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceRecord {
    /// Share of healthy instances at or below which all are listed as healthy.
    pub protect_threshold: f32,
    /// Pairs that travel with the service.
    pub metadata: Metadata,
}

/// A list as the servers write it, in answers and in pushes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedJson {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) clusters: String,
    #[serde(default)]
    cache_millis: u64,
    #[serde(default)]
    last_ref_time: u64,
    hosts: Vec<HostJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostJson {
    ip: String,
    port: u16,
    weight: f64,
    healthy: bool,
    enabled: bool,
    ephemeral: bool,
    #[serde(default)]
    cluster_name: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

impl HostJson {
    fn into_instance(self) -> Result<Instance, String> {
        let host = Host::parse(&self.ip).map_err(|error| error.to_string())?;
        let kind = if self.ephemeral {
            Kind::Ephemeral
        } else {
            Kind::Persistent
        };
        let mut instance = Instance::new(InstanceKey::new(host, self.port), kind);
        if let Some(cluster) = self.cluster_name {
            instance.cluster = ClusterName::parse(&cluster).map_err(|error| error.to_string())?;
        }
        instance.weight = Weight::new(self.weight).map_err(|error| error.to_string())?;
        instance.healthy = self.healthy;
        instance.enabled = self.enabled;
        instance.metadata = self.metadata.unwrap_or_default().into_iter().collect();
        Ok(instance)
    }
}

impl ListedJson {
    pub(crate) fn into_listed(self) -> Result<Listed, String> {
        Ok(Listed {
            instances: self
                .hosts
                .into_iter()
                .map(HostJson::into_instance)
                .collect::<Result<_, _>>()?,
            cache: Duration::from_millis(self.cache_millis),
            stamp_ms: self.last_ref_time,
        })
    }
}

/// `group@@name`, as Nacos's wire names a service.
pub(crate) fn grouped(service: &ServiceKey) -> String {
    format!("{}@@{}", service.group(), service.name())
}

pub(crate) fn naming_a_service(service: &ServiceKey) -> Vec<(&'static str, String)> {
    vec![
        ("namespaceId", service.namespace().to_string()),
        ("groupName", service.group().to_string()),
        ("serviceName", grouped(service)),
    ]
}

pub(crate) fn metadata_json(metadata: &Metadata) -> String {
    let pairs: BTreeMap<_, _> = metadata.iter().collect();
    serde_json::to_string(&pairs).expect("texts are JSON")
}

pub(crate) fn naming_an_instance(service: &ServiceKey, key: &InstanceKey, kind: Kind) -> Vec<(&'static str, String)> {
    let mut parameters = naming_a_service(service);
    parameters.push(("ip", key.host.to_string()));
    parameters.push(("port", key.port.to_string()));
    parameters.push(("ephemeral", (kind == Kind::Ephemeral).to_string()));
    parameters
}

fn expect_ok(answer: &Answer) -> Result<(), Error> {
    if answer.body.as_ref() == b"ok" {
        return Ok(());
    }
    Err(answer.bad(
        String::from_utf8_lossy(&answer.body)
            .chars()
            .take(200)
            .collect::<String>(),
    ))
}

impl Client {
    /// Registers or replaces an instance. An ephemeral one must be kept alive: [`Client::keep_registered`].
    ///
    /// # Errors
    /// [`Error`]; a repeated registration is harmless.
    pub async fn register(&self, service: &ServiceKey, instance: &Instance) -> Result<(), Error> {
        let mut parameters = naming_an_instance(service, &instance.key, instance.kind);
        parameters.push(("clusterName", instance.cluster.to_string()));
        parameters.push(("weight", instance.weight.get().to_string()));
        parameters.push(("enabled", instance.enabled.to_string()));
        parameters.push(("healthy", instance.healthy.to_string()));
        parameters.push(("metadata", metadata_json(&instance.metadata)));
        let answer = self.call(Method::POST, INSTANCE, &parameters, Repeat::Harmless).await?;
        expect_ok(&answer)
    }

    /// Deregisters an instance; one that is not there is well.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn deregister(&self, service: &ServiceKey, key: &InstanceKey, kind: Kind) -> Result<(), Error> {
        let parameters = naming_an_instance(service, key, kind);
        let answer = self
            .call(Method::DELETE, INSTANCE, &parameters, Repeat::Harmless)
            .await?;
        expect_ok(&answer)
    }

    /// The instances of a service that callers may choose among, of all clusters or of those named.
    ///
    /// # Errors
    /// [`Error`]; an unknown service is an empty list.
    pub async fn list(
        &self,
        service: &ServiceKey,
        clusters: &[ClusterName],
        healthy_only: bool,
    ) -> Result<Listed, Error> {
        let mut parameters = naming_a_service(service);
        parameters.push(("clusters", joined(clusters)));
        parameters.push(("healthyOnly", healthy_only.to_string()));
        let answer = self.get(INSTANCE_LIST, &parameters).await?;
        let listed: ListedJson = answer.json()?;
        listed.into_listed().map_err(|reason| answer.bad(reason))
    }

    /// The list, asked for so that the server pushes changes to `push_to`. Says also which server answered.
    pub(crate) async fn subscribe(
        &self,
        service: &ServiceKey,
        clusters: &str,
        push_to: Option<std::net::SocketAddr>,
    ) -> Result<(Listed, String), Error> {
        let mut parameters = naming_a_service(service);
        parameters.push(("clusters", clusters.to_owned()));
        parameters.push(("healthyOnly", "false".to_owned()));
        if let Some(address) = push_to {
            parameters.push(("clientIP", address.ip().to_string()));
            parameters.push(("udpPort", address.port().to_string()));
        }
        let answer = self.get(INSTANCE_LIST, &parameters).await?;
        let listed: ListedJson = answer.json()?;
        let listed = listed.into_listed().map_err(|reason| answer.bad(reason))?;
        Ok((listed, answer.server))
    }

    /// Creates a service without instances.
    ///
    /// # Errors
    /// [`Error::Refused`] if it exists.
    pub async fn create_service(&self, service: &ServiceKey, record: &ServiceRecord) -> Result<(), Error> {
        self.write_service(Method::POST, service, record).await
    }

    /// Replaces what is said of a service.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not exist.
    pub async fn update_service(&self, service: &ServiceKey, record: &ServiceRecord) -> Result<(), Error> {
        self.write_service(Method::PUT, service, record).await
    }

    async fn write_service(&self, method: Method, service: &ServiceKey, record: &ServiceRecord) -> Result<(), Error> {
        let mut parameters = naming_a_service(service);
        parameters.push(("protectThreshold", record.protect_threshold.to_string()));
        parameters.push(("metadata", metadata_json(&record.metadata)));
        let answer = self.call(method, SERVICE, &parameters, Repeat::IfNotDone).await?;
        expect_ok(&answer)
    }

    /// Deletes a service that has no instances.
    ///
    /// # Errors
    /// [`Error::Refused`] if it has, or does not exist.
    pub async fn delete_service(&self, service: &ServiceKey) -> Result<(), Error> {
        let answer = self
            .call(Method::DELETE, SERVICE, &naming_a_service(service), Repeat::IfNotDone)
            .await?;
        expect_ok(&answer)
    }
}

pub(crate) fn joined(clusters: &[ClusterName]) -> String {
    clusters.iter().map(ClusterName::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_what_is_known_and_ignores_the_rest() {
        let json = r#"{"name":"G@@s","groupName":"G","clusters":"a,b","cacheMillis":10000,"lastRefTime":1700000000000,
            "checksum":"","allIPs":false,"hosts":[{"instanceId":"x","ip":"10.0.0.1","port":80,"weight":2.5,"healthy":false,
            "enabled":true,"ephemeral":true,"clusterName":"a","serviceName":"G@@s","metadata":{"k":"v"},"marked":false}]}"#;
        let listed: ListedJson = serde_json::from_str(json).unwrap();
        assert_eq!((listed.name.as_str(), listed.clusters.as_str()), ("G@@s", "a,b"));
        let listed = listed.into_listed().unwrap();
        let instance = &listed.instances[0];
        assert_eq!(instance.key.to_string(), "10.0.0.1:80");
        assert_eq!((instance.weight.get(), instance.healthy), (2.5, false));
        assert_eq!(instance.metadata.get("k"), Some("v"));
        assert_eq!(
            (listed.stamp_ms, listed.cache),
            (1_700_000_000_000, Duration::from_secs(10))
        );
    }

    #[test]
    fn an_unknown_service_without_a_stamp_is_an_empty_list() {
        let listed: ListedJson =
            serde_json::from_str(r#"{"name":"G@@s","clusters":"","cacheMillis":3000,"hosts":[]}"#).unwrap();
        assert_eq!(listed.into_listed().unwrap().instances, vec![]);
    }

    #[test]
    fn a_list_with_an_impossible_instance_is_an_error_not_a_shorter_list() {
        let json = r#"{"name":"G@@s","hosts":[{"ip":"a b","port":80,"weight":1.0,"healthy":true,"enabled":true,"ephemeral":true}]}"#;
        let listed: ListedJson = serde_json::from_str(json).unwrap();
        assert!(listed.into_listed().is_err());
    }
}
