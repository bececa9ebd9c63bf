//! `/v1/ns/instance`: register, deregister, update, one instance, statuses.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use hyper::StatusCode;
use muster_model::{Instance, InstanceEdit, InstanceKey, MetadataEdit, NamespaceId, ServiceKey, ServiceSnapshot};
use muster_naming::{Error, Upsert};
use muster_wire::{
    InstanceForm, Refusal, ServiceParam, answers, cluster_of, grouped_name, host_of, parse_grouped, parse_instance,
    parse_metadata, port_of, service_of, weight_of,
};
use serde_json::json;
use std::sync::Arc;

pub(super) async fn register(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = parse_instance(&call.form, call.naming.switches().default_ephemeral)?;
    call.naming
        .register(&call.context, &form.service, form.instance)
        .await?;
    Ok(Reply::ok())
}

/// Deregisters by address and kind, whatever the cluster (T-3). One that is not there is `ok` (T-4, T-17).
pub(super) async fn deregister(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = parse_instance(&call.form, call.naming.switches().default_ephemeral)?;
    leave(call, &form).await?;
    Ok(Reply::ok())
}

/// Deregisters; whoever is not there has left.
pub(super) async fn leave(call: &Call<'_>, form: &InstanceForm) -> Result<(), Error> {
    let (key, kind) = (&form.instance.key, form.instance.kind);
    match call.naming.deregister(&call.context, &form.service, key, kind).await {
        Ok(_) | Err(Error::InstanceNotFound { .. } | Error::ServiceNotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Replaces an instance. Java's SDK, and Node's that claims to be it, must name one that is there; everybody else may
/// register by it, as in 1.4 (T-19).
pub(super) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = parse_instance(&call.form, call.naming.switches().default_ephemeral)?;
    let upsert = if call.agent().strict_put() {
        Upsert::No
    } else {
        Upsert::Yes
    };
    call.naming
        .replace(&call.context, &form.service, form.instance, upsert)
        .await?;
    Ok(Reply::ok())
}

/// Changes what is sent and leaves the rest as it is (unlike Nacos 2.4, T-20).
pub(super) async fn patch(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = service_of(form, ServiceParam::Required)?;
    let key = InstanceKey::new(host_of(form.required("ip")?)?, port_of(form)?);
    cluster_of(form)?;
    let metadata = form.optional("metadata").map(parse_metadata).transpose()?;
    let edit = InstanceEdit {
        weight: weight_of(form)?,
        // No `enable` here (T-2).
        enabled: form.flag("enabled"),
        healthy: form.flag("healthy"),
        metadata: metadata.map(MetadataEdit::Replace),
    };
    match call.naming.edit(&call.context, &service, &key, None, edit).await {
        Ok(_) => Ok(Reply::ok()),
        Err(Error::InstanceNotFound { .. } | Error::ServiceNotFound(_)) => {
            Err(Failure::text(StatusCode::BAD_REQUEST, "instance not found"))
        }
        Err(error) => Err(error.into()),
    }
}

/// One instance. There is no `cluster` alias here, so Python's call may find nothing (T-60).
pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = service_of(form, ServiceParam::Required)?;
    let key = InstanceKey::new(host_of(form.required("ip")?)?, port_of(form)?);
    let cluster = form.optional("clusterName").unwrap_or("DEFAULT");
    let snapshot = call.naming.snapshot(&service);
    match find(&snapshot, cluster, &key) {
        Ok(instance) => Ok(Reply::json(&answers::InstanceDetail::new(&service, instance))),
        Err(text) => Err(Failure::text(StatusCode::NOT_FOUND, text)),
    }
}

/// The instance of that address in that cluster, or Nacos's words for its absence.
pub(super) fn find<'s>(
    snapshot: &'s ServiceSnapshot,
    cluster: &str,
    key: &InstanceKey,
) -> Result<&'s Arc<Instance>, String> {
    let service = grouped_name(&snapshot.key);
    if !snapshot.exists {
        return Err(format!("no service {service} found!"));
    }
    let mut of_cluster = snapshot
        .instances
        .iter()
        .filter(|instance| instance.cluster.as_str() == cluster)
        .peekable();
    if of_cluster.peek().is_none() {
        return Err(format!("no ips found for cluster {cluster} in service {service}"));
    }
    of_cluster
        .find(|instance| instance.key == *key)
        .ok_or_else(|| "no matched ip found!".to_owned())
}

/// `key` is `NS##GROUP@@NAME`, or `GROUP@@NAME` of the public namespace.
pub(super) fn statuses(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of_key(call.form.declared("key")?)?;
    let snapshot = call.naming.snapshot(&service);
    if !snapshot.exists {
        let service = grouped_name(&service);
        return Err(Failure::text(
            StatusCode::NOT_FOUND,
            format!("service: {service} not found."),
        ));
    }
    Ok(Reply::json(&states(&snapshot)))
}

pub(super) fn service_of_key(key: &str) -> Result<ServiceKey, Refusal> {
    match key.split_once("##") {
        Some((namespace, name)) => parse_grouped(NamespaceId::parse(namespace)?, name),
        None => parse_grouped(NamespaceId::public(), key),
    }
}

/// `{"ips":["ip:port_healthy"]}`.
pub(super) fn states(snapshot: &ServiceSnapshot) -> serde_json::Value {
    let ips: Vec<String> = snapshot
        .instances
        .iter()
        .map(|instance| format!("{}_{}", instance.key, instance.healthy))
        .collect();
    json!({ "ips": ips })
}
