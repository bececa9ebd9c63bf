//! Registrations that nobody takes back: what was acknowledged is there ever after.

use super::{Stage, weight_of};
use muster_history::{Operation, Value};
use std::time::Duration;
use tokio::task::JoinSet;

const CLIENTS: u32 = 4;
/// So many of one client, then it goes on in another service, so that lists stay short.
const PER_SERVICE: u32 = 60;

pub(super) fn start(stage: &Stage, tasks: &mut JoinSet<()>) {
    for number in 0..CLIENTS {
        tasks.spawn(writer(stage.clone(), number));
    }
    tasks.spawn(reader(stage.clone()));
}

async fn writer(stage: Stage, number: u32) {
    let (client, mut dice) = stage.client();
    for count in 0.. {
        if !stage.storms() {
            return;
        }
        let service = format!("set-{}", count / PER_SERVICE);
        stage.uses(&service);
        let tag = stage.tag();
        let operation = Operation::Register {
            instance: format!("10.65.{number}.{}:80", count % PER_SERVICE + 1),
            value: Value {
                weight: weight_of(tag),
                tag,
            },
        };
        let place = stage.place(&mut dice);
        client.write(&place, &service, operation).await;
        stage.pause(dice.between_ms(5, 40)).await;
    }
}

async fn reader(stage: Stage) {
    let (client, mut dice) = stage.client();
    while stage.storms() {
        let services: Vec<_> = stage
            .services()
            .into_iter()
            .filter(|it| it.starts_with("set-"))
            .collect();
        if !services.is_empty() {
            let service = &services[dice.below(services.len())];
            let place = stage.place(&mut dice);
            if dice.once_in(2) {
                client.strong_read(&place, service).await;
            } else {
                client.local_read(&place, service).await;
            }
        }
        stage.pause(Duration::from_millis(150)).await;
    }
}
