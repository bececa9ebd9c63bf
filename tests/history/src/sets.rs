//! Is everything acknowledged there, and nothing else?

use crate::{Call, Event, History, Operation, Outcome, Report, Time, Verdict};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The rules about persistent instances that need no search, so that they hold for histories of any length.
pub fn check(history: &History) -> Report {
    let mut report = Report::default();
    acknowledged_are_there(history, &mut report);
    seen_was_written(history, &mut report);
    report
}

/// An instance that was registered, and that nobody tried to deregister, is in every strong read after that and in every read
/// after the end.
fn acknowledged_are_there(history: &History, report: &mut Report) {
    let leaving: HashSet<(&str, &str)> = history
        .calls()
        .filter(|call| !call.is_refused())
        .filter_map(|call| match &call.operation {
            Operation::Deregister { instance } => Some((call.service.as_str(), instance.as_str())),
            _ => None,
        })
        .collect();
    let mut acknowledged: BTreeMap<&str, HashMap<&str, Time>> = BTreeMap::new();
    for call in history.calls().filter(|call| call.outcome == Outcome::Done) {
        if let Operation::Register { instance, .. } = &call.operation
            && !leaving.contains(&(call.service.as_str(), instance.as_str()))
        {
            let since = acknowledged.entry(&call.service).or_default();
            let since = since.entry(instance).or_insert(call.returned_us);
            *since = (*since).min(call.returned_us);
        }
    }
    let settled = settled(history);
    let mut looked_at = 0;
    let mut missing = Vec::new();
    for call in history.calls() {
        let counts =
            call.operation == Operation::StrongRead || settled.is_some_and(|settled| call.invoked_us >= settled);
        let (true, Some(list), Some(acknowledged)) = (counts, call.seen(), acknowledged.get(call.service.as_str()))
        else {
            continue;
        };
        for (instance, since) in acknowledged {
            if *since < call.invoked_us {
                looked_at += 1;
                if !list.contains_key(*instance) {
                    missing.push(lost(call, instance, *since));
                }
            }
        }
    }
    report.add("no acknowledged instance is lost", looked_at, Verdict::of(missing));
}

fn lost(call: &Call, instance: &str, since: Time) -> String {
    format!(
        "{instance} was acknowledged at {:.3} ms and is not in the {} of node {} at {:.3} ms",
        since as f64 / 1_000.0,
        call.operation,
        call.node,
        call.invoked_us as f64 / 1_000.0
    )
}

/// Who may have written a field of an instance that a list shows, and since when.
#[derive(Default)]
struct Writers {
    weights: HashMap<u32, Time>,
    tags: HashMap<u64, Time>,
    refused: HashSet<u64>,
}

/// Every list shows fields that somebody wrote, who had begun to by then, and who was not refused.
fn seen_was_written(history: &History, report: &mut Report) {
    let mut writers: HashMap<(&str, &str), Writers> = HashMap::new();
    for call in history.calls() {
        let (weight, tag) = match &call.operation {
            Operation::Register { value, .. } => (Some(value.weight), Some(value.tag)),
            Operation::Edit { edit, .. } => (edit.weight, edit.tag),
            _ => continue,
        };
        let Some(instance) = call.operation.instance() else {
            continue;
        };
        let of = writers.entry((&call.service, instance)).or_default();
        if call.is_refused() {
            of.refused.extend(tag);
            continue;
        }
        if let Some(weight) = weight {
            let since = of.weights.entry(weight).or_insert(Time::MAX);
            *since = (*since).min(call.invoked_us);
        }
        if let Some(tag) = tag {
            let since = of.tags.entry(tag).or_insert(Time::MAX);
            *since = (*since).min(call.invoked_us);
        }
    }
    // instances that live by beats are no writes
    let written: HashSet<&str> = writers.keys().map(|(service, _)| *service).collect();
    let mut looked_at = 0;
    let mut invented = Vec::new();
    let mut refused = Vec::new();
    let polled = history
        .calls()
        .filter_map(|call| Some((call.service.as_str(), call.node, call.returned_us, call.seen()?)));
    let pushed = history
        .heard()
        .map(|heard| (heard.service.as_str(), heard.node, heard.at_us, &heard.list));
    for (service, node, at_us, list) in polled.chain(pushed).filter(|(service, ..)| written.contains(service)) {
        for (instance, value) in list {
            looked_at += 1;
            let of = writers.get(&(service, instance.as_str()));
            let begun = |since: Option<&Time>| since.is_some_and(|since| *since <= at_us);
            let tag = begun(of.and_then(|of| of.tags.get(&value.tag)));
            let weight = begun(of.and_then(|of| of.weights.get(&value.weight)));
            if tag && weight {
                continue;
            }
            let text = format!(
                "node {node} showed {service} with {instance}={value} at {:.3} ms",
                at_us as f64 / 1_000.0
            );
            if !tag && of.is_some_and(|of| of.refused.contains(&value.tag)) {
                refused.push(text);
            } else {
                invented.push(text);
            }
        }
    }
    report.add("nothing that was refused appears", looked_at, Verdict::of(refused));
    report.add("nothing appears that nobody wrote", looked_at, Verdict::of(invented));
}

/// When the cluster had settled.
pub(crate) fn settled(history: &History) -> Option<Time> {
    history.events.iter().rev().find_map(|event| match event {
        Event::Settled { at_us } => Some(*at_us),
        _ => None,
    })
}
