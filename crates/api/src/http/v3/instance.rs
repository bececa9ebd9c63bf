//! `/v3/admin/ns/instance`, where it differs from v2.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::instance::find;
use crate::http::parameters::{ENABLED_SENT, HEALTHY_ONLY, METADATA_SENT, WEIGHT_SENT};
use crate::http::reply::Reply;
use crate::http::result::{self, Code};
use crate::http::v2::instance::apply;
use hyper::StatusCode;
use muster_model::{Instance, InstanceEdit, MetadataEdit, ServiceSnapshot};
use muster_wire::{
    CLUSTER, answers, answers::v3, bound_cluster, bound_key, bound_metadata, bound_service, bound_weight,
    check_cluster_filter, grouped_name,
};
use std::sync::Arc;

/// The instances of some clusters, named with commas between them.
fn of_clusters<'s>(snapshot: &'s ServiceSnapshot, clusters: &'s str) -> impl Iterator<Item = &'s Arc<Instance>> {
    let within = |instance: &&Arc<Instance>| clusters.split(',').any(|name| name == instance.cluster.as_str());
    snapshot.instances.iter().filter(within)
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let (key, cluster) = (bound_key(&call.form)?, bound_cluster(&call.form)?);
    let snapshot = call.naming.snapshot(&service);
    match find(&snapshot, cluster.as_str(), &key) {
        Ok(found) => Ok(result::well(&v3::Host::new(&service, found))),
        Err(text) => Err(Failure::detailed(StatusCode::NOT_FOUND, Code::ResourceNotFound, text)),
    }
}

/// Changes what is sent and leaves the rest as it is; Nacos's form resets weight and `enabled` (T-20).
pub(super) async fn partial(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let (service, key) = (bound_service(form)?, bound_key(form)?);
    bound_cluster(form)?;
    let edit = InstanceEdit {
        weight: bound_weight(&WEIGHT_SENT, form)?,
        enabled: ENABLED_SENT.truth(form)?,
        healthy: None,
        metadata: bound_metadata(&METADATA_SENT, form)?.map(MetadataEdit::Replace),
    };
    apply(call, &service, &key, edit).await?;
    Ok(result::ok())
}

/// The instances of a cluster, disabled ones too.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let clusters = CLUSTER.value(&call.form)?;
    check_cluster_filter(clusters)?;
    let healthy_only = HEALTHY_ONLY.truth(&call.form)?.unwrap_or(false);
    let snapshot = call.naming.snapshot(&service);
    let not_found = |code, text: String| Err(Failure::detailed(StatusCode::NOT_FOUND, code, text));
    if !snapshot.exists {
        let text = format!("service {} is not found!", grouped_name(&service));
        return not_found(Code::ServiceNotFound, text);
    }
    let known = answers::clusters_of(&snapshot);
    if let Some(missing) = clusters.split(',').find(|name| !known.contains_key(*name)) {
        return not_found(Code::ResourceNotFound, format!("cluster {missing} is not found!"));
    }
    let hosts: Vec<v3::Host> = of_clusters(&snapshot, clusters)
        .filter(|instance| instance.healthy || !healthy_only)
        .map(|instance| v3::Host::new(&service, instance))
        .collect();
    Ok(result::well(&hosts))
}
