//! What goes wrong in a round.

use muster_power::{Faults, Random};
use std::fmt;
use std::time::Duration;

/// In which manner power is lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    /// All three at once.
    All,
    /// Two at once; the third goes on alone.
    Two,
    /// One; the others go on.
    One,
    /// One after the other, a moment apart.
    InTurn,
    /// All, and again while they start.
    AtStart,
    /// All are killed without a loss of power, start again, and lose it soon after.
    AfterCrash,
    /// All, on disks of which some are slow.
    Slow,
    /// A sync of one node fails; a moment later all lose power.
    FailedSync,
    /// The disk of one node is full; a moment later all lose power.
    Full,
    /// All, while a fourth member is added or removed.
    Membership,
}

const SHARES: [(Kind, u64); 10] = [
    (Kind::All, 34),
    (Kind::Two, 9),
    (Kind::One, 8),
    (Kind::InTurn, 10),
    (Kind::AtStart, 12),
    (Kind::AfterCrash, 8),
    (Kind::Slow, 8),
    (Kind::FailedSync, 5),
    (Kind::Full, 3),
    (Kind::Membership, 3),
];

/// One round, drawn.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// So many writes are acknowledged before, if they are in time; then it is a moment more.
    pub(crate) acknowledged_before: u64,
    pub(crate) before: Duration,
    /// Moments between one loss and the next, or between start and loss.
    pub(crate) pauses: [Duration; 3],
    /// The nodes in the order in which it hits them.
    pub(crate) order: [u64; 3],
    /// How the disks fail before the loss, by the same order.
    pub(crate) faults: [Faults; 3],
}

impl Plan {
    pub(crate) fn draw(random: &mut Random, only: Option<Kind>) -> Self {
        let kind = only.unwrap_or_else(|| draw_kind(random));
        let mut order = [1, 2, 3];
        for at in (1..3).rev() {
            order.swap(at, random.below(at as u64 + 1) as usize);
        }
        let mut faults = [Faults::default(); 3];
        match kind {
            Kind::Slow => {
                let slow = 1 + random.below(3) as usize;
                for fault in &mut faults[..slow] {
                    fault.sync_delay = Duration::from_millis(5 + random.below(40));
                }
            }
            Kind::FailedSync => faults[0].syncs_to_fail = *random.one_of(&[1, 1, 2, u64::MAX]),
            Kind::Full => faults[0].room_bytes = random.below(60_000),
            _ => {}
        }
        let longest_pause_ms = match kind {
            Kind::InTurn => 300,
            Kind::AtStart | Kind::AfterCrash => 900,
            _ => 500,
        };
        Self {
            kind,
            acknowledged_before: random.below(120),
            before: Duration::from_micros(random.below(60_000)),
            pauses: std::array::from_fn(|_| Duration::from_micros(random.below(longest_pause_ms * 1000))),
            order,
            faults,
        }
    }
}

fn draw_kind(random: &mut Random) -> Kind {
    let mut drawn = random.below(SHARES.iter().map(|(_, share)| share).sum());
    for (kind, share) in SHARES {
        if drawn < share {
            return kind;
        }
        drawn -= share;
    }
    Kind::All
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            acknowledged_before,
            before,
            pauses,
            order,
            ..
        } = self;
        write!(
            f,
            "{kind:?} of {order:?} after {acknowledged_before} writes and {before:?}, pauses {pauses:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_draws_the_same_rounds_and_many_draw_every_kind() {
        let mut kinds = BTreeSet::new();
        for seed in 0..300 {
            let (mut once, mut again) = (Random::new(seed), Random::new(seed));
            let plan = Plan::draw(&mut once, None);
            assert_eq!(plan.to_string(), Plan::draw(&mut again, None).to_string());
            let mut order = plan.order;
            order.sort_unstable();
            assert_eq!(order, [1, 2, 3]);
            kinds.insert(plan.kind);
        }
        assert_eq!(kinds.len(), SHARES.len());
    }

    #[test]
    fn only_rounds_that_are_named_for_a_fault_have_one() {
        for seed in 0..300 {
            let plan = Plan::draw(&mut Random::new(seed), None);
            let faulty = plan.faults.iter().any(|faults| *faults != Faults::default());
            assert_eq!(
                faulty,
                matches!(plan.kind, Kind::Slow | Kind::FailedSync | Kind::Full),
                "{plan}"
            );
        }
    }
}
