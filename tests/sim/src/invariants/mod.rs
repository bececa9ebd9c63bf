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

use crate::world::World;

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

    /// Every 40 ms.
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
        Box::new(dead_are_gone::DeadAreGone),
        Box::new(deregistered_stay_gone::DeregisteredStayGone::default()),
        Box::new(stores_converge::StoresConverge::default()),
        Box::new(never_older::NeverOlder::default()),
        Box::new(subscribers_converge::SubscribersConverge::default()),
        Box::new(opened_show_all::OpenedShowAll::default()),
        Box::new(ready_again::ReadyAgain),
    ]
}
