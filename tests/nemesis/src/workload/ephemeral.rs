//! Publishers that beat as unmodified clients do: at one node, and at the next when that does not answer.

use super::Stage;
use crate::client::{Client, Place};
use crate::dice::Dice;
use muster_history::{Event, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

pub(super) const SERVICE: &str = "beating";
const PUBLISHERS: usize = 20;
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A paused node takes no beat; the client takes it elsewhere.
const BEAT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The publishers' own lease times: unhealthy after 4 s, removed after 9 s.
const LEASE: &str = r#"{"preserved.heart.beat.interval":"1000","preserved.heart.beat.timeout":"4000","preserved.ip.delete.timeout":"9000"}"#;
/// Whoever could not beat for so long can blame nobody for being removed. Under the delete timeout by what a beat may take.
const GAP_MAX_US: Time = 6_000_000;

pub(super) fn start(stage: &Stage, tasks: &mut JoinSet<()>) {
    let addresses = Arc::new(AtomicU32::new(0));
    stage.uses(SERVICE);
    for _ in 0..PUBLISHERS {
        tasks.spawn(publisher(stage.clone(), addresses.clone()));
    }
    tasks.spawn(reader(stage.clone()));
}

/// One life after the other, each under an address of its own.
async fn publisher(stage: Stage, addresses: Arc<AtomicU32>) {
    let (client, mut dice) = stage.client();
    stage.pause(dice.between_ms(0, 1_000)).await;
    while stage.storms() {
        let number = addresses.fetch_add(1, Ordering::Relaxed);
        let instance = format!("10.66.{}.{}:80", number / 250, number % 250 + 1);
        live(&stage, &client, &mut dice, &instance).await;
        stage.pause(dice.between_ms(200, 1_500)).await;
    }
}

async fn live(stage: &Stage, client: &Client, dice: &mut Dice, instance: &str) {
    let mut number = dice.below(1 << 16);
    let mut place = stage.places.nth(number);
    let registered = client.register_ephemeral(&place, SERVICE, instance, LEASE).await;
    let mut last_beat_us = stage.recorder.now();
    if registered {
        lives_at(stage, instance, &place);
    }
    // one that was not acknowledged may be there none the less, and goes by its lease
    while registered && !stage.is_over() {
        stage.pause(BEAT_EVERY).await;
        if stage.storms() {
            match dice.below(40) {
                0 => break,
                1 => {
                    client.deregister_ephemeral(&place, SERVICE, instance).await;
                    break;
                }
                // goes elsewhere, as a client whose list of servers has changed
                2 => number += 1,
                _ => {}
            }
        }
        for _ in 0..stage.places.all().len() {
            let next = stage.places.nth(number);
            let moved = next != place;
            place = next;
            let sent_us = stage.recorder.now();
            if client.beat(&place, SERVICE, instance, LEASE, BEAT_TIMEOUT).await {
                if sent_us.saturating_sub(last_beat_us) > GAP_MAX_US {
                    break;
                }
                last_beat_us = stage.recorder.now();
                if moved {
                    lives_at(stage, instance, &place);
                }
                break;
            }
            number += 1;
        }
        if stage.recorder.now().saturating_sub(last_beat_us) > GAP_MAX_US {
            break;
        }
    }
    if !stage.is_over() || !registered {
        stage.recorder.add(Event::Silent {
            service: SERVICE.to_owned(),
            instance: instance.to_owned(),
            last_beat_us,
            at_us: stage.recorder.now(),
        });
    }
}

fn lives_at(stage: &Stage, instance: &str, place: &Place) {
    stage.recorder.add(Event::Lives {
        service: SERVICE.to_owned(),
        instance: instance.to_owned(),
        node: place.id,
        at_us: stage.recorder.now(),
    });
}

/// Asks all nodes in turn, to the end.
async fn reader(stage: Stage) {
    let (client, _) = stage.client();
    for number in 0.. {
        if stage.is_over() {
            return;
        }
        let place = stage.places.nth(number);
        client.local_read(&place, SERVICE).await;
        stage.pause(Duration::from_millis(100)).await;
    }
}
