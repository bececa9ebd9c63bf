//! All that is checked of a history, whatever its workload: a rule that has nothing to look at says so by its count.

use muster_history::linearizable::{self, Limits};
use muster_history::lives::{self, Bounds};
use muster_history::{Event, History, Report, agreement, forward, sets};

/// Publishers here are removed 9 s after their last beat; a node that takes over for a dead one notices that after 3 s and
/// grants the whole time again. 4 s more for a debug build on a busy machine.
pub(crate) const DEAD_AFTER_SECONDS: u64 = 16;
/// All list the same within ten seconds of a healing.
const HEALS_WITHIN_SECONDS: u64 = 10;

pub(crate) fn judge(history: &History) -> Report {
    let mut report = linearizable::check(history, Limits::default());
    report.checked.extend(sets::check(history).checked);
    if history.events.iter().any(|event| matches!(event, Event::Lives { .. })) {
        let bounds = Bounds {
            dead_after_us: DEAD_AFTER_SECONDS * 1_000_000,
            heals_within_us: HEALS_WITHIN_SECONDS * 1_000_000,
        };
        report.checked.extend(lives::check(history, bounds).checked);
    }
    report.checked.extend(forward::check(history).checked);
    report.checked.extend(agreement::check(history).checked);
    report
}
