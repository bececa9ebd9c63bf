//! `/v3/client/ns/instance`: for clients without a full SDK.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::list::hosts;
use crate::http::parameters::{HEALTHY_ONLY, HEART_BEAT};
use crate::http::reply::Reply;
use crate::http::result;
use muster_naming::{Beat, BeatAnswer};
use muster_wire::{CLUSTER, ListFilter, bound_service, check_cluster_filter};

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

/// The enabled instances of a cluster, `DEFAULT` if none is named, healthy or not (T-52). Where so few are healthy that the
/// service is protected, all are shown as healthy, as in every list for clients.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let clusters = CLUSTER.value(&call.form)?;
    check_cluster_filter(clusters)?;
    HEALTHY_ONLY.truth(&call.form)?;
    let filter = ListFilter {
        clusters,
        healthy_only: false,
        cache_ms: 0,
        bare_names: false,
    };
    let hosts = hosts(&call.naming.snapshot(&service), &filter);
    Ok(result::well_rendered(&hosts))
}
