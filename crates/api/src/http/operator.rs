//! `/v1/ns/operator`: status, switches, push figures.

use super::core_cluster::member;
use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use crate::grpc::Connections;
use muster_naming::Switches;
use serde_json::json;

/// The status that every client's `getServerStatus` asks for. Counters come along unless `onlyStatus=true` is said, as
/// in 1.4: dashboards read them (T-54).
pub(super) fn metrics(call: &Call<'_>) -> Result<Reply, Failure> {
    let switches = call.naming.switches();
    let status = status(&switches);
    if call.form.is_true("onlyStatus") {
        return Ok(Reply::json(&json!({ "status": status })));
    }
    let counts = call.naming.counts();
    Ok(Reply::json(&json!({
        "status": status,
        "serviceCount": counts.services,
        "instanceCount": counts.instances,
        "subscribeCount": counts.subscriptions,
        "responsibleInstanceCount": counts.responsible_instances,
        "ephemeralIpPortClientCount": counts.ephemeral_instances,
        "persistentIpPortClientCount": counts.persistent_instances,
        "connectionBasedClientCount": connections(call),
        "raftNotifyTaskCount": 0,
    })))
}

/// What the node says of itself, or what an operator has it say.
pub(super) fn status(switches: &Switches) -> &str {
    switches.server_status.as_deref().unwrap_or("UP")
}

/// Clients that hold a connection to this node.
pub(super) fn connections(call: &Call<'_>) -> usize {
    call.site.connections().map_or(0, Connections::len)
}

pub(super) fn switches(call: &Call<'_>) -> Reply {
    Reply::json(&switch_object(&call.naming.switches()))
}

/// The switch object with its members' Nacos names. What we do not heed has Nacos's default.
pub(super) fn switch_object(switches: &Switches) -> serde_json::Value {
    json!({
        "name": "00-00---000-NACOS_SWITCH_DOMAIN-000---00-00",
        "masters": null,
        "adWeightMap": {},
        "defaultPushCacheMillis": switches.push_cache_ms,
        "clientBeatInterval": switches.client_beat_interval.as_millis() as u64,
        "defaultCacheMillis": switches.default_cache_ms,
        "distroThreshold": 0.7,
        "healthCheckEnabled": switches.health_check,
        "autoChangeHealthCheckEnabled": true,
        "distroEnabled": true,
        "enableStandalone": true,
        "pushEnabled": switches.push,
        "checkTimes": switches.check_times,
        "httpHealthParams": {"max": 5000, "min": 500, "factor": 0.85},
        "tcpHealthParams": {"max": 5000, "min": 1000, "factor": 0.75},
        "mysqlHealthParams": {"max": 3000, "min": 2000, "factor": 0.65},
        "incrementalList": [],
        "serverStatusSynchronizationPeriodMillis": 2000,
        "serviceStatusSynchronizationPeriodMillis": 5000,
        "disableAddIP": false,
        "sendBeatOnly": false,
        "lightBeatEnabled": switches.light_beat,
        "limitedUrlMap": {},
        "distroServerExpiredMillis": 10000,
        "pushGoVersion": "0.1.0",
        "pushJavaVersion": "0.1.0",
        "pushPythonVersion": "0.4.3",
        "pushCVersion": "1.0.12",
        "pushCSharpVersion": "0.9.0",
        "enableAuthentication": false,
        "overriddenServerStatus": switches.server_status,
        "defaultInstanceEphemeral": switches.default_ephemeral,
        "healthCheckWhiteList": [],
        "checksum": null,
    })
}

/// A switch that one node heeds and others do not would be none of the cluster's.
pub(super) const NO_LOCAL_SWITCHES: &str = "debug=true, a switch of this node alone, is not supported";

/// Sets a switch on every node. Entries that are not heeded are refused by name; Nacos says `ok` to them.
pub(super) async fn update_switch(call: &Call<'_>) -> Result<Reply, Failure> {
    let entry = call.form.declared("entry")?;
    let value = call.form.declared("value")?;
    if call.form.strict_flag("debug")?.unwrap_or(false) {
        return Err(muster_wire::Refusal::Text(NO_LOCAL_SWITCHES.to_owned()).into());
    }
    call.naming.set_switch(&call.context, entry, value).await?;
    Ok(Reply::ok())
}

pub(super) fn servers(call: &Call<'_>) -> Result<Reply, Failure> {
    let only_healthy = call.form.strict_flag("healthy")?.unwrap_or(false);
    let view = call.naming.membership().view();
    let servers: Vec<_> = view
        .members
        .iter()
        .filter(|seen| seen.alive || !only_healthy)
        .map(|seen| member(call, seen))
        .collect();
    Ok(Reply::json(&json!({ "servers": servers })))
}

/// Pushes of this node since it started. `reset` is refused: other readers count from the same figures.
pub(super) fn push_state(call: &Call<'_>) -> Result<Reply, Failure> {
    call.form.strict_flag("detail")?;
    if call.form.strict_flag("reset")?.unwrap_or(false) {
        return Err(muster_wire::Refusal::Text("reset=true is not supported".to_owned()).into());
    }
    let counts = call.naming.push().counts();
    let total = counts.acked + counts.failed;
    let ratio = if total == 0 {
        0.0
    } else {
        counts.acked as f64 / total as f64
    };
    Ok(Reply::json(
        &json!({ "succeed": counts.acked, "total": total, "ratio": ratio, "reset": false }),
    ))
}
