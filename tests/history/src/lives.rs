//! Does nothing that lives leave a list, and nothing dead stay?

use crate::{Call, Event, History, Operation, Outcome, Report, Time, Verdict};
use std::collections::BTreeMap;

/// What the promises leave room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// A silent instance is gone everywhere so long after its last beat, or after the healing if that is later.
    pub dead_after_us: Time,
    /// After a healing all list the same again within this time.
    pub heals_within_us: Time,
}

/// The time in which somebody beats for an instance. An address lives once.
#[derive(Clone, Debug)]
struct Life {
    from: Time,
    /// Nobody promises that it is listed any more.
    until: Time,
    /// The last beat for it may have arrived until now.
    silent_from: Time,
    /// Where it beat since when.
    places: Vec<(Time, u64)>,
}

/// The rules about ephemeral instances.
pub fn check(history: &History, bounds: Bounds) -> Report {
    let mut report = Report::default();
    let lives = lives(history);
    let faults = Faults::of(history);
    nothing_that_lives_disappears(history, &lives, &faults, bounds, &mut report);
    nothing_dead_stays(history, &lives, &faults, bounds, &mut report);
    report
}

type Lives<'a> = BTreeMap<(&'a str, &'a str), Life>;

fn lives(history: &History) -> Lives<'_> {
    let mut lives = Lives::new();
    for event in &history.events {
        if let Event::Lives {
            service,
            instance,
            node,
            at_us,
        } = event
        {
            let life = lives.entry((service.as_str(), instance.as_str())).or_insert(Life {
                from: *at_us,
                until: Time::MAX,
                silent_from: Time::MAX,
                places: Vec::new(),
            });
            life.places.push((*at_us, *node));
        }
    }
    // calls stand in a history where they ended, so that an end may stand before its beginning
    for event in &history.events {
        match event {
            Event::Silent {
                service,
                instance,
                last_beat_us,
                at_us,
            } => {
                if let Some(life) = lives.get_mut(&(service.as_str(), instance.as_str())) {
                    life.until = life.until.min(*last_beat_us);
                    life.silent_from = *at_us;
                }
            }
            Event::Call(call) => {
                if let Operation::Deregister { instance } = &call.operation
                    && let Some(life) = lives.get_mut(&(call.service.as_str(), instance.as_str()))
                {
                    life.until = life.until.min(call.invoked_us);
                }
            }
            _ => {}
        }
    }
    lives
}

impl Life {
    fn node_at(&self, at: Time) -> Option<u64> {
        let place = self.places.iter().rev().find(|(since, _)| *since <= at);
        place.map(|(_, node)| *node)
    }
}

/// When which nodes were struck, and when all was well again.
struct Faults<'a> {
    spans: Vec<(Time, Time, &'a [u64])>,
}

impl<'a> Faults<'a> {
    fn of(history: &'a History) -> Self {
        let mut spans = Vec::new();
        let mut open: Vec<(Time, &[u64])> = Vec::new();
        for event in &history.events {
            match event {
                Event::Fault { nodes, at_us, .. } => open.push((*at_us, nodes)),
                Event::Stalled { at_us, for_us } => spans.push((at_us.saturating_sub(*for_us), *at_us, &[][..])),
                Event::Healed { at_us } => {
                    spans.extend(open.drain(..).map(|(from, nodes)| (from, *at_us, nodes)));
                }
                _ => {}
            }
        }
        spans.extend(open.into_iter().map(|(from, nodes)| (from, Time::MAX, nodes)));
        Self { spans }
    }

    /// Whether any node is struck, or was less than `after` ago.
    fn any_at(&self, at: Time, after: Time) -> bool {
        let at_work = |(from, to, _): &(Time, Time, &[u64])| *from <= at && at <= to.saturating_add(after);
        self.spans.iter().any(at_work)
    }

    /// The same of this node.
    fn strikes(&self, node: u64, at: Time, after: Time) -> bool {
        self.spans
            .iter()
            .any(|(from, to, nodes)| *from <= at && at <= to.saturating_add(after) && nodes.contains(&node))
    }

    /// When the last fault that began before `at` was over, if it is.
    fn healed_before(&self, at: Time) -> Option<Time> {
        let begun = self.spans.iter().filter(|(from, _, _)| *from <= at);
        let healed = begun.map(|(_, to, _)| *to).max().unwrap_or(0);
        (healed <= at).then_some(healed)
    }
}

