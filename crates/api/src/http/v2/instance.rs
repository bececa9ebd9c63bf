//! `/v2/ns/instance`.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::list::{self, Asked};
use crate::http::parameters::{
    ENABLED_SENT, HEALTHY_ONLY, METADATA_SENT, PATCH_CLUSTER, PUSH_IP, PUSH_PORT, STATUS_KEY, WEIGHT_SENT,
};
use crate::http::reply::Reply;
use crate::http::result::{self, Code};
use crate::http::{beat as beats, instance};
use hyper::StatusCode;
use muster_model::{ClusterName, InstanceEdit, MetadataEdit};
use muster_naming::{Error, Upsert};
use muster_wire::{
    CLUSTERS, answers::v2, bound_cluster, bound_grouped_service, bound_key, bound_metadata, bound_service,
    bound_weight, check_cluster_filter, parse_beat_for,
};

pub(in crate::http) async fn register(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = call.bound_instance()?;
    call.naming
        .register(&call.context, &form.service, form.instance)
        .await?;
    Ok(result::ok())
}

/// Deregisters by address and kind, whatever the cluster. One that is not there is well.
pub(in crate::http) async fn deregister(call: &Call<'_>) -> Result<Reply, Failure> {
    instance::leave(call, &call.bound_instance()?).await?;
    Ok(result::ok())
}

/// Replaces an instance that is there.
pub(in crate::http) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = call.bound_instance()?;
    let replaced = call
        .naming
        .replace(&call.context, &form.service, form.instance, Upsert::No)
        .await;
    match replaced {
        Ok(_) => Ok(result::ok()),
        // About an instance, whose service is merely the reason.
        Err(error @ (Error::ServiceNotFound(_) | Error::InstanceNotFound { .. })) => {
            let text = match &error {
                Error::ServiceNotFound(service) => format!(
                    "service not found, namespace: {}, service: {}",
                    service.namespace(),
                    muster_wire::grouped_name(service)
                ),
                _ => format!("instance not exist: {}", bound_key(&call.form)?),
            };
            Err(Failure::detailed(StatusCode::BAD_REQUEST, Code::Instance, text))
        }
        Err(error) => Err(error.into()),
    }
}

/// v2's partial update, in which every field is required, and whose answer is v1's.
pub(super) async fn patch(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = bound_grouped_service(form)?;
    let key = bound_key(form)?;
    ClusterName::parse(PATCH_CLUSTER.value(form)?).map_err(muster_wire::Refusal::from)?;
    let edit = InstanceEdit {
        weight: bound_weight(&WEIGHT_SENT.required(), form)?,
        enabled: ENABLED_SENT.required().truth(form)?,
        healthy: None,
        metadata: bound_metadata(&METADATA_SENT.required(), form)?.map(MetadataEdit::Replace),
    };
    apply(call, &service, &key, edit).await?;
    Ok(Reply::ok())
}

/// Edits an instance; one that is not there is 404.
pub(in crate::http) async fn apply(
    call: &Call<'_>,
    service: &muster_model::ServiceKey,
    key: &muster_model::InstanceKey,
    edit: InstanceEdit,
) -> Result<(), Failure> {
    match call.naming.edit(&call.context, service, key, None, edit).await {
        Ok(_) => Ok(()),
        Err(Error::InstanceNotFound { .. } | Error::ServiceNotFound(_)) => Err(Failure::detailed(
            StatusCode::NOT_FOUND,
            Code::ResourceNotFound,
            "no matched ip found!",
        )),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let (key, cluster) = (bound_key(&call.form)?, bound_cluster(&call.form)?);
    let snapshot = call.naming.snapshot(&service);
    match instance::find(&snapshot, cluster.as_str(), &key) {
        Ok(found) => Ok(result::well(&v2::InstanceDetail::new(&service, found))),
        Err(text) => Err(Failure::detailed(StatusCode::NOT_FOUND, Code::ResourceNotFound, text)),
    }
}

/// Answers the list, and subscribes if the caller names a port and listens to pushes.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = bound_service(form)?;
    let clusters = CLUSTERS.read(form)?.unwrap_or("");
    check_cluster_filter(clusters)?;
    let asked = Asked {
        service,
        clusters,
        healthy_only: HEALTHY_ONLY.truth(form)?.unwrap_or(false),
        bare_names: false,
        push_ip: PUSH_IP.read(form)?,
        push_port: list::push_port(PUSH_PORT.int(form)?)?,
    };
    Ok(result::well_rendered(&list::listed(call, asked)))
}

/// A beat, whose answer is v1's. Its service has the grouped name (T-53).
pub(super) fn beat(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_grouped_service(&call.form)?;
    beats::take(call, parse_beat_for(service, &call.form)?)
}

/// The health of a service's instances, in v1's shape; of an unknown service there are none.
pub(super) fn statuses(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = instance::service_of_key(STATUS_KEY.value(&call.form)?)?;
    Ok(Reply::json(&instance::states(&call.naming.snapshot(&service))))
}
