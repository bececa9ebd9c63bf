//! What must hold, a file for each promise. Each says what it allows and why.
//!
//! They look at what nodes hold and show, at what doors noted they carried out, and at what clients were told; never at
//! what the product says of itself alone.

mod dead_are_gone;
mod deregistered_stay_gone;
mod linearizable;
mod living_are_listed;
mod never_older;
mod opened_show_all;
mod ready_again;
mod same_order;
mod stores_converge;
mod subscribers_converge;

use crate::names::Key;
use crate::world::{Running, World};

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    pub promise: &'static str,
    pub what: String,
}

pub trait Invariant {
    /// After every millisecond; what doors noted in it is in `facts.fresh`.
    fn at_each_turn(&mut self, _world: &World) -> Result<(), Violation> {
        Ok(())
    }

    /// Every 20 ms.
    fn look(&mut self, _world: &World) -> Result<(), Violation> {
        Ok(())
    }

    fn at_the_end(&mut self, _world: &World) -> Result<(), Violation> {
        Ok(())
    }
}

pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(same_order::SameOrder::default()),
        Box::new(linearizable::Linearizable::default()),
        Box::new(living_are_listed::LivingAreListed::default()),
        Box::new(dead_are_gone::DeadAreGone::default()),
        Box::new(deregistered_stay_gone::DeregisteredStayGone::default()),
        Box::new(stores_converge::StoresConverge::default()),
        Box::new(never_older::NeverOlder::default()),
        Box::new(subscribers_converge::SubscribersConverge::default()),
        Box::new(opened_show_all::OpenedShowAll::default()),
        Box::new(ready_again::ReadyAgain::default()),
    ]
}

/// Whether a node lists an instance to its clients, and as healthy.
fn listed(running: &Running, key: Key) -> Option<bool> {
    let listed = running.within(|parts| {
        let snapshot = parts.core.naming.snapshot(&key.service.key());
        let instances = snapshot.instances.iter();
        let mut found =
            instances.filter(|instance| instance.key.port == key.port && instance.kind == key.service.kind());
        found.next().map(|instance| instance.healthy)
    });
    listed.flatten()
}
