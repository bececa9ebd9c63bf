//! `PUT /v1/ns/instance/beat`.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use muster_naming::{Beat, BeatAnswer};
use muster_wire::{BeatForm, answers, parse_beat};
use std::time::Duration;

/// The instance is known, or was registered from the beat.
const RENEWED: u16 = 10_200;
/// Nobody knows it: the client is to register again. Inside a 200, else a Java client would ask every server (T-14).
const UNKNOWN: u16 = 20_404;

/// Takes a full or a light beat.
pub(super) fn beat(call: &Call<'_>) -> Result<Reply, Failure> {
    take(call, parse_beat(&call.form)?)
}

/// The same for a beat that was read already.
pub(super) fn take(call: &Call<'_>, form: BeatForm) -> Result<Reply, Failure> {
    let switches = call.naming.switches();
    let answer = |code, interval: Duration| {
        Reply::json(&answers::BeatAnswer {
            client_beat_interval: interval.as_millis() as u64,
            code,
            light_beat_enabled: switches.light_beat,
        })
    };
    let beat = match form.instance {
        Some(instance) => Beat::Full(instance),
        None => Beat::Light(form.key),
    };
    Ok(match call.naming.beat(&call.context, &form.service, beat)? {
        BeatAnswer::Renewed { interval } => answer(RENEWED, interval),
        BeatAnswer::Unknown { interval } => answer(UNKNOWN, interval),
    })
}
