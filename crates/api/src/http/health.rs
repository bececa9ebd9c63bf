//! `/v1/ns/health` and `/v1/ns/cluster`: checkers, and health by hand.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use hyper::StatusCode;
use muster_model::{ClusterSettings, InstanceKey, Metadata};
use muster_naming::Error;
use muster_wire::{
    Refusal, ServiceParam, cluster_of, grouped_name, host_of, parse_checker, parse_metadata, port_of, service_of,
};
use serde_json::json;

pub(super) fn server(call: &Call<'_>) -> Reply {
    let services = call.naming.counts().services;
    let port = call.site.config.listen.port();
    Reply::json(&json!({
        "msg": format!("Hello! I am Nacos-Naming and healthy! total services: {services}, local port:{port}")
    }))
}

/// Sets the health of a persistent instance where no checker runs.
pub(super) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = service_of(form, ServiceParam::Required)?;
    let key = InstanceKey::new(host_of(form.required("ip")?)?, port_of(form)?);
    cluster_of(form)?;
    let healthy = form
        .flag("healthy")
        .or_else(|| form.flag("valid"))
        .ok_or(Refusal::Required("healthy"))?;
    call.naming.set_health(&call.context, &service, &key, healthy).await?;
    Ok(Reply::ok())
}

pub(super) fn checkers() -> Reply {
    Reply::json(&known_checkers())
}

/// The checkers that run. Nacos lists `MYSQL` too, which is refused here.
pub(super) fn known_checkers() -> serde_json::Value {
    json!({
        "TCP": {"type": "TCP"},
        "HTTP": {"type": "HTTP", "path": "", "headers": "", "expectedResponseCode": 200},
        "NONE": {"type": "NONE"},
    })
}

/// `PUT /v1/ns/cluster`: how the persistent instances of a cluster are probed.
pub(super) async fn update_cluster(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = service_of(form, ServiceParam::Required)?;
    form.required("clusterName")?;
    let cluster = cluster_of(form)?;
    form.required("checkPort")?;
    let check_port = u16::try_from(form.int("checkPort")?.unwrap_or(0)).map_err(|_| Refusal::Port)?;
    form.required("useInstancePort4Check")?;
    let settings = ClusterSettings {
        checker: parse_checker(form.required("healthChecker")?)?,
        check_port,
        use_instance_port: form.flag("useInstancePort4Check").unwrap_or(true),
        metadata: form
            .optional("metadata")
            .map_or(Ok(Metadata::default()), parse_metadata)?,
    };
    match call
        .naming
        .set_cluster(&call.context, &service, &cluster, settings)
        .await
    {
        Ok(()) => Ok(Reply::ok()),
        Err(Error::ServiceNotFound(service)) => Err(Failure::text(
            StatusCode::BAD_REQUEST,
            format!("service not found:{}", grouped_name(&service)),
        )),
        Err(error) => Err(error.into()),
    }
}
