//! `/v1/ns/service`: services, their names and their subscribers.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use super::subscribers::{self, Identity, Question, Subscribers, Words};
use hyper::StatusCode;
use muster_model::{Metadata, NamespaceId, ServiceKey, ServiceSettings};
use muster_naming::{Error, ServiceFilter};
use muster_wire::{Refusal, ServiceParam, answers, group_of, grouped_name, namespace_of, parse_metadata, service_of};
use serde_json::json;
use std::collections::BTreeMap;

/// A protection threshold.
pub(super) fn threshold(text: &str) -> Result<f32, Refusal> {
    let value: f32 = text.parse().map_err(|_| Refusal::NotANumber(text.to_owned()))?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Refusal::Text(
            "Param 'protectThreshold' is illegal, the value should be between 0 and 1.".to_owned(),
        ))
    }
}

fn metadata(call: &Call<'_>) -> Result<Metadata, Refusal> {
    call.form
        .optional("metadata")
        .map_or(Ok(Metadata::default()), parse_metadata)
}

/// What is said to every selector but the empty one.
pub(super) const NO_SUCH_SELECTOR: &str = "not match any type of selector!";

/// Selectors are not built; the empty one is all that is taken.
pub(super) fn selects_all(selector: Option<&str>) -> bool {
    selector.is_none_or(|text| {
        serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .and_then(|selector| Some(selector.get("type")?.as_str()?.eq_ignore_ascii_case("none")))
            .unwrap_or(false)
    })
}

fn check_selector(call: &Call<'_>) -> Result<(), Failure> {
    if selects_all(call.form.optional("selector")) {
        return Ok(());
    }
    Err(Failure::text(StatusCode::BAD_REQUEST, NO_SUCH_SELECTOR))
}

/// Creates a service that may hold instances of either kind, as 1.4 does; 2.4 makes a persistent one (T-18).
pub(super) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Declared)?;
    check_selector(call)?;
    let settings = ServiceSettings {
        protect_threshold: threshold(call.form.optional("protectThreshold").unwrap_or("0"))?,
        metadata: metadata(call)?,
        clusters: BTreeMap::new(),
    };
    call.naming.create_service(&call.context, &service, settings).await?;
    Ok(Reply::ok())
}

fn not_found(service: &ServiceKey) -> Failure {
    Failure::text(
        StatusCode::BAD_REQUEST,
        format!("service {} not found!", grouped_name(service)),
    )
}

pub(super) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Declared)?;
    let threshold = threshold(call.form.required("protectThreshold")?)?;
    let metadata = metadata(call)?;
    check_selector(call)?;
    match call
        .naming
        .update_service(&call.context, &service, threshold, metadata)
        .await
    {
        Ok(()) => Ok(Reply::ok()),
        Err(Error::ServiceNotFound(service)) => Err(not_found(&service)),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Declared)?;
    match call.naming.delete_service(&call.context, &service).await {
        Ok(()) => Ok(Reply::ok()),
        Err(Error::ServiceNotFound(service)) => Err(not_found(&service)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Declared)?;
    let snapshot = call.naming.snapshot(&service);
    if !snapshot.exists {
        return Err(Failure::text(
            StatusCode::NOT_FOUND,
            format!("service {} is not found!", grouped_name(&service)),
        ));
    }
    Ok(Reply::json(&answers::ServiceDetail::new(&snapshot)))
}

/// Names, bare and in a stable order over pages (T-29). Group `*` is all groups; names then keep theirs, as in 1.4.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    form.required("pageNo")?;
    form.required("pageSize")?;
    let page = i64::from(form.int_or_zero("pageNo").unwrap_or(0));
    let size = i64::from(form.int_or_zero("pageSize").unwrap_or(0)).max(0);
    let all_groups = form.optional("groupName") == Some("*");
    let filter = ServiceFilter {
        namespace: namespace_of(form)?,
        group: if all_groups { None } else { Some(group_of(form)?) },
    };
    let offset = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(0);
    let found = call.naming.services(&filter, offset, size as usize);
    let doms: Vec<String> = found
        .services
        .iter()
        .map(|service| match all_groups {
            true => grouped_name(service).to_string(),
            false => service.name().to_string(),
        })
        .collect();
    Ok(Reply::json(&json!({ "count": found.total, "doms": doms })))
}

/// All names, under the key that 1.4 used and the one that 2.4 uses by mistake (T-27).
pub(super) fn names(call: &Call<'_>) -> Result<Reply, Failure> {
    let fragment = call.form.optional("expr").unwrap_or("");
    let namespaces: Vec<NamespaceId> = match call.form.optional("namespaceId") {
        Some(_) => vec![namespace_of(&call.form)?],
        None => call.naming.namespaces().into_iter().map(|(id, _)| id).collect(),
    };
    let (mut bare, mut grouped, mut count) = (BTreeMap::new(), BTreeMap::new(), 0);
    for namespace in namespaces {
        let filter = ServiceFilter {
            namespace: namespace.clone(),
            group: None,
        };
        let found = call.naming.services(&filter, 0, usize::MAX);
        let matching: Vec<&ServiceKey> = found
            .services
            .iter()
            .filter(|service| service.name().as_str().contains(fragment))
            .collect();
        count += matching.len();
        let texts = |text: &dyn Fn(&ServiceKey) -> String| matching.iter().map(|s| text(s)).collect::<Vec<_>>();
        bare.insert(namespace.to_string(), texts(&|service| service.name().to_string()));
        grouped.insert(
            namespace.to_string(),
            texts(&|service| grouped_name(service).to_string()),
        );
    }
    Ok(Reply::json(
        &json!({ "services": bare, "META-INF/services": grouped, "count": count }),
    ))
}

/// Subscribers of all living members, or with `aggregation=false` of this node alone. Group and name match by what they
/// contain, as in Nacos.
pub(super) async fn subscribers(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Required)?;
    let page = i64::from(call.form.int_or_zero("pageNo").unwrap_or(1));
    let size = i64::from(call.form.int_or_zero("pageSize").unwrap_or(1_000)).max(0);
    let found = subscribed(call, &service, call.form.strict_flag("aggregation")?.unwrap_or(true)).await;
    let offset = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(0);
    let shown: Vec<_> = found.iter().skip(offset).take(size as usize).map(subscriber).collect();
    Ok(Reply::json(&json!({ "count": found.len(), "subscribers": shown })))
}

/// Who subscribes to services whose group and name contain those of `service`.
pub(super) async fn subscribed(call: &Call<'_>, service: &ServiceKey, of_all_members: bool) -> Subscribers {
    let (question, push) = (Question::of(service), call.naming.push());
    if !of_all_members {
        return subscribers::here(push, &question);
    }
    let view = call.naming.membership().view();
    let peers: Vec<_> = view.living_peers().map(|member| member.id).collect();
    subscribers::everywhere(call.site, push, &peers, &question).await
}

fn subscriber((identity, words): (&Identity, &Words)) -> serde_json::Value {
    json!({
        "addrStr": identity.target.to_string(),
        "agent": words.agent,
        "app": words.app,
        "ip": identity.target.ip().to_string(),
        "port": identity.target.port(),
        "namespaceId": identity.service.namespace().as_str(),
        "serviceName": grouped_name(&identity.service).to_string(),
        "cluster": identity.clusters,
    })
}

pub(super) fn selector_types() -> Reply {
    Reply::json(&json!({ "code": 200, "message": null, "data": ["none"] }))
}