/// What a node has listed stays in its lists for as long as somebody beats for it, whatever happens; but for who beats at a
/// node that is struck: the others may not hear of it before the healing.
fn nothing_that_lives_disappears(
    history: &History,
    lives: &Lives<'_>,
    faults: &Faults<'_>,
    bounds: Bounds,
    report: &mut Report,
) {
    let reads = reads(history);
    let mut looked_at = 0;
    let mut found = Vec::new();
    for ((service, instance), life) in lives {
        for ((node, _), reads) in reads.iter().filter(|((_, of), _)| of == service) {
            let mut listed = false;
            let during = |read: &&&Call| read.invoked_us >= life.from && read.returned_us < life.until;
            for read in reads.iter().filter(during) {
                let is = read.seen().is_some_and(|list| list.contains_key(*instance));
                let unheard = life.node_at(read.returned_us).is_none_or(|beats_at| {
                    beats_at != *node && faults.strikes(beats_at, read.returned_us, bounds.heals_within_us)
                });
                let gone = listed && !is;
                let late = !is
                    && !listed
                    && read.invoked_us > life.from + bounds.heals_within_us
                    && !faults.any_at(read.returned_us, bounds.heals_within_us);
                looked_at += 1;
                if (gone || late) && !unheard {
                    let what = if gone {
                        "was listed, lives and is missing"
                    } else {
                        "lives and was never listed"
                    };
                    found.push(format!("{instance} {what}: {}", short(read)));
                }
                listed = is;
            }
        }
    }
    report.add("nothing that lives disappears", looked_at, Verdict::of(found));
}

fn short(read: &Call) -> String {
    format!(
        "{} of {} at node {}, {:.3} ms",
        read.operation,
        read.service,
        read.node,
        read.invoked_us as f64 / 1_000.0
    )
}

/// Reads by node and service, in the order of their invocation.
fn reads(history: &History) -> BTreeMap<(u64, &str), Vec<&Call>> {
    let mut reads: BTreeMap<(u64, &str), Vec<&Call>> = BTreeMap::new();
    for call in history.calls().filter(|call| call.seen().is_some()) {
        reads.entry((call.node, &call.service)).or_default().push(call);
    }
    for reads in reads.values_mut() {
        reads.sort_by_key(|call| call.invoked_us);
    }
    reads
}

/// Silence ends an instance everywhere after its time; a deregistration ends it at once where it was acknowledged, and elsewhere
/// as soon as all hear of it.
fn nothing_dead_stays(history: &History, lives: &Lives<'_>, faults: &Faults<'_>, bounds: Bounds, report: &mut Report) {
    let deregistered: Vec<&Call> = history
        .calls()
        .filter(|call| matches!(call.operation, Operation::Deregister { .. }) && call.outcome == Outcome::Done)
        .collect();
    let mut looked_at = 0;
    let mut found = Vec::new();
    for read in history.calls() {
        let Some(list) = read.seen() else { continue };
        for instance in list.keys() {
            let Some(life) = lives.get(&(read.service.as_str(), instance.as_str())) else {
                continue;
            };
            looked_at += 1;
            if life.until >= read.invoked_us {
                continue;
            }
            let healed = faults.healed_before(read.invoked_us);
            let silent = healed.is_some_and(|healed| {
                read.invoked_us > life.silent_from.max(healed).saturating_add(bounds.dead_after_us)
            });
            let told = deregistered.iter().any(|call| {
                let same = call.service == read.service && call.operation.instance() == Some(instance);
                let before = call.returned_us < read.invoked_us;
                let here =
                    call.node == read.node && !faults.strikes(call.node, read.invoked_us, bounds.heals_within_us);
                let heard = healed
                    .is_some_and(|healed| read.invoked_us > call.returned_us.max(healed) + bounds.heals_within_us);
                same && before && (here || heard)
            });
            if silent || told {
                let why = if told { "was deregistered" } else { "is dead" };
                found.push(format!(
                    "{instance} {why} since {:.3} ms: {}",
                    life.until as f64 / 1_000.0,
                    short(read)
                ));
            }
        }
    }
    report.add("nothing dead stays", looked_at, Verdict::of(found));
}
