//! A thousand losses of power over everything that a member keeps.
//!
//! Members with a log, a vote, snapshots, a checkpoint and an identity on one faulty disk live, lose power at any
//! operation (opening included), find a disk full or one that does not sync, and are opened again. Every opening has to be
//! clean and to find: all that was acknowledged, in the order of the calls; no vote that went back; every committed entry
//! in the log or under a whole snapshot; a checkpoint of a state that was.
//!
//! A failure names its seed; `MUSTER_POWER_SEED=<seed> cargo test -p muster-storage --test power` repeats it.
//! `MUSTER_POWER_MEMBERS` says how many members there are instead of 125.

mod chance;
mod member;
mod model;

use member::{Counts, Member};
use muster_runtime::keep_to_one_thread;

/// 1,000 losses and more: nine lives in ten end by one.
const MEMBERS: u64 = 125;
const LIVES: u64 = 10;

fn told(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "not the product")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Says how to repeat what failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!("repeat: MUSTER_POWER_SEED={seed} cargo test -p muster-storage --test power");
        }
    }
}

#[test]
fn a_thousand_losses_of_power_lose_nothing_that_was_acknowledged() {
    keep_to_one_thread(true);
    let seeds = match told("MUSTER_POWER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..told("MUSTER_POWER_MEMBERS").unwrap_or(MEMBERS),
    };
    let mut sum = Counts::default();
    let members = seeds.end - seeds.start;
    for seed in seeds {
        let _repeats = Seed(seed);
        let mut member = Member::new(seed);
        for _ in 0..LIVES {
            member.live();
        }
        sum.add(&member.counts);
    }
    keep_to_one_thread(false);
    eprintln!("{members} members: {sum:?}");
    if members >= MEMBERS {
        // That it was worth something.
        assert!(sum.losses >= 1_000, "{sum:?}");
        let each = [
            sum.during,
            sum.opening,
            sum.cut,
            sum.checkpoints_earlier,
            sum.checkpoints_damaged,
        ];
        assert!(each.iter().all(|count| *count >= 20), "{sum:?}");
        assert!(sum.committed >= 10 * members, "{sum:?}");
    }
}
