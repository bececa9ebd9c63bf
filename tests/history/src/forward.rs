//! Does a node ever show a client an older list after a newer one?
//!
//! Two views of one node, one after the other. By the server's own stamps, which must not go back; and by content, which does
//! not trust them: if a list shows what one write left, the next may not show what another left that was acknowledged before the
//! first was begun. Writes of unknown outcome judge nothing, for they may take effect late.

use crate::sets::settled;
use crate::{Call, Event, Heard, History, List, Operation, Outcome, Report, Time, Value, Verdict};
use std::collections::{BTreeMap, HashMap};

/// The rules about pushes, and about what a node answers from memory.
pub fn check(history: &History) -> Report {
    let mut report = Report::default();
    stamps(history, &mut report);
    pushed(history, &mut report);
    polled(history, &mut report);
    newest(history, &mut report);
    report
}

type Session<'a> = (u32, u32, u64, &'a str);

fn sessions(history: &History) -> BTreeMap<Session<'_>, Vec<&Heard>> {
    let mut sessions: BTreeMap<Session<'_>, Vec<&Heard>> = BTreeMap::new();
    for heard in history.heard().filter(|heard| heard.stamp > 0) {
        let session = (heard.subscriber, heard.session, heard.node, heard.service.as_str());
        sessions.entry(session).or_default().push(heard);
    }
    for heard in sessions.values_mut() {
        heard.sort_by_key(|heard| heard.at_us);
    }
    sessions
}

fn stamps(history: &History, report: &mut Report) {
    let mut looked_at = 0;
    let mut found = Vec::new();
    for heard in sessions(history).values() {
        for pair in heard.windows(2) {
            looked_at += 1;
            let (one, next) = (pair[0], pair[1]);
            if next.stamp < one.stamp {
                found.push(format!("{}: stamp {} after {}", told(next), next.stamp, one.stamp));
            } else if next.stamp == one.stamp && next.list != one.list {
                found.push(format!("{}: two lists of stamp {}", told(next), next.stamp));
            }
        }
    }
    report.add("the stamps of pushes do not go back", looked_at, Verdict::of(found));
}

fn told(heard: &Heard) -> String {
    format!(
        "subscriber {} of {} at node {}, {:.3} ms",
        heard.subscriber,
        heard.service,
        heard.node,
        heard.at_us as f64 / 1_000.0
    )
}

fn pushed(history: &History, report: &mut Report) {
    let writes = Writes::of(history);
    let mut looked_at = 0;
    let mut found = Vec::new();
    for heard in sessions(history).values() {
        for pair in heard.windows(2) {
            for (instance, was) in &pair[0].list {
                let Some(is) = pair[1].list.get(instance) else { continue };
                looked_at += 1;
                if let Some(why) = writes.goes_back(&pair[1].service, instance, *was, *is) {
                    found.push(format!("{}: {why}", told(pair[1])));
                }
            }
        }
    }
    report.add("pushed lists do not go back", looked_at, Verdict::of(found));
}

/// Who still listened in the end was told the list that its node has then.
fn newest(history: &History, report: &mut Report) {
    let Some(settled) = settled(history) else {
        return;
    };
    let mut last: BTreeMap<(u64, &str), &List> = BTreeMap::new();
    for call in history.calls().filter(|call| call.invoked_us >= settled) {
        if let Some(list) = call.seen() {
            last.insert((call.node, &call.service), list);
        }
    }
    let mut told: BTreeMap<(u32, u64, &str), (u32, Vec<&Heard>)> = BTreeMap::new();
    for heard in history.heard() {
        let subscriber = (heard.subscriber, heard.node, heard.service.as_str());
        let (session, lists) = told.entry(subscriber).or_default();
        if heard.session > *session {
            *session = heard.session;
            lists.clear();
        }
        lists.push(heard);
    }
    let mut looked_at = 0;
    let mut found = Vec::new();
    for ((_, node, service), (_, lists)) in &told {
        let (Some(wanted), Some(newest)) = (last.get(&(*node, *service)), lists.last()) else {
            continue;
        };
        looked_at += 1;
        if !lists.iter().any(|heard| heard.list == **wanted) {
            found.push(format!(
                "{}: the last of {} lists is not the newest",
                self::told(newest),
                lists.len()
            ));
        }
    }
    report.add(
        "every subscriber is told the newest list",
        looked_at,
        Verdict::of(found),
    );
}

