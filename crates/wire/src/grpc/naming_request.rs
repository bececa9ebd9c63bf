//! What clients ask of naming: each request, checked and made into the model's words.

use super::Unreadable;
use super::instance::{Batch, InstanceJson, nowhere};
use super::scalar::Scalar;
use crate::{Refusal, check_cluster_filter, service_of_parts};
use muster_model::{GroupName, Instance, InstanceKey, Kind, NamespaceId, ServiceKey};
use serde::Deserialize;
use std::borrow::Cow;

/// What is kept and echoed of a cluster filter, in bytes. A hundred of the longest names.
const CLUSTERS_BYTES_MAX: usize = 8_192;

/// Why a request is refused before anything was asked of the domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// 502 in an `ErrorResponse`.
    #[error("unreadable: {0}")]
    Unreadable(#[from] Unreadable),
    /// The `type` within the request; 400 in an `ErrorResponse`.
    #[error("Unsupported request type {0}")]
    UnsupportedType(String),
    /// 400 in the type that was asked for.
    #[error("Param check invalid:{0}")]
    Refused(Refusal),
}

impl From<Refusal> for RequestError {
    fn from(refusal: Refusal) -> Self {
        RequestError::Refused(refusal)
    }
}

/// What all requests begin with.
fn namespace(text: &Scalar<'_>) -> Result<NamespaceId, Refusal> {
    let parse = |text: Cow<'_, str>| NamespaceId::parse(&text);
    Ok(text.nonblank().map_or_else(|| Ok(NamespaceId::public()), parse)?)
}

fn group(text: &Scalar<'_>) -> Result<GroupName, Refusal> {
    let parse = |text: Cow<'_, str>| GroupName::parse(&text);
    Ok(text.nonblank().map_or_else(|| Ok(GroupName::default_group()), parse)?)
}

fn service(names: (&Scalar<'_>, &Scalar<'_>, &Scalar<'_>)) -> Result<ServiceKey, Refusal> {
    let name = names.2.nonblank().ok_or(Refusal::Required("serviceName"))?;
    service_of_parts(namespace(names.0)?, group(names.1)?, &name)
}

fn clusters(text: &Scalar<'_>) -> Result<Box<str>, Refusal> {
    let clusters = text.text().unwrap_or_default();
    if clusters.len() > CLUSTERS_BYTES_MAX {
        return Err(Refusal::TooLong {
            name: "cluster",
            chars_max: CLUSTERS_BYTES_MAX,
        });
    }
    check_cluster_filter(&clusters)?;
    Ok(clusters.into())
}

/// `InstanceRequest` and `PersistentInstanceRequest`.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceRequest {
    pub service: ServiceKey,
    pub act: InstanceAct,
}

#[derive(Clone, Debug, PartialEq)]
pub enum InstanceAct {
    Register(Box<Instance>),
    /// The rest of the instance is not looked at: Go sends it with weight 0 and all flags false.
    Deregister(InstanceKey),
}

pub(super) const REGISTER: &str = "registerInstance";
pub(super) const DEREGISTER: &str = "deregisterInstance";
pub(super) const BATCH_REGISTER: &str = "batchRegisterInstance";

impl InstanceAct {
    /// What the answer echoes.
    pub fn type_name(&self) -> &'static str {
        match self {
            InstanceAct::Register(_) => REGISTER,
            InstanceAct::Deregister(_) => DEREGISTER,
        }
    }
}

impl InstanceRequest {
    /// The kind is the message's, whatever `ephemeral` in the instance says, as in Nacos: older Python clients ask for
    /// persistent instances in the message of ephemeral ones, and get ephemeral ones.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn decode(body: &[u8], kind: Kind) -> Result<Self, RequestError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            namespace: Scalar<'a>,
            service_name: Scalar<'a>,
            group_name: Scalar<'a>,
            r#type: Scalar<'a>,
            instance: Option<InstanceJson<'a>>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        let service = service((&json.namespace, &json.group_name, &json.service_name))?;
        let act = match json.r#type.text().as_deref() {
            Some(REGISTER) => {
                let instance = json.instance.ok_or(Refusal::Required("instance"))?;
                InstanceAct::Register(Box::new(instance.instance(kind)?))
            }
            Some(DEREGISTER) => {
                let key = json.instance.map_or_else(|| Ok(nowhere()), |instance| instance.key())?;
                InstanceAct::Deregister(key)
            }
            other => return Err(unsupported(other)),
        };
        Ok(Self { service, act })
    }
}

