//! `/v2/ns/health`: health by hand.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::HEALTH;
use crate::http::reply::Reply;
use crate::http::result;
use muster_wire::{bound_cluster, bound_key, bound_service};

/// Sets the health of a persistent instance where no checker runs.
pub(in crate::http) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let healthy = HEALTH.truth(form)?.unwrap_or(true);
    let (service, key) = (bound_service(form)?, bound_key(form)?);
    bound_cluster(form)?;
    call.naming.set_health(&call.context, &service, &key, healthy).await?;
    Ok(result::ok())
}
