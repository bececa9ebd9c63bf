//! Which target is due when. Pure: time and chance come in.

use super::pace::{Found, Limits, Streak};
use super::{Pace, Probe};
use muster_model::{InstanceKey, ServiceKey};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

/// Names a target for as long as it is probed the same way; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct TargetId(u64);

pub(crate) struct Target {
    pub(crate) service: ServiceKey,
    pub(crate) instance: InstanceKey,
    pub(crate) probe: Probe,
    interval: Duration,
    streak: Streak,
    /// A flip of it is on its way to Raft.
    flipping: bool,
}

/// What must become of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Verdict {
    pub(crate) target: TargetId,
    pub(crate) service: ServiceKey,
    pub(crate) instance: InstanceKey,
    pub(crate) healthy: bool,
}

/// All targets of this node. Each living target is in the heap once, or its probe is under way; what the heap holds of
/// targets that are gone is passed over when it comes up.
pub(crate) struct Schedule {
    limits: Limits,
    targets: HashMap<TargetId, Target>,
    services: HashMap<ServiceKey, HashMap<InstanceKey, TargetId>>,
    due: BinaryHeap<Reverse<(Instant, TargetId)>>,
    next_id: u64,
}

impl Schedule {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            targets: HashMap::new(),
            services: HashMap::new(),
            due: BinaryHeap::new(),
            next_id: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Makes the targets of a service those of `wanted`. One that stays as it was keeps its pace; `chance` draws from
    /// zero to its argument.
    pub(crate) fn set_service(
        &mut self,
        service: &ServiceKey,
        wanted: Vec<(InstanceKey, Probe)>,
        now: Instant,
        chance: &mut dyn FnMut(Duration) -> Duration,
    ) {
        let mut before = self.services.remove(service).unwrap_or_default();
        let mut after = HashMap::with_capacity(wanted.len());
        for (instance, probe) in wanted {
            let kept = before
                .get(&instance)
                .copied()
                .filter(|id| self.targets[id].probe == probe);
            let id = match kept {
                Some(id) => {
                    before.remove(&instance);
                    id
                }
                None => self.add(service, &instance, probe, now, chance),
            };
            after.insert(instance, id);
        }
        // What is left is gone, or probed differently now.
        for id in before.into_values() {
            self.targets.remove(&id);
        }
        if !after.is_empty() {
            self.services.insert(service.clone(), after);
        }
    }

    fn add(
        &mut self,
        service: &ServiceKey,
        instance: &InstanceKey,
        probe: Probe,
        now: Instant,
        chance: &mut dyn FnMut(Duration) -> Duration,
    ) -> TargetId {
        let id = TargetId(self.next_id);
        self.next_id += 1;
        let pace = self.pace(&probe);
        // 2 to 7 s as in Nacos, but evenly: Nacos draws a part of a part of the longest interval, so that after a restart
        // half of all probes fall into the first second, and black holes among them hold up the living.
        let first = now + self.limits.first_wait + chance(pace.max);
        let target = Target {
            service: service.clone(),
            instance: instance.clone(),
            probe,
            interval: pace.start(),
            streak: Streak::default(),
            flipping: false,
        };
        self.targets.insert(id, target);
        self.due.push(Reverse((first, id)));
        id
    }

    /// When the next target is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the target that is due first; it comes back by [`Schedule::skipped`] or [`Schedule::found`].
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(TargetId, &Target)> {
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            if self.targets.contains_key(&id) {
                return self.targets.get(&id).map(|target| (id, target));
            }
        }
        None
    }

    /// Not probed this time: somebody else's, or probing is off. What was found before counts no more.
    pub(crate) fn skipped(&mut self, id: TargetId, now: Instant) {
        if let Some(target) = self.targets.get_mut(&id) {
            target.streak = Streak::default();
            self.due.push(Reverse((now + target.interval, id)));
        }
    }

    /// Takes a result; answers what the target must be, as long as results say so.
    pub(crate) fn found(&mut self, id: TargetId, found: Found, times: u32, now: Instant) -> Option<Verdict> {
        let limits = self.limits;
        let target = self.targets.get_mut(&id)?;
        target.interval = pace_of(&limits, &target.probe).next(target.interval, found);
        self.due.push(Reverse((now + target.interval, id)));
        let healthy = target.streak.count(found, times)?;
        (!target.flipping).then(|| Verdict {
            target: id,
            service: target.service.clone(),
            instance: target.instance.clone(),
            healthy,
        })
    }

    pub(crate) fn set_flipping(&mut self, id: TargetId, flipping: bool) {
        if let Some(target) = self.targets.get_mut(&id) {
            target.flipping = flipping;
        }
    }

    fn pace(&self, probe: &Probe) -> Pace {
        pace_of(&self.limits, probe)
    }
}

