//! Is there one order of all writes and strong reads that explains every answer?
//!
//! A history is linearizable when each call can be given one moment between its invocation and its return at which it takes
//! effect at once, such that every answer is what a single list would have given. The search is that of Wing and Gong (*Testing
//! and verifying concurrent objects*, 1993) with Lowe's memory of what was tried (*Testing for linearizability*, 2017): take a
//! call that no open call has returned before, apply it, go on; on a dead end, go back; never enter the same set of calls with
//! the same state twice.
//!
//! Writes of **unknown** outcome may take effect at any time after their invocation or never, so that each stays open to the
//! end, and tens of them would make the plain search hopeless. Two facts tame them, with no loss:
//!
//! - One that takes effect and is overwritten before anybody looks might as well never have happened.
//! - One that somebody looks at might as well happen right before the first look.
//!
//! So they are never tried for themselves but only as a [prelude](prelude) to a read, or to an edit that was done, and only
//! those that leave there what was seen. A read that fits the state as it is is taken at once, without an alternative: it
//! changes nothing, and whatever comes after it may come after it here too.
//!
//! Each instance is checked by itself first, which is fast and names the culprit; then each service as a whole, since a strong
//! read lists all of it at one moment. A search beyond [`Limits::steps_max`] says that it is undecided.

mod object;
mod prelude;
mod search;
mod sights;
#[cfg(test)]
mod tests;

use crate::{Call, History, Operation, Report, Verdict};
use object::Object;
use search::Found;
use std::collections::BTreeMap;

/// How long to search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Steps of one search; each is some tens of microseconds and some hundred bytes.
    pub steps_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps_max: 1_000_000 }
    }
}

/// Checks each service of a history: its instances one by one, then its list. Local reads are not looked at.
pub fn check(history: &History, limits: Limits) -> Report {
    let mut services: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in history.calls() {
        services.entry(&call.service).or_default().push(call);
    }
    let mut report = Report::default();
    for (service, calls) in services {
        check_service(service, &calls, limits, &mut report);
    }
    report
}

fn check_service(service: &str, calls: &[&Call], limits: Limits, report: &mut Report) {
    let whole = Object::of_service(calls);
    // what lives by beats has no writes to be ordered, and reads alone have nothing to be held against
    let is_write = |call: &&Call| matches!(call.operation, Operation::Register { .. });
    if whole.reads() == 0 || !calls.iter().any(is_write) {
        return;
    }
    let mut found = Vec::new();
    let mut given_up = Vec::new();
    for instance in &whole.keys {
        match verdict(&Object::of_instance(calls, instance), calls, limits) {
            Verdict::Holds => {}
            Verdict::Broken(why) => found.extend(why.into_iter().map(|why| format!("{instance}: {why}"))),
            Verdict::Undecided(why) => given_up.push(format!("{instance}: {why}")),
        }
    }
    let each = match (found.is_empty(), given_up.is_empty()) {
        (false, _) => Verdict::Broken(found),
        (true, false) => Verdict::Undecided(given_up.join("; ")),
        (true, true) => Verdict::Holds,
    };
    let broken = each.is_broken();
    report.add(
        format!("{service}: each instance is linearizable"),
        whole.sure.len() + whole.maybe.len(),
        each,
    );
    // what is broken for one instance is broken for the list, and says less there
    if !broken && whole.keys.len() > 1 {
        let list = verdict(&whole, calls, limits);
        report.add(
            format!("{service}: the list is linearizable"),
            whole.sure.len() + whole.maybe.len(),
            list,
        );
    }
}

/// Whether calls about one service are linearizable, its whole list taken as one object.
pub fn check_list(calls: &[&Call], limits: Limits) -> Verdict {
    verdict(&Object::of_service(calls), calls, limits)
}

fn verdict(object: &Object, calls: &[&Call], limits: Limits) -> Verdict {
    match search::search(object, limits.steps_max) {
        Found::Order => Verdict::Holds,
        Found::GivenUp { steps } => Verdict::Undecided(format!(
            "given up after {steps} steps, with {} calls of known and {} of unknown outcome",
            object.sure.len(),
            object.maybe.len()
        )),
        Found::Nothing(deepest) => Verdict::Broken(vec![deepest.told(object, calls)]),
    }
}
