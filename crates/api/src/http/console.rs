//! `/v1/console/namespaces`. Namespaces need no creating here: those that hold a service are listed, and `public` always.

use super::core_cluster::rest_result;
use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use muster_wire::namespace_of;
use serde_json::{Value, json};

const PUBLIC: &str = "public";

/// A namespace, and how many services it holds. `public` goes by the id `""` in 1.4 and 2.x, and by its name in 3.x.
pub(super) fn row(id: &str, public_id: &str, services: usize) -> Value {
    let is_public = id == PUBLIC;
    json!({
        "namespace": if is_public { public_id } else { id },
        "namespaceShowName": id,
        "namespaceDesc": null,
        "quota": 200,
        "configCount": 0,
        "type": if is_public { 0 } else { 2 },
        "serviceCount": services,
    })
}

/// All namespaces, `public` first.
pub(super) fn rows(call: &Call<'_>, public_id: &str) -> Vec<Value> {
    let used = call.naming.namespaces();
    let others = used.iter().filter(|(id, _)| id.as_str() != PUBLIC);
    std::iter::once(row(PUBLIC, public_id, services_of(call, PUBLIC).unwrap_or(0)))
        .chain(others.map(|(id, services)| row(id.as_str(), public_id, *services)))
        .collect()
}

/// How many services a namespace holds; none for one that nobody uses, but for `public`, which is always there.
pub(super) fn services_of(call: &Call<'_>, asked: &str) -> Option<usize> {
    let used = call.naming.namespaces();
    let found = used.iter().find(|(id, _)| id.as_str() == asked);
    found.map(|(_, services)| *services).or((asked == PUBLIC).then_some(0))
}

pub(super) fn namespaces(call: &Call<'_>) -> Result<Reply, Failure> {
    if call.form.is_true("checkNamespaceIdExist") {
        let asked = call.form.optional("customNamespaceId").unwrap_or(PUBLIC);
        return Ok(Reply::json(&services_of(call, asked).is_some()));
    }
    if call.form.optional("show") == Some("all") {
        let namespace = namespace_of(&call.form)?;
        let services = services_of(call, namespace.as_str()).unwrap_or(0);
        return Ok(Reply::json(&row(namespace.as_str(), "", services)));
    }
    Ok(rest_result(rows(call, "")))
}
