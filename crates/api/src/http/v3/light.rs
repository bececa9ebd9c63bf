//! `/v3/client/ns/instance`: for clients without a full SDK.

use super::instance::of_clusters;
use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::{HEALTHY_ONLY, HEART_BEAT};
use crate::http::reply::Reply;
use crate::http::result;
use muster_naming::{Beat, BeatAnswer};
use muster_wire::{CLUSTER, answers::v3, bound_service, check_cluster_filter};

/// Registers, or with `heartBeat=true` only refreshes. Whom nobody knows is to register again, and is told so in a 200.
pub(super) async fn register(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = call.bound_instance()?;
    if !HEART_BEAT.truth(&call.form)?.unwrap_or(false) {
        call.naming
            .register(&call.context, &form.service, form.instance)
            .await?;
        return Ok(result::ok());
    }
    let beat = Beat::Light(form.instance.key);
    match call.naming.beat(&call.context, &form.service, beat)? {
        BeatAnswer::Renewed { .. } => Ok(result::ok()),
        BeatAnswer::Unknown { .. } => Ok(result::instance_not_found()),
    }
}

/// The enabled instances of a cluster, `DEFAULT` if none is named, healthy or not (T-52).
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let clusters = CLUSTER.value(&call.form)?;
    check_cluster_filter(clusters)?;
    HEALTHY_ONLY.truth(&call.form)?;
    let snapshot = call.naming.snapshot(&service);
    let hosts: Vec<v3::Host> = of_clusters(&snapshot, clusters)
        .filter(|instance| instance.enabled)
        .map(|instance| v3::Host::new(&service, instance))
        .collect();
    Ok(result::well(&hosts))
}
