//! `/v1/core/cluster`: the members, in Nacos's form.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use muster_membership::MemberView;
use serde::Serialize;
use serde_json::{Value, json};

/// `{"code":200,"message":null,"data":…}`.
pub(super) fn rest_result(data: impl Serialize) -> Reply {
    Reply::json(&json!({ "code": 200, "message": null, "data": data }))
}

fn state(seen: &MemberView) -> &'static str {
    match (seen.alive, seen.ready) {
        (false, _) => "DOWN",
        (true, false) => "STARTING",
        (true, true) => "UP",
    }
}

/// A member as Nacos writes one.
pub(super) fn member(call: &Call<'_>, seen: &MemberView) -> Value {
    let address = &seen.member.client_address;
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    json!({
        "ip": ip,
        "port": port.parse::<u16>().unwrap_or(0),
        "state": state(seen),
        "extendInfo": {"version": call.site.config.version, "id": seen.member.id.0},
        "address": address,
        "failAccessCnt": 0,
    })
}

pub(super) fn local(call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.naming.membership().view();
    let local = view.members.iter().find(|seen| seen.member.id == view.local);
    Ok(rest_result(local.map(|seen| member(call, seen))))
}

pub(super) fn nodes(call: &Call<'_>) -> Result<Reply, Failure> {
    let keyword = call.form.optional("keyword").unwrap_or("");
    let view = call.naming.membership().view();
    let mut found: Vec<&MemberView> = view
        .members
        .iter()
        .filter(|seen| seen.member.client_address.starts_with(keyword))
        .collect();
    found.sort_by(|a, b| a.member.client_address.cmp(&b.member.client_address));
    let nodes: Vec<Value> = found.into_iter().map(|seen| member(call, seen)).collect();
    Ok(rest_result(nodes))
}

pub(super) fn simple_nodes(call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.naming.membership().view();
    let mut addresses: Vec<&str> = view
        .members
        .iter()
        .map(|seen| seen.member.client_address.as_str())
        .collect();
    addresses.sort_unstable();
    Ok(rest_result(addresses))
}

pub(super) fn health(call: &Call<'_>) -> Result<Reply, Failure> {
    let state = if call.site.readiness().ready { "UP" } else { "STARTING" };
    Ok(rest_result(state))
}
