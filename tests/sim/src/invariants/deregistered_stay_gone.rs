//! G6: "A deregistered instance is not brought back by a beat in flight."
//!
//! - At the node that carried the deregistration out, a beat that comes within 5.8 s lists nothing (the product swallows
//!   for one beat interval and a second; a full beat that comes later is a registration, and cannot be told from one).
//! - That node lists the instance no more, from the deregistration on and as long as it runs, unless somebody has taken a
//!   registration or a beat of it since, anywhere.
//! - So does every node that has been together with it for ten seconds, from 1.5 s on.
//!
//! Both but the first only where all that was ever taken for the instance was taken by nodes that were together with that
//! node for ten seconds, or by itself. Otherwise the deregistration may be older, in hybrid time, than a registration it has
//! not heard of (a client that registers at one side of a cut and deregisters at the other): then the newest write holds, and
//! the instance goes 35 s after its client's last beat, which `dead_are_gone` watches over.

use super::{Invariant, Violation};
use crate::facts::{Fact, Run};
use crate::names::Key;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};

const SWALLOWED_MS: u64 = 5_800;
const TOGETHER_MS: u64 = 10_000;
const TOLD_MS: u64 = 1_500;

#[derive(Clone, Copy)]
struct Order {
    at: Run,
    ms: u64,
}

#[derive(Default)]
pub(super) struct DeregisteredStayGone {
    orders: BTreeMap<Key, Order>,
    /// Everybody who ever took something for the instance.
    takers: BTreeMap<Key, BTreeSet<Run>>,
    /// Since when somebody lists what is deregistered.
    lingering: BTreeMap<(Run, Key), u64>,
}

fn violation(what: String) -> Violation {
    Violation {
        promise: "G6 what is deregistered stays gone",
        what,
    }
}

impl DeregisteredStayGone {
    fn taken(&mut self, run: Run, key: Key, now_ms: u64) -> Result<(), Violation> {
        self.takers.entry(key).or_default().insert(run);
        if let Some(order) = self.orders.remove(&key)
            && order.at == run
            && now_ms < order.ms + SWALLOWED_MS
        {
            return Err(violation(format!(
                "a beat at member {} brought {key} back {} ms after it was deregistered there",
                run.member,
                now_ms - order.ms
            )));
        }
        Ok(())
    }
}

impl Invariant for DeregisteredStayGone {
    fn at_each_turn(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        for (run, fact) in &world.facts.fresh {
            match fact {
                Fact::Renewed(key) => self.taken(*run, *key, now_ms)?,
                Fact::Published { keys, .. } => {
                    for key in keys {
                        self.takers.entry(*key).or_default().insert(*run);
                        self.orders.remove(key);
                    }
                }
                Fact::Deregistered(key) => {
                    let node = world.field.node(run.member);
                    let takers = self.takers.get(key).into_iter().flatten();
                    let known = takers.into_iter().all(|taker| {
                        *taker == *run
                            || world.field.node(taker.member).is_some_and(|other| {
                                let runs = other.running.as_ref().is_some_and(|running| running.run == *taker);
                                runs && node
                                    .and_then(|node| world.field.together_since(node, other))
                                    .is_some_and(|since_ms| now_ms >= since_ms + TOGETHER_MS)
                            })
                    });
                    if known {
                        self.orders.insert(*key, Order { at: *run, ms: now_ms });
                    } else {
                        self.orders.remove(key);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        for (key, order) in &self.orders {
            let Some(origin) = world.field.node(order.at.member) else {
                continue;
            };
            let Some(running) = origin.serves().filter(|running| running.run == order.at) else {
                continue;
            };
            if world.listed(running.run, *key).is_some() {
                return Err(violation(format!(
                    "{key} was deregistered at member {} at {} and is listed there",
                    order.at.member, order.ms
                )));
            }
            for node in world.field.nodes.iter().filter(|node| node.id() != order.at.member) {
                let Some(running) = node.serves() else { continue };
                let together = world.field.together_since(node, origin);
                let must =
                    together.is_some_and(|since_ms| now_ms >= since_ms + TOGETHER_MS) && now_ms >= order.ms + TOLD_MS;
                if !must || world.listed(running.run, *key).is_none() {
                    self.lingering.remove(&(running.run, *key));
                    continue;
                }
                let since_ms = *self.lingering.entry((running.run, *key)).or_insert(now_ms);
                if now_ms >= since_ms + TOLD_MS {
                    return Err(violation(format!(
                        "{key} was deregistered at member {} at {} and member {}, together with it, lists it since {since_ms}",
                        order.at.member,
                        order.ms,
                        node.id()
                    )));
                }
            }
        }
        Ok(())
    }
}
