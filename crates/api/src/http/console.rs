//! `/v1/console/namespaces`. Namespaces need no creating here and are not kept: the list holds the one that all have.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use muster_naming::ServiceFilter;
use muster_wire::namespace_of;
use serde_json::{Value, json};

/// The id of the default namespace in this list is empty, as in 1.4 and 2.x; everywhere else it is `public`.
fn public(call: &Call<'_>) -> Value {
    json!({
        "namespace": "",
        "namespaceShowName": "public",
        "quota": 200,
        "configCount": 0,
        "type": 0,
        "serviceCount": services_of(call),
    })
}

fn services_of(call: &Call<'_>) -> usize {
    let filter = ServiceFilter {
        namespace: muster_model::NamespaceId::public(),
        group: None,
    };
    call.naming.services(&filter, 0, 0).total
}

pub(super) fn namespaces(call: &Call<'_>) -> Result<Reply, Failure> {
    if call.form.is_true("checkNamespaceIdExist") {
        let asked = call.form.optional("customNamespaceId").unwrap_or("public");
        return Ok(Reply::json(&(asked == "public")));
    }
    if call.form.optional("show") == Some("all") {
        let namespace = namespace_of(&call.form)?;
        return Ok(Reply::json(&json!({
            "namespace": namespace.as_str(),
            "namespaceShowName": namespace.as_str(),
            "namespaceDesc": null,
            "quota": 200,
            "configCount": 0,
            "type": if namespace.as_str() == "public" { 0 } else { 2 },
        })));
    }
    Ok(super::core_cluster::rest_result([public(call)]))
}
