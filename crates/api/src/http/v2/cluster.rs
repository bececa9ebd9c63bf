//! `/v2/core/cluster`: the members.

use crate::http::core_cluster::{members, own_state, state, this_node as local};
use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::{ADDRESS_START, STATE};
use crate::http::reply::Reply;
use crate::http::result::{self, Code};
use hyper::StatusCode;

/// What Nacos knows; here a member is one of the first, the second or `DOWN`.
const STATES: [&str; 5] = ["STARTING", "UP", "SUSPICIOUS", "DOWN", "ISOLATION"];

pub(in crate::http) fn this_node(call: &Call<'_>) -> Reply {
    result::well(&local(call))
}

pub(in crate::http) fn health(call: &Call<'_>) -> Reply {
    result::well(&own_state(call))
}

pub(in crate::http) fn nodes(call: &Call<'_>) -> Result<Reply, Failure> {
    let address = ADDRESS_START.read(&call.form)?.unwrap_or("");
    let asked = match STATE.read(&call.form)? {
        None => None,
        Some(text) => match STATES.iter().find(|known| text.eq_ignore_ascii_case(known)) {
            Some(known) => Some(*known),
            None => {
                return Err(Failure::detailed(
                    StatusCode::BAD_REQUEST,
                    Code::IllegalState,
                    format!("Illegal state: {text}"),
                ));
            }
        },
    };
    let found = members(call, |seen| {
        seen.member.client_address.starts_with(address) && asked.is_none_or(|asked| asked == state(seen))
    });
    Ok(result::well(&found))
}
