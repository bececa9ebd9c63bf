//! `/v1/ns/catalog`: what consoles list.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use hyper::StatusCode;
use muster_model::{Instance, ServiceSnapshot};
use muster_naming::ServiceFilter;
use muster_wire::{Refusal, ServiceParam, answers, grouped_name, namespace_of, service_of};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Rows of a console's page when it does not say.
const PAGE_SIZE: i32 = 20;

struct PageAsked {
    /// From 1.
    number: usize,
    size: usize,
}

impl PageAsked {
    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let at_least_one = |value: i32| usize::try_from(value).unwrap_or(1).max(1);
        Ok(Self {
            number: at_least_one(call.form.int("pageNo")?.unwrap_or(1)),
            size: at_least_one(call.form.int("pageSize")?.unwrap_or(PAGE_SIZE)),
        })
    }

    fn of<T>(&self, all: Vec<T>) -> Vec<T> {
        // A page as large as the list is the list, whatever its number (T-28).
        if self.size >= all.len() {
            return all;
        }
        let offset = (self.number - 1).saturating_mul(self.size);
        all.into_iter().skip(offset).take(self.size).collect()
    }
}

pub(super) fn services(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let page = PageAsked::read(call)?;
    let with_instances = form.strict_flag("withInstances")?.unwrap_or(false);
    let hide_empty = form.strict_flag("hasIpCount")?.unwrap_or(false);
    let name = form.optional("serviceNameParam").unwrap_or("");
    let group = form.optional("groupNameParam").unwrap_or("");
    let address = form.optional("instance");
    let filter = ServiceFilter {
        namespace: namespace_of(form)?,
        group: None,
    };
    let mut keys = call.naming.services(&filter, 0, usize::MAX).services;
    keys.retain(|key| key.name().as_str().contains(name) && key.group().as_str().contains(group));
    if hide_empty || address.is_some() {
        keys.retain(|key| {
            let snapshot = call.naming.snapshot(key);
            let serves = |instance: &Arc<Instance>| {
                address.is_none_or(|asked| instance.key.host.as_str() == asked || instance.key.to_string() == asked)
            };
            snapshot.instances.iter().any(serves)
        });
    }
    let count = keys.len();
    let shown: Vec<Arc<ServiceSnapshot>> = page.of(keys).iter().map(|key| call.naming.snapshot(key)).collect();
    if with_instances {
        let rows: Vec<Value> = shown.iter().map(|snapshot| with_hosts(snapshot)).collect();
        return Ok(Reply::json(&rows));
    }
    let rows: Vec<_> = shown
        .iter()
        .map(|snapshot| answers::CatalogRow::new(snapshot))
        .collect();
    Ok(Reply::json(&json!({ "serviceList": rows, "count": count })))
}

fn with_hosts(snapshot: &ServiceSnapshot) -> Value {
    let mut clusters: Map<String, Value> = answers::clusters_of(snapshot)
        .into_keys()
        .map(|name| (name, json!({ "hosts": [] })))
        .collect();
    for instance in &snapshot.instances {
        let host = json!({
            "ip": instance.key.host.as_str(),
            "port": instance.key.port,
            "valid": instance.healthy,
            "healthy": instance.healthy,
            "weight": instance.weight.get(),
            "enabled": instance.enabled,
            "metadata": answers::Pairs(instance.metadata.clone()),
        });
        if let Some(Value::Array(hosts)) = clusters
            .get_mut(instance.cluster.as_str())
            .and_then(|cluster| cluster.get_mut("hosts"))
        {
            hosts.push(host);
        }
    }
    json!({
        "serviceName": snapshot.key.name().as_str(),
        "groupName": snapshot.key.group().as_str(),
        "clusterMap": clusters,
        "metadata": answers::Pairs(snapshot.settings.metadata.clone()),
    })
}

fn existing(call: &Call<'_>) -> Result<Arc<ServiceSnapshot>, Failure> {
    let service = service_of(&call.form, ServiceParam::Declared)?;
    let snapshot = call.naming.snapshot(&service);
    if snapshot.exists {
        return Ok(snapshot);
    }
    Err(Failure::text(
        StatusCode::NOT_FOUND,
        format!("service {} is not found!", grouped_name(&service)),
    ))
}

pub(super) fn service(call: &Call<'_>) -> Result<Reply, Failure> {
    let snapshot = existing(call)?;
    Ok(Reply::json(&answers::CatalogService::new(&snapshot)))
}

/// The instances of one cluster of a service, disabled and unhealthy ones too.
pub(super) fn instances(call: &Call<'_>) -> Result<Reply, Failure> {
    let cluster = call.form.declared("clusterName")?.to_owned();
    call.form.declared("pageNo")?;
    call.form.declared("pageSize")?;
    let page = PageAsked::read(call)?;
    let snapshot = existing(call)?;
    if !answers::clusters_of(&snapshot).contains_key(&cluster) {
        return Err(Failure::text(
            StatusCode::NOT_FOUND,
            format!("cluster {cluster} is not found!"),
        ));
    }
    let all: Vec<&Arc<Instance>> = snapshot
        .instances
        .iter()
        .filter(|instance| instance.cluster.as_str() == cluster)
        .collect();
    let count = all.len();
    let list: Vec<_> = page
        .of(all)
        .into_iter()
        .map(|instance| answers::CatalogHost::new(&snapshot.key, instance))
        .collect();
    Ok(Reply::json(&json!({ "list": list, "count": count })))
}
