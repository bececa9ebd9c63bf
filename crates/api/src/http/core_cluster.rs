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

pub(super) fn state(seen: &MemberView) -> &'static str {
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

/// This node, if the group has taken it in.
pub(super) fn this_node(call: &Call<'_>) -> Option<Value> {
    let view = call.naming.membership().view();
    let local = view.members.iter().find(|seen| seen.member.id == view.local);
    local.map(|seen| member(call, seen))
}

/// The members that are `wanted`, by address.
pub(super) fn members(call: &Call<'_>, wanted: impl Fn(&MemberView) -> bool) -> Vec<Value> {
    let view = call.naming.membership().view();
    let mut found: Vec<&MemberView> = view.members.iter().filter(|seen| wanted(seen)).collect();
    found.sort_by(|a, b| a.member.client_address.cmp(&b.member.client_address));
    found.into_iter().map(|seen| member(call, seen)).collect()
}

pub(super) fn local(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(rest_result(this_node(call)))
}

pub(super) fn nodes(call: &Call<'_>) -> Result<Reply, Failure> {
    let keyword = call.form.optional("keyword").unwrap_or("");
    Ok(rest_result(members(call, |seen| {
        seen.member.client_address.starts_with(keyword)
    })))
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

/// `UP` or `STARTING`.
pub(super) fn own_state(call: &Call<'_>) -> &'static str {
    if call.site.readiness().ready { "UP" } else { "STARTING" }
}

pub(super) fn health(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(rest_result(own_state(call)))
}
