//! G7: "One node never shows a client an older list after a newer one, under clock skew too."
//!
//! In the order in which a node hands lists of a service to the network for one subscriber, as answers to polls or as
//! pushes: stamps never go back, and lists of one stamp are the same list.
//!
//! This is asked of each run of a node. After a restart its stamps may be below those from before it, if its wall clock was set
//! back meanwhile and it has heard of no later time. Then the subscriber is deaf until that time has passed;
//! `subscribers_converge` bounds it.

use super::{Invariant, Violation};
use crate::facts::{Fact, Run};
use crate::names::Service;
use crate::requests::List;
use crate::world::World;
use muster_push::Target;
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct NeverOlder {
    last: HashMap<(Run, Target, Service), List>,
}

impl Invariant for NeverOlder {
    fn at_each_turn(&mut self, world: &World) -> Result<(), Violation> {
        for (run, fact) in &world.facts.fresh {
            let Fact::Shown { to, list } = fact else { continue };
            let place = (*run, *to, list.service);
            if let Some(last) = self.last.get(&place)
                && (list.stamp_ms < last.stamp_ms
                    || (list.stamp_ms == last.stamp_ms && list.instances != last.instances))
            {
                return Err(Violation {
                    promise: "G7 never an older list after a newer one",
                    what: format!("member {} showed {to} {list:?} after {last:?}", run.member),
                });
            }
            self.last.insert(place, list.clone());
        }
        Ok(())
    }
}
