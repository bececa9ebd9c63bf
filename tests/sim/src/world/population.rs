//! Who uses the cluster.

use super::plan::Plan;
use crate::clients::{Beater, Client, Connected, Subscriber, Writer};
use crate::names::Service;
use crate::random::Random;
use muster_model::MemberId;

/// The clients of `plan`, each beginning at one of `servers`.
pub(super) fn population(plan: &Plan, servers: &[MemberId], random: &mut Random) -> Vec<Box<dyn Client>> {
    let mut clients: Vec<Box<dyn Client>> = Vec::new();
    let server = |random: &mut Random| *random.pick(servers);
    for number in 0..plan.beaters {
        let service = Service::Ephemeral((number % plan.ephemeral_services) as u16);
        let (stays, light) = (random.chance(350), random.chance(400));
        clients.push(Box::new(Beater::new(
            clients.len(),
            service,
            server(random),
            stays,
            light,
        )));
    }
    for number in 0..plan.connected {
        let service = Service::Ephemeral((number % plan.ephemeral_services) as u16);
        let stays = random.chance(400);
        clients.push(Box::new(Connected::new(clients.len(), service, server(random), stays)));
    }
    for number in 0..plan.subscribers {
        let service = match number % 3 {
            2 => Service::Persistent((number % plan.persistent_services) as u16),
            _ => Service::Ephemeral((number % plan.ephemeral_services) as u16),
        };
        clients.push(Box::new(Subscriber::new(clients.len(), service, server(random))));
    }
    for number in 0..plan.writers {
        let service = Service::Persistent((number % plan.persistent_services) as u16);
        clients.push(Box::new(Writer::new(clients.len(), service, server(random))));
    }
    clients
}
