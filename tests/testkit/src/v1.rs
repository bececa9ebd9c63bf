//! The calls that Nacos 1.x clients make.

use crate::http::{Answer, Http};
use anyhow::Context;
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const INSTANCE: &str = "/nacos/v1/ns/instance";

/// An instance as a client registers it.
#[derive(Clone, Debug)]
pub struct Spec {
    pub service: String,
    pub ip: String,
    pub port: u16,
    pub ephemeral: bool,
    /// JSON text; empty for none.
    pub metadata: String,
}

impl Spec {
    /// An instance that lives by beats.
    pub fn ephemeral(service: &str, ip: &str, port: u16) -> Self {
        Self {
            service: service.to_owned(),
            ip: ip.to_owned(),
            port,
            ephemeral: true,
            metadata: String::new(),
        }
    }

    /// An instance that stays.
    pub fn persistent(service: &str, ip: &str, port: u16) -> Self {
        Self {
            ephemeral: false,
            ..Self::ephemeral(service, ip, port)
        }
    }

    /// Lease times, so that a test need not wait 30 s for what should not happen.
    pub fn with_lease_ms(mut self, interval: u32, timeout: u32, delete: u32) -> Self {
        self.metadata = json!({
            "preserved.heart.beat.interval": interval.to_string(),
            "preserved.heart.beat.timeout": timeout.to_string(),
            "preserved.ip.delete.timeout": delete.to_string(),
        })
        .to_string();
        self
    }

    /// `ip:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    fn call<T>(&self, call: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let port = self.port.to_string();
        let mut parameters = vec![
            ("serviceName", self.service.as_str()),
            ("ip", self.ip.as_str()),
            ("port", port.as_str()),
            ("ephemeral", if self.ephemeral { "true" } else { "false" }),
        ];
        if !self.metadata.is_empty() {
            parameters.push(("metadata", self.metadata.as_str()));
        }
        call(&parameters)
    }
}

/// A list as a client sees it.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// `ip:port` of each instance.
    pub all: BTreeSet<String>,
    /// Of those that are shown as healthy.
    pub healthy: BTreeSet<String>,
    pub last_ref_time: u64,
}

impl Listed {
    /// Reads the JSON of a list, from an answer or a datagram.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(json: &Value) -> anyhow::Result<Self> {
        let mut listed = Self {
            last_ref_time: json["lastRefTime"].as_u64().unwrap_or(0),
            ..Self::default()
        };
        for host in json["hosts"]
            .as_array()
            .with_context(|| format!("no hosts in {json}"))?
        {
            let address = format!("{}:{}", host["ip"].as_str().context("ip")?, host["port"]);
            if host["healthy"].as_bool().context("healthy")? {
                listed.healthy.insert(address.clone());
            }
            listed.all.insert(address);
        }
        Ok(listed)
    }
}

/// One node, asked as a 1.x client asks.
#[derive(Clone, Debug)]
pub struct V1 {
    http: Http,
    address: String,
}

impl V1 {
    pub fn new(http: Http, address: String) -> Self {
        Self { http, address }
    }

    /// # Errors
    /// No answer; a refusal is an answer.
    pub async fn register(&self, spec: &Spec) -> anyhow::Result<Answer> {
        spec.call(|parameters| self.owned(Method::POST, INSTANCE, parameters))
            .await
    }

    /// # Errors
    /// No answer; a refusal is an answer.
    pub async fn deregister(&self, spec: &Spec) -> anyhow::Result<Answer> {
        spec.call(|parameters| self.owned(Method::DELETE, INSTANCE, parameters))
            .await
    }

    /// A full beat, which registers what is not there.
    ///
    /// # Errors
    /// No answer; a refusal is an answer.
    pub async fn beat(&self, spec: &Spec) -> anyhow::Result<Answer> {
        let metadata: Value = serde_json::from_str(&spec.metadata).unwrap_or_else(|_| json!({}));
        let beat = json!({
            "serviceName": format!("DEFAULT_GROUP@@{}", spec.service),
            "ip": spec.ip, "port": spec.port, "cluster": "DEFAULT", "weight": 1.0,
            "metadata": metadata, "scheduled": false,
        })
        .to_string();
        let service = format!("DEFAULT_GROUP@@{}", spec.service);
        let parameters = [("serviceName", service.as_str()), ("beat", beat.as_str())];
        self.owned(Method::PUT, "/nacos/v1/ns/instance/beat", &parameters).await
    }

    /// # Errors
    /// No answer, or none that is a list.
    pub async fn list(&self, service: &str) -> anyhow::Result<Listed> {
        self.list_with(&[("serviceName", service)]).await
    }

    /// Lists and subscribes to pushes to `ip:port`.
    ///
    /// # Errors
    /// No answer, or none that is a list.
    pub async fn subscribe(&self, service: &str, ip: &str, port: u16) -> anyhow::Result<Listed> {
        let port = port.to_string();
        self.list_with(&[("serviceName", service), ("clientIP", ip), ("udpPort", &port)])
            .await
    }

    async fn list_with(&self, parameters: &[(&str, &str)]) -> anyhow::Result<Listed> {
        let answer = self
            .http
            .get(&self.address, "/nacos/v1/ns/instance/list", parameters)
            .await?;
        Listed::parse(&answer.ok()?.json()?)
    }

    fn owned(
        &self,
        method: Method,
        path: &'static str,
        parameters: &[(&str, &str)],
    ) -> impl Future<Output = anyhow::Result<Answer>> + Send + use<> {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let (http, address) = (self.http.clone(), self.address.clone());
        async move {
            let parameters: Vec<_> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            http.call(method, &address, path, &parameters).await
        }
    }
}
