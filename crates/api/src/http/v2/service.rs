//! `/v2/ns/service`.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::{
    PAGE, PAGE_SIZE_20, PAGE_SIZE_MAX, SELECTOR, SERVICE_EPHEMERAL, SERVICE_METADATA, THRESHOLD,
};
use crate::http::reply::Reply;
use crate::http::result::{self, Code};
use crate::http::service::{NO_SUCH_SELECTOR, selects_all, threshold};
use hyper::StatusCode;
use muster_model::{GroupName, ServiceKey, ServiceSettings, ServiceSnapshot};
use muster_naming::{Error, ServiceFilter};
use muster_wire::{GROUP, answers::v2, bound_metadata, bound_namespace, bound_service, grouped_name};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The settings that a form gives a service. `ephemeral` is read and not heeded: a service takes instances of either kind
/// (T-18).
fn settings(call: &Call<'_>) -> Result<ServiceSettings, Failure> {
    let form = &call.form;
    SERVICE_EPHEMERAL.truth(form)?;
    if !selects_all(SELECTOR.read(form)?) {
        return Err(Failure::detailed(
            StatusCode::BAD_REQUEST,
            Code::Selector,
            NO_SUCH_SELECTOR,
        ));
    }
    Ok(ServiceSettings {
        protect_threshold: threshold(THRESHOLD.value(form)?)?,
        metadata: bound_metadata(&SERVICE_METADATA, form)?.unwrap_or_default(),
        clusters: BTreeMap::new(),
    })
}

fn not_found(service: &ServiceKey) -> Failure {
    Failure::detailed(
        StatusCode::BAD_REQUEST,
        Code::ServiceNotFound,
        format!("service {} not found!", grouped_name(service)),
    )
}

pub(in crate::http) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let settings = settings(call)?;
    call.naming.create_service(&call.context, &service, settings).await?;
    Ok(result::ok())
}

pub(in crate::http) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let settings = settings(call)?;
    let updated = call
        .naming
        .update_service(&call.context, &service, settings.protect_threshold, settings.metadata)
        .await;
    match updated {
        Ok(()) => Ok(result::ok()),
        Err(Error::ServiceNotFound(service)) => Err(not_found(&service)),
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) async fn delete(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    match call.naming.delete_service(&call.context, &service).await {
        Ok(()) => Ok(result::ok()),
        Err(Error::ServiceNotFound(service)) => Err(not_found(&service)),
        Err(error) => Err(error.into()),
    }
}

/// The service that a form names, if there is one.
pub(in crate::http) fn existing(call: &Call<'_>) -> Result<Arc<ServiceSnapshot>, Failure> {
    let service = bound_service(&call.form)?;
    let snapshot = call.naming.snapshot(&service);
    if snapshot.exists {
        Ok(snapshot)
    } else {
        Err(not_found(&service))
    }
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(result::well(&v2::ServiceDetail::new(&*existing(call)?)))
}

/// Names of one group, bare and in a stable order over pages.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let number = |value: Option<i32>| usize::try_from(value.unwrap_or(0)).unwrap_or(0);
    let page = number(PAGE.int(form)?);
    let size = number(PAGE_SIZE_20.int(form)?).min(PAGE_SIZE_MAX);
    let filter = ServiceFilter {
        namespace: bound_namespace(form)?,
        group: Some(GroupName::parse(GROUP.value(form)?).map_err(muster_wire::Refusal::from)?),
    };
    let offset = page.saturating_sub(1).saturating_mul(size);
    let found = call.naming.services(&filter, offset, size);
    let services: Vec<&str> = found.services.iter().map(|service| service.name().as_str()).collect();
    Ok(result::well(&json!({ "count": found.total, "services": services })))
}