fn pace_of(limits: &Limits, probe: &Probe) -> Pace {
    match probe.http {
        None => limits.tcp,
        Some(_) => limits.http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, service};
    use muster_runtime::Clock;

    fn tcp(port: u16) -> Probe {
        Probe {
            host: "10.0.0.1".to_owned(),
            port,
            http: None,
        }
    }

    fn none(_: Duration) -> Duration {
        Duration::ZERO
    }

    fn whole(most: Duration) -> Duration {
        most
    }

    const PASSED: Found = Found::Passed {
        round_trip: Duration::ZERO,
    };

    #[test]
    fn the_first_probe_comes_after_two_to_seven_seconds() {
        let now = Clock::system().now();
        for (mut chance, seconds) in [(none as fn(Duration) -> Duration, 2), (whole, 7)] {
            let mut schedule = Schedule::new(Limits::default());
            schedule.set_service(&service("s"), vec![(key("a:1"), tcp(1))], now, &mut chance);
            assert_eq!(schedule.next_due(), Some(now + Duration::from_secs(seconds)));
            assert!(schedule.pop_due(now).is_none());
        }
    }

    #[test]
    fn a_target_that_stays_keeps_its_time_and_one_that_goes_is_not_probed() {
        let now = Clock::system().now();
        let mut schedule = Schedule::new(Limits::default());
        let s = service("s");
        schedule.set_service(&s, vec![(key("a:1"), tcp(1)), (key("b:2"), tcp(2))], now, &mut none);
        let later = now + Duration::from_secs(1);
        schedule.set_service(&s, vec![(key("a:1"), tcp(1))], later, &mut none);
        assert_eq!(schedule.len(), 1);
        let due = now + Duration::from_secs(2);
        let (id, target) = schedule.pop_due(due).unwrap();
        assert_eq!(target.instance, key("a:1"));
        assert!(schedule.pop_due(due).is_none());
        schedule.set_service(&s, vec![], due, &mut none);
        assert_eq!(schedule.found(id, Found::Refused, 3, due), None);
        assert_eq!(schedule.len(), 0);
    }

    #[test]
    fn a_changed_checker_starts_anew() {
        let now = Clock::system().now();
        let mut schedule = Schedule::new(Limits::default());
        schedule.set_service(&service("s"), vec![(key("a:1"), tcp(1))], now, &mut none);
        let due = now + Duration::from_secs(2);
        let (old, _) = schedule.pop_due(due).unwrap();
        schedule.set_service(&service("s"), vec![(key("a:1"), tcp(9))], due, &mut none);
        assert_eq!(
            schedule.found(old, Found::Refused, 3, due),
            None,
            "the old port says nothing of the new one"
        );
        assert_eq!(schedule.pop_due(due + Duration::from_secs(2)).unwrap().1.probe, tcp(9));
    }

    #[test]
    fn a_verdict_is_repeated_until_it_is_carried_out() {
        let now = Clock::system().now();
        let mut schedule = Schedule::new(Limits::default());
        schedule.set_service(&service("s"), vec![(key("a:1"), tcp(1))], now, &mut none);
        let (id, _) = schedule.pop_due(now + Duration::from_secs(2)).unwrap();
        assert!(!schedule.found(id, Found::Refused, 3, now).unwrap().healthy);
        schedule.set_flipping(id, true);
        assert_eq!(schedule.found(id, Found::Refused, 3, now), None);
        schedule.set_flipping(id, false);
        assert!(schedule.found(id, Found::Refused, 3, now).is_some());
    }

    #[test]
    fn results_from_before_a_skip_do_not_count() {
        let now = Clock::system().now();
        let mut schedule = Schedule::new(Limits::default());
        schedule.set_service(&service("s"), vec![(key("a:1"), tcp(1))], now, &mut none);
        let (id, _) = schedule.pop_due(now + Duration::from_secs(2)).unwrap();
        for _ in 0..2 {
            assert_eq!(schedule.found(id, PASSED, 3, now), None);
        }
        schedule.skipped(id, now);
        assert_eq!(schedule.found(id, PASSED, 3, now), None);
    }

    /// Twenty thousand targets of which three in ten swallow connections, at the default bounds: those that live do not
    /// wait for those that do not (Nacos issue 9474).
    #[test]
    fn black_holes_do_not_hold_up_the_living() {
        let (limits, probing_max) = (Limits::default(), crate::Config::default().probes_max);
        let start = Clock::system().now();
        let mut schedule = Schedule::new(limits);
        let mut drawn = 0u32;
        let mut chance = |most: Duration| {
            drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            most.mul_f64(f64::from(drawn) / f64::from(u32::MAX))
        };
        for s in 0..200 {
            let wanted = (0..100).map(|port| (key(&format!("h{s}:{port}")), tcp(port))).collect();
            schedule.set_service(&service(&format!("s{s}")), wanted, start, &mut chance);
        }
        let mut under_way: BinaryHeap<Reverse<(Instant, TargetId, bool)>> = BinaryHeap::new();
        let mut seen: HashMap<TargetId, Instant> = HashMap::new();
        let mut now = start;
        while now < start + Duration::from_secs(30) {
            while under_way.len() < probing_max {
                let Some((id, target)) = schedule.pop_due(now) else {
                    break;
                };
                let black_hole = target.probe.port % 10 < 3;
                if !black_hole {
                    // The first one waits 2 to 7 s by itself; then the interval is 3 s at most.
                    let (since, most_s) = seen.insert(id, now).map_or((start, 8), |last| (last, 5));
                    let waited = now - since;
                    assert!(
                        waited <= Duration::from_secs(most_s),
                        "{} waited {waited:?}",
                        target.instance
                    );
                }
                let takes = if black_hole {
                    limits.deadline
                } else {
                    Duration::from_millis(1)
                };
                under_way.push(Reverse((now + takes, id, black_hole)));
            }
            let ended = under_way.peek().map(|Reverse((at, ..))| *at);
            let due = schedule.next_due().filter(|_| under_way.len() < probing_max);
            now = ended
                .into_iter()
                .chain(due)
                .min()
                .expect("there is always a next one")
                .max(now);
            while let Some(Reverse((at, id, black_hole))) = under_way.peek().copied() {
                if at > now {
                    break;
                }
                under_way.pop();
                schedule.found(id, if black_hole { Found::Slow } else { PASSED }, 3, now);
            }
        }
        assert_eq!(seen.len(), 14_000);
    }
}