/// What a node answers from memory never goes back while it runs.
fn polled(history: &History, report: &mut Report) {
    let writes = Writes::of(history);
    let mut nodes: BTreeMap<(u64, &str), Vec<&Call>> = BTreeMap::new();
    for call in history.calls().filter(|call| call.is_done()) {
        nodes.entry((call.node, &call.service)).or_default().push(call);
    }
    let mut looked_at = 0;
    let mut found = Vec::new();
    for ((node, service), mut calls) in nodes {
        let mut breaks: Vec<Time> = breaks_of(history, node);
        breaks.sort_unstable();
        calls.sort_by_key(|call| call.invoked_us);
        for instance in writes.instances_of(service) {
            looked_at += 1;
            let views = calls.iter().filter_map(|call| view(call, instance));
            found.extend(back_steps(&writes, service, instance, &breaks, views));
        }
    }
    report.add("what a node answers does not go back", looked_at, Verdict::of(found));
}

/// When a node was struck by something that ends its memory.
fn breaks_of(history: &History, node: u64) -> Vec<Time> {
    let struck = history.events.iter().filter_map(|event| match event {
        Event::Fault { nodes, at_us, .. } if nodes.contains(&node) => Some(*at_us),
        _ => None,
    });
    struck.collect()
}

/// What a read shows of an instance.
fn view<'a>(call: &'a Call, instance: &str) -> Option<(&'a Call, Value)> {
    Some((call, *call.seen()?.get(instance)?))
}

fn back_steps<'a>(
    writes: &Writes<'_>,
    service: &str,
    instance: &str,
    breaks: &[Time],
    views: impl Iterator<Item = (&'a Call, Value)>,
) -> Vec<String> {
    let mut found = Vec::new();
    // views that have returned, newest write first by its beginning
    let mut newest: Option<(&Call, Value)> = None;
    let mut open: Vec<(&Call, Value)> = Vec::new();
    for (call, value) in views {
        open.retain(|(earlier, seen)| {
            let over = earlier.returned_us < call.invoked_us;
            let newer = || {
                newest.is_none_or(|(_, newest)| {
                    writes.begun(service, instance, *seen) >= writes.begun(service, instance, newest)
                })
            };
            if over && newer() {
                newest = Some((earlier, *seen));
            }
            !over
        });
        if let Some((earlier, was)) = newest {
            let ended = |at: &Time| (earlier.invoked_us..=call.returned_us).contains(at);
            if breaks.iter().any(ended) {
                newest = None;
            } else if let Some(why) = writes.goes_back(service, instance, was, value) {
                found.push(format!("{call}\n{why}, as this had shown: {earlier}"));
            }
        }
        open.push((call, value));
    }
    found
}

/// Registrations by what they wrote. A value that two of them wrote judges nothing.
struct Writes<'a> {
    by_value: HashMap<(&'a str, &'a str), HashMap<Value, Option<&'a Call>>>,
}

impl<'a> Writes<'a> {
    fn of(history: &'a History) -> Self {
        let mut by_value: HashMap<_, HashMap<Value, Option<&Call>>> = HashMap::new();
        for call in history.calls() {
            if let Operation::Register { instance, value } = &call.operation {
                let of = by_value.entry((call.service.as_str(), instance.as_str())).or_default();
                of.entry(*value).and_modify(|it| *it = None).or_insert(Some(call));
            }
        }
        Self { by_value }
    }

    fn instances_of(&self, service: &str) -> Vec<&'a str> {
        let of = self.by_value.keys().filter(|(of, _)| *of == service);
        of.map(|(_, instance)| *instance).collect()
    }

    fn get(&self, service: &str, instance: &str, value: Value) -> Option<&'a Call> {
        *self.by_value.get(&(service, instance))?.get(&value)?
    }

    fn begun(&self, service: &str, instance: &str, value: Value) -> Option<Time> {
        self.get(service, instance, value).map(|call| call.invoked_us)
    }

    /// Why it is sure that `is` is older than `was`.
    fn goes_back(&self, service: &str, instance: &str, was: Value, is: Value) -> Option<String> {
        let newer = self.get(service, instance, was)?;
        let older = self.get(service, instance, is)?;
        let sure = older.outcome == Outcome::Done && older.returned_us < newer.invoked_us;
        sure.then(|| format!("{instance} is {is} again after {was}"))
    }
}
