//! `/v2/ns/operator`: status and switches.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::operator::{NO_LOCAL_SWITCHES, connections, status, switch_object};
use crate::http::parameters::{DEBUG, ENTRY, ONLY_STATUS, VALUE};
use crate::http::reply::Reply;
use crate::http::result;
use muster_wire::Refusal;
use serde_json::json;

pub(super) fn switches(call: &Call<'_>) -> Reply {
    result::well(&switch_object(&call.naming.switches()))
}

/// Sets a switch on every node. Entries that are not heeded are refused by name.
pub(in crate::http) async fn update_switch(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let (entry, value) = (ENTRY.value(form)?, VALUE.value(form)?);
    if DEBUG.truth(form)?.unwrap_or(false) {
        return Err(Refusal::Text(NO_LOCAL_SWITCHES.to_owned()).into());
    }
    call.naming.set_switch(&call.context, entry, value).await?;
    Ok(result::ok())
}

/// The status, with `onlyStatus=false` the counters. What is not measured (processor, load, memory) is left out, as Nacos
/// leaves out what it does not know.
pub(in crate::http) fn metrics(call: &Call<'_>) -> Result<Reply, Failure> {
    let only_status = ONLY_STATUS.truth(&call.form)?.unwrap_or(true);
    let switches = call.naming.switches();
    let status = status(&switches);
    if only_status {
        return Ok(result::well(&json!({ "status": status })));
    }
    let (counts, connections) = (call.naming.counts(), connections(call));
    Ok(result::well(&json!({
        "status": status,
        "serviceCount": counts.services,
        "instanceCount": counts.instances,
        "subscribeCount": counts.subscriptions,
        "clientCount": connections + counts.ephemeral_instances + counts.persistent_instances,
        "connectionBasedClientCount": connections,
        "ephemeralIpPortClientCount": counts.ephemeral_instances,
        "persistentIpPortClientCount": counts.persistent_instances,
        "responsibleClientCount": counts.responsible_instances,
    })))
}
