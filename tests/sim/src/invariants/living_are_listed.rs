//! G5: "Nothing that lives is removed: not by a membership change, a takeover, a restart of one node or of all. A minority
//! serves what it has, marks nothing, removes nothing."
//!
//! A node that answers clients must list an instance, as healthy, whose client lives, if
//!
//! - **its own word**: in its present run it has itself taken a beat or a registration of the instance within the last
//!   14.5 s (a lease is 15 s until it is marked), or holds the living connection that publishes it. No fault excuses this
//!   one: who has seen a later beat refutes whoever ends the lease, and a connection is a lease. Or
//! - **a neighbour's word**: another node has, that this one has been together with for ten seconds (both run, move, belong
//!   to the group and reach each other over sound links). Ten seconds is the time after which all list the same (G4). The
//!   beat must be 2.5 s old: beats are told every second. What a neighbour lists and this one does not may be on its way
//!   for 1.5 s: a release that overtook the newer claim is taken back by who holds it (that is what a blip is allowed for,
//!   and only here).

use super::{Invariant, Violation};
use crate::facts::{Claim, Run};
use crate::names::Key;
use crate::world::{Node, World};
use std::collections::BTreeMap;

const LEASE_MS: u64 = 14_500;
const TOGETHER_MS: u64 = 10_000;
const TOLD_MS: u64 = 2_500;
const BLIP_MS: u64 = 1_500;

#[derive(Default)]
pub(super) struct LivingAreListed {
    /// Since when a node lacks what a neighbour's word says it must list.
    lacking: BTreeMap<(Run, Key), u64>,
}

fn holds(claim: &Claim, now_ms: u64, slack_ms: u64) -> bool {
    claim.connection.is_some() || now_ms < claim.last_ms + LEASE_MS - slack_ms
}

fn told_by_a_neighbour(world: &World, node: &Node, claims: &BTreeMap<Run, Claim>) -> Option<Run> {
    let now_ms = world.now_ms();
    let neighbours = claims.iter().filter(|(run, claim)| {
        run.member != node.id() && now_ms >= claim.first_ms + TOLD_MS && holds(claim, now_ms, TOLD_MS)
    });
    let mut together = neighbours.filter(|(run, _)| {
        world.field.node(run.member).is_some_and(|other| {
            let serves = other.serves().is_some_and(|running| running.run == **run);
            serves
                && world
                    .field
                    .together_since(node, other)
                    .is_some_and(|since_ms| now_ms >= since_ms + TOGETHER_MS)
        })
    });
    together.next().map(|(run, _)| *run)
}

impl Invariant for LivingAreListed {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        let violation = |what| Violation {
            promise: "G5 nothing that lives is removed",
            what,
        };
        for node in world.field.nodes.iter().filter(|node| node.belongs) {
            let Some(running) = node.serves() else { continue };
            for (key, life) in &world.facts.lives {
                if !life.lives() {
                    continue;
                }
                let own = life.claims.get(&running.run).filter(|claim| holds(claim, now_ms, 0));
                let seen = world.listed(running.run, *key);
                if let Some(claim) = own
                    && seen != Some(true)
                {
                    return Err(violation(format!(
                        "{key} lives and member {} has its word ({claim:?}), but lists it as {seen:?}",
                        node.id()
                    )));
                }
                if seen == Some(true) {
                    self.lacking.remove(&(running.run, *key));
                    continue;
                }
                let Some(teller) = told_by_a_neighbour(world, node, &life.claims) else {
                    self.lacking.remove(&(running.run, *key));
                    continue;
                };
                let since_ms = *self.lacking.entry((running.run, *key)).or_insert(now_ms);
                if now_ms >= since_ms + BLIP_MS {
                    return Err(violation(format!(
                        "{key} lives by the word of member {}, together with {} for ten seconds, which lists it as {seen:?} \
                         since {since_ms}",
                        teller.member,
                        node.id()
                    )));
                }
            }
        }
        Ok(())
    }
}
