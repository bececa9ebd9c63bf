//! Persistent instances that come, change and go.

use super::book::{Book, Desk, Phase};
use crate::http::Spec;
use anyhow::Result;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const WORKERS: usize = 3;
const INSTANCES_EACH: usize = 40;
const SERVICES: usize = 10;
/// Of each worker: 18 writes a second in all, each of some 4 KB in the log, so that a segment of 64 MiB is full after a
/// quarter of an hour, and with it the memory of the newest entries.
const CHANGE_EVERY: Duration = Duration::from_millis(166);
/// Below the 1,024 that metadata may have, of four bytes each.
const METADATA_CHARS: usize = 1_000;

pub(super) fn start(book: &Book, workers: &mut JoinSet<Result<()>>) {
    for worker in 0..WORKERS {
        workers.spawn(change(Desk::new(book, worker), worker));
    }
}

async fn change(mut desk: Desk, worker: usize) -> Result<()> {
    let mut all: Vec<(Spec, bool)> = (0..INSTANCES_EACH)
        .map(|number| {
            let service = format!("persistent-{}", (worker * INSTANCES_EACH + number) % SERVICES);
            let spec = Spec::persistent(&service, &format!("10.4.{worker}.{number}"), 80);
            (spec, false)
        })
        .collect();
    while desk.book.phase() == Phase::Churn {
        let next = Instant::now() + CHANGE_EVERY;
        let chosen = desk.dice.throw(all.len());
        let (spec, is_there) = &mut all[chosen];
        if *is_there && desk.dice.percent(20) {
            *is_there = !desk.deregister("persistent deregistrations", spec).await;
        } else {
            spec.metadata = long_metadata(desk.dice.next());
            *is_there |= desk.register("persistent registrations", spec).await;
        }
        desk.book.rest(next.saturating_duration_since(Instant::now())).await;
    }
    Ok(())
}

fn long_metadata(number: u64) -> String {
    // 16 of the signs that follow U+1F400, each four bytes long
    let sign = char::from_u32(0x1f400 + (number % 16) as u32).unwrap_or('x');
    format!(
        r#"{{"n":"{number:020}","k":"{}"}}"#,
        sign.to_string().repeat(METADATA_CHARS - 22)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_long_and_within_the_limit() {
        let json: serde_json::Value = serde_json::from_str(&long_metadata(7)).unwrap();
        let chars: usize = json
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| key.chars().count() + value.as_str().unwrap().chars().count())
            .sum();
        assert!((900..=1_024).contains(&chars), "{chars}");
    }
}
