//! `/v1/console/namespaces`. Namespaces need no creating here: those that hold a service are listed, and `public` always.

use super::core_cluster::rest_result;
use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use muster_wire::namespace_of;
use serde_json::{Value, json};

const PUBLIC: &str = "public";

/// The id of the default namespace in this list is empty, as in 1.4 and 2.x; everywhere else it is `public`.
fn row(id: &str, services: usize) -> Value {
    let is_public = id == PUBLIC;
    json!({
        "namespace": if is_public { "" } else { id },
        "namespaceShowName": id,
        "namespaceDesc": null,
        "quota": 200,
        "configCount": 0,
        "type": if is_public { 0 } else { 2 },
        "serviceCount": services,
    })
}

pub(super) fn namespaces(call: &Call<'_>) -> Result<Reply, Failure> {
    let used = call.naming.namespaces();
    let services_of = |asked: &str| {
        let found = used.iter().find(|(id, _)| id.as_str() == asked);
        found.map(|(_, services)| *services)
    };
    if call.form.is_true("checkNamespaceIdExist") {
        let asked = call.form.optional("customNamespaceId").unwrap_or(PUBLIC);
        return Ok(Reply::json(&(asked == PUBLIC || services_of(asked).is_some())));
    }
    if call.form.optional("show") == Some("all") {
        let namespace = namespace_of(&call.form)?;
        let services = services_of(namespace.as_str()).unwrap_or(0);
        return Ok(Reply::json(&row(namespace.as_str(), services)));
    }
    let others = used.iter().filter(|(id, _)| id.as_str() != PUBLIC);
    let rows: Vec<Value> = std::iter::once(row(PUBLIC, services_of(PUBLIC).unwrap_or(0)))
        .chain(others.map(|(id, services)| row(id.as_str(), *services)))
        .collect();
    Ok(rest_result(rows))
}
