//! `/v2/ns/catalog`, whose refusals are v1's.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::{CATALOG_PAGE, CATALOG_PAGE_SIZE, CATALOG_SERVICE, ENABLED_IS, HEALTHY_IS};
use crate::http::reply::Reply;
use crate::http::result;
use hyper::StatusCode;
use muster_model::{GroupName, Instance};
use muster_wire::{bound_namespace, grouped_name, host, parse_grouped, service_of_parts};
use serde_json::json;
use std::sync::Arc;

pub(super) fn instances(call: &Call<'_>) -> Reply {
    page(call).unwrap_or_else(Failure::into_reply)
}

/// The instances of a service, disabled and unhealthy ones too, unless one of the two is asked for. Past the end there is
/// no `instances`. Pages are of what is left, so that none fails for what was filtered out.
fn page(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let (namespace, name) = (bound_namespace(form)?, CATALOG_SERVICE.value(form)?);
    let service = match name.contains("@@") {
        true => parse_grouped(namespace, name)?,
        false => service_of_parts(namespace, GroupName::default_group(), name)?,
    };
    let at_least_one = |value: Option<i32>| usize::try_from(value.unwrap_or(1)).unwrap_or(1).max(1);
    let page = at_least_one(CATALOG_PAGE.int(form)?);
    let size = at_least_one(CATALOG_PAGE_SIZE.int(form)?);
    let (healthy, enabled) = (HEALTHY_IS.truth(form)?, ENABLED_IS.truth(form)?);
    let snapshot = call.naming.snapshot(&service);
    if !snapshot.exists {
        let text = format!("service {} is not found!", grouped_name(&service));
        return Err(Failure::text(StatusCode::NOT_FOUND, text));
    }
    let wanted: Vec<&Arc<Instance>> = snapshot
        .instances
        .iter()
        .filter(|one| healthy.is_none_or(|is| one.healthy == is) && enabled.is_none_or(|is| one.enabled == is))
        .collect();
    let offset = (page - 1).saturating_mul(size);
    if offset > 0 && offset >= wanted.len() {
        return Ok(result::well(&json!({ "count": wanted.len() })));
    }
    let shown: Vec<_> = wanted
        .iter()
        .skip(offset)
        .take(size)
        .map(|one| host(&service, one))
        .collect();
    let (instances, count) = (json!(shown), wanted.len());
    Ok(result::well(&json!({ "instances": instances, "count": count })))
}
