//! Do all nodes agree in the end?

use crate::sets::settled;
use crate::{Event, History, List, Report, Verdict};
use std::collections::BTreeMap;

/// After the cluster has settled: equal digests of the ephemeral instances, the same entries applied, and the same lists at all
/// nodes. A history that never settled is broken.
pub fn check(history: &History) -> Report {
    let mut report = Report::default();
    let finals: Vec<_> = history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Final {
                node,
                digest,
                applied_index,
                ..
            } => Some((*node, digest, *applied_index)),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    if finals.is_empty() {
        found.push("no node was asked".to_owned());
    }
    for pair in finals.windows(2) {
        if (pair[0].1, pair[0].2) != (pair[1].1, pair[1].2) {
            found.push(format!(
                "node {} ends with digest {} at {}, node {} with {} at {}",
                pair[0].0, pair[0].1, pair[0].2, pair[1].0, pair[1].1, pair[1].2
            ));
        }
    }
    report.add("all nodes agree by digest and index", finals.len(), Verdict::of(found));
    same_lists(history, &mut report);
    report
}

fn same_lists(history: &History, report: &mut Report) {
    let Some(settled) = settled(history) else {
        let never = vec!["the cluster never settled".to_owned()];
        return report.add("all nodes list the same", 0, Verdict::Broken(never));
    };
    let mut last: BTreeMap<&str, BTreeMap<u64, &List>> = BTreeMap::new();
    for call in history.calls().filter(|call| call.invoked_us >= settled) {
        if let Some(list) = call.seen() {
            last.entry(&call.service).or_default().insert(call.node, list);
        }
    }
    let mut looked_at = 0;
    let mut found = Vec::new();
    for (service, lists) in last {
        looked_at += lists.len();
        let mut lists = lists.into_iter();
        let Some((first, wanted)) = lists.next() else { continue };
        for (node, list) in lists.filter(|(_, list)| *list != wanted) {
            found.push(format!("{service}: {}", differing(first, wanted, node, list)));
        }
    }
    report.add("all nodes list the same", looked_at, Verdict::of(found));
}

fn differing(one: u64, of_one: &List, other: u64, of_other: &List) -> String {
    let mut text = format!("node {one} and node {other} differ in");
    for (instance, value) in of_one {
        match of_other.get(instance) {
            Some(there) if there == value => {}
            Some(there) => text.push_str(&format!(" {instance} ({value} and {there})")),
            None => text.push_str(&format!(" {instance} (at {one} alone)")),
        }
    }
    for instance in of_other.keys().filter(|instance| !of_one.contains_key(*instance)) {
        text.push_str(&format!(" {instance} (at {other} alone)"));
    }
    text
}
