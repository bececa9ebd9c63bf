//! G8 and G2, the other way round: the cluster comes back by itself.
//!
//! In the calm every member of the group answers clients within 15 s (a start takes a leader, elected within 2 s, a copy of
//! the ephemeral instances and a read barrier; a copy after the loss of all waits for 3 s twice; a member with an emptied disk
//! is taken out and in again), and from 20 s on every write is answered well. Of a member that the operator adds in the calm,
//! both count from when he was told that it is one.

use super::{Invariant, Violation};
use crate::facts::Outcome;
use crate::world::World;

const READY_WITHIN_MS: u64 = 15_000;
const WRITES_WITHIN_MS: u64 = 20_000;

#[derive(Default)]
pub(super) struct ReadyAgain;

impl Invariant for ReadyAgain {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        let Some(calm_ms) = world.calm_ms else { return Ok(()) };
        if now_ms < calm_ms + READY_WITHIN_MS {
            return Ok(());
        }
        for node in world.field.nodes.iter().filter(|node| node.belongs) {
            if node.serves().is_none() && now_ms >= node.changed_ms + READY_WITHIN_MS {
                let running = node.running.as_ref();
                let readiness = running.and_then(|running| running.within(|parts| parts.core.naming.readiness()));
                return Err(Violation {
                    promise: "G8 a node is ready again",
                    what: format!(
                        "member {} does not answer {READY_WITHIN_MS} ms after the last fault (calm since {calm_ms}): {readiness:?}",
                        node.id()
                    ),
                });
            }
        }
        Ok(())
    }

    fn at_the_end(&mut self, world: &World) -> Result<(), Violation> {
        let Some(calm_ms) = world.calm_ms else { return Ok(()) };
        for (key, operations) in &world.facts.operations {
            for operation in operations {
                let asked = world.field.node(operation.at).filter(|node| node.belongs);
                let late =
                    asked.is_some_and(|node| operation.called_ms >= calm_ms.max(node.changed_ms) + WRITES_WITHIN_MS);
                let given_up = matches!(operation.outcome, Outcome::Refused)
                    || (operation.outcome == Outcome::Unknown && operation.called_ms + 9_000 < world.now_ms());
                if late && given_up {
                    return Err(Violation {
                        promise: "G2 writes go on after the faults",
                        what: format!("{key}: {operation:?}, calm since {calm_ms}"),
                    });
                }
            }
        }
        Ok(())
    }
}
