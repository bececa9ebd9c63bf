//! G4: "After any cut heals, all nodes list the same within 10 s, compared by digest."
//!
//! From ten seconds after the last fault ended and the last node began to answer, the digests of the ephemeral stores are
//! equal, but for half a second at a time: leases still end then, and a node's news is a few milliseconds on its way.

use super::{Invariant, Violation};
use crate::world::World;
use muster_model::MemberId;

const WITHIN_MS: u64 = 10_000;
const ON_ITS_WAY_MS: u64 = 500;

#[derive(Default)]
pub(super) struct StoresConverge {
    differ_since_ms: Option<u64>,
}

impl Invariant for StoresConverge {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        let Some(calm_ms) = world.calm_ms else { return Ok(()) };
        if now_ms < calm_ms.max(world.field.disturbed_ms) + WITHIN_MS {
            self.differ_since_ms = None;
            return Ok(());
        }
        let nodes = world.field.nodes.iter().filter(|node| node.belongs);
        let digests: Vec<(MemberId, u64)> = nodes
            .filter_map(|node| {
                let digest = node.serves()?.within(|parts| parts.core.ephemeral.digest())?;
                Some((node.id(), digest))
            })
            .collect();
        if digests.windows(2).all(|two| two[0].1 == two[1].1) {
            self.differ_since_ms = None;
            return Ok(());
        }
        let since_ms = *self.differ_since_ms.get_or_insert(now_ms);
        if now_ms < since_ms + ON_ITS_WAY_MS {
            return Ok(());
        }
        Err(Violation {
            promise: "G4 all list the same within 10 s of healing",
            what: format!(
                "digests differ since {since_ms}, the last fault ended at {}: {digests:x?}",
                world.field.disturbed_ms
            ),
        })
    }
}
