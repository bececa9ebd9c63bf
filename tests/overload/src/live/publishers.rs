//! Instances that live by their beats.

use super::{ANSWER_WITHIN, Kept, Notes, micros, ticks};
use crate::http::{Answer, Spec};
use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) const SERVICE: &str = "live";
pub(super) const COUNT: usize = 20;

const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Beaten every second, unhealthy after six, gone after twelve: a starved publisher shows within a short scene, and a machine
/// that eight others use too may pause for a moment.
const LEASE_MS: (u32, u32, u32) = (1_000, 6_000, 12_000);

pub(super) async fn start(node: SocketAddr, notes: &Notes, tasks: &mut JoinSet<()>) -> Result<()> {
    for number in 0..COUNT {
        let spec = Spec::ephemeral(SERVICE, &format!("10.7.0.{number}"), 80);
        let spec = spec.with_lease_ms(LEASE_MS.0, LEASE_MS.1, LEASE_MS.2);
        let mut kept = Kept::to(node);
        kept.call(&spec.register(), ANSWER_WITHIN).await?.ok()?;
        tasks.spawn(beat(kept, spec, notes.clone()));
    }
    Ok(())
}

async fn beat(mut kept: Kept, spec: Spec, notes: Notes) {
    let (request, mut ticks) = (spec.beat(), ticks(BEAT_EVERY));
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let answer = kept.call(&request, ANSWER_WITHIN).await.and_then(Answer::ok);
        notes.note(|figures| match answer {
            Ok(_) => figures.beats.saturating_record(micros(began)),
            Err(error) => {
                figures.beats_failed += 1;
                figures.last_failure = format!("beat: {error:#}");
            }
        });
    }
}

/// How many instances a list has, and how many of them are healthy.
pub(super) fn seen(body: &[u8]) -> (usize, usize) {
    let Ok(list) = serde_json::from_slice::<serde_json::Value>(body) else {
        return (0, 0);
    };
    let hosts = list["hosts"].as_array().map_or(&[][..], Vec::as_slice);
    (hosts.len(), hosts.iter().filter(|host| host["healthy"] == true).count())
}