fn unsupported(name: Option<&str>) -> RequestError {
    // As Java prints what is not there; and no more than a client needs to know its own word.
    RequestError::UnsupportedType(name.unwrap_or("null").chars().take(64).collect())
}

/// `BatchInstanceRequest`: all that the connection publishes under a service from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchInstanceRequest {
    pub service: ServiceKey,
    pub instances: Vec<Instance>,
}

impl BatchInstanceRequest {
    /// # Errors
    /// [`RequestError`].
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            namespace: Scalar<'a>,
            service_name: Scalar<'a>,
            group_name: Scalar<'a>,
            r#type: Scalar<'a>,
            instances: Batch<'a>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        let service = service((&json.namespace, &json.group_name, &json.service_name))?;
        if json.r#type.text().as_deref() != Some(BATCH_REGISTER) {
            return Err(unsupported(json.r#type.text().as_deref()));
        }
        let instances = json.instances.0.ok_or(Refusal::Required("instances"))?;
        let instances = instances.into_iter().map(|one| one.instance(Kind::Ephemeral));
        Ok(Self {
            service,
            instances: instances.collect::<Result<_, _>>()?,
        })
    }
}

/// `ServiceQueryRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceQueryRequest {
    pub service: ServiceKey,
    /// Verbatim.
    pub clusters: Box<str>,
    pub healthy_only: bool,
}

impl ServiceQueryRequest {
    /// # Errors
    /// [`RequestError`].
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            namespace: Scalar<'a>,
            service_name: Scalar<'a>,
            group_name: Scalar<'a>,
            cluster: Scalar<'a>,
            healthy_only: Scalar<'a>,
            /// Python's spelling of it.
            health_only: Scalar<'a>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        let healthy_only = match json.healthy_only.flag()? {
            Some(healthy_only) => Some(healthy_only),
            None => json.health_only.flag()?,
        };
        Ok(Self {
            service: service((&json.namespace, &json.group_name, &json.service_name))?,
            clusters: clusters(&json.cluster)?,
            healthy_only: healthy_only.unwrap_or(false),
        })
    }
}

/// `ServiceListRequest`. Its selector is not looked at, as in Nacos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceListRequest {
    pub namespace: NamespaceId,
    pub group: GroupName,
    /// Names to leave out before the page.
    pub offset: usize,
    pub limit: usize,
}

/// Names on one page. With names of usual length these are 4 MiB, which is what the Rust SDK can receive.
pub const PAGE_NAMES_MAX: usize = 50_000;

impl ServiceListRequest {
    /// # Errors
    /// [`RequestError`].
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            namespace: Scalar<'a>,
            group_name: Scalar<'a>,
            page_no: Scalar<'a>,
            page_size: Scalar<'a>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        // Below 1 is the first page, as in Nacos; of a page of absent size there is nothing to list.
        let page = i64::from(json.page_no.int()?.unwrap_or(1)).max(1);
        let size = i64::from(json.page_size.int()?.unwrap_or(0)).max(0);
        Ok(Self {
            namespace: namespace(&json.namespace)?,
            group: group(&json.group_name)?,
            offset: usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX),
            limit: usize::try_from(size).unwrap_or(0).min(PAGE_NAMES_MAX),
        })
    }
}

/// `SubscribeServiceRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeServiceRequest {
    pub service: ServiceKey,
    /// Verbatim.
    pub clusters: Box<str>,
    pub subscribe: bool,
}

impl SubscribeServiceRequest {
    /// # Errors
    /// [`RequestError`].
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default, bound(deserialize = "'de: 'a"))]
        struct Json<'a> {
            namespace: Scalar<'a>,
            service_name: Scalar<'a>,
            group_name: Scalar<'a>,
            clusters: Scalar<'a>,
            subscribe: Scalar<'a>,
        }
        let json: Json<'_> = Unreadable::parse(body)?;
        Ok(Self {
            service: service((&json.namespace, &json.group_name, &json.service_name))?,
            clusters: clusters(&json.clusters)?,
            subscribe: json.subscribe.flag()?.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests;
