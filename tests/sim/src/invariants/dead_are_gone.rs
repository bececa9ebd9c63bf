//! G6: "Nothing that is dead stays: an instance lost together with its node is gone everywhere within 35 s."
//!
//! An instance whose client has fallen silent, or has left without an answer, is on no list of a node that answers 35 s
//! after the last reason to list it (the last beat that any node took, the end of its connection), or after the last fault
//! began or ended, or after the last node began to answer, whichever is latest. Faults count because each change of who is
//! responsible grants a full lease of 30 s to whom the new one has not seen. A node that has not been together with a majority
//! for as long ends nothing and hears of no end (G5), so it may go on listing.
//!
//! A node's word for it that came from its own doors is a reason: the connection of a dead client that the door has not
//! found silent yet is one (25 s, then 27 s at the latest).

use super::{Invariant, Violation};
use crate::world::World;

const GONE_AFTER_MS: u64 = 35_000;
/// Looks are 40 ms apart.
const SLACK_MS: u64 = 80;

pub(super) struct DeadAreGone;

impl Invariant for DeadAreGone {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        for (key, life) in &world.facts.lives {
            let Some((over, over_ms)) = life.over else { continue };
            let held = life.claims.iter().any(|(run, claim)| {
                let running = world.field.node(run.member).and_then(|node| node.running.as_ref());
                claim.connection.is_some() && running.is_some_and(|running| running.run == *run)
            });
            let since_ms = over_ms.max(life.last_ms).max(world.field.disturbed_ms);
            if held || now_ms < since_ms + GONE_AFTER_MS + SLACK_MS {
                continue;
            }
            for node in world.field.nodes.iter().filter(|node| node.belongs) {
                let Some(running) = node.serves() else { continue };
                if !world.field.with_a_majority_since(node, now_ms - GONE_AFTER_MS) {
                    continue;
                }
                if let Some(healthy) = world.listed(running.run, *key) {
                    return Err(Violation {
                        promise: "G6 nothing that is dead stays",
                        what: format!(
                            "{key} is over ({over:?}) since {over_ms}, last reason to list it at {}, last fault at {}; member {} \
                             lists it, healthy: {healthy}",
                            life.last_ms,
                            world.field.disturbed_ms,
                            node.id()
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}
