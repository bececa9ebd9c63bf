//! Many clients on few instances.

use super::{Stage, weight_of};
use crate::dice::Dice;
use muster_history::{Edit, Operation, Value};
use tokio::task::JoinSet;

const SERVICES: usize = 2;
const INSTANCES: usize = 3;
const CLIENTS: usize = 6;

pub(super) fn start(stage: &Stage, tasks: &mut JoinSet<()>) {
    for _ in 0..CLIENTS {
        tasks.spawn(client(stage.clone()));
    }
}

async fn client(stage: Stage) {
    let (client, mut dice) = stage.client();
    while stage.storms() {
        let service = format!("register-{}", dice.below(SERVICES));
        stage.uses(&service);
        let place = stage.place(&mut dice);
        match dice.below(10) {
            0..4 => drop(client.strong_read(&place, &service).await),
            4 => drop(client.local_read(&place, &service).await),
            _ => {
                let operation = write(&stage, &mut dice);
                client.write(&place, &service, operation).await;
            }
        }
        stage.pause(dice.between_ms(5, 60)).await;
    }
}

fn write(stage: &Stage, dice: &mut Dice) -> Operation {
    let instance = format!("10.64.0.{}:80", dice.below(INSTANCES) + 1);
    let tag = stage.tag();
    let weight = weight_of(tag);
    match dice.below(6) {
        0..3 => Operation::Register {
            instance,
            value: Value { weight, tag },
        },
        3 => Operation::Deregister { instance },
        4 => Operation::Edit {
            instance,
            edit: Edit {
                weight: Some(weight),
                tag: None,
            },
        },
        _ => Operation::Edit {
            instance,
            edit: Edit {
                weight: None,
                tag: Some(tag),
            },
        },
    }
}
