//! Faults by a seeded schedule, and the end of all of them.

use crate::clients::Change;
use crate::network::Link;
use crate::random::Random;
use crate::world::{Field, Plan, Weights};
use muster_model::MemberId;
use std::collections::BTreeSet;

/// Faults that last at the same time.
const AT_ONCE: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    KillOne,
    PowerOffOne,
    PowerOffLeader,
    PowerOffMajority,
    PowerOffAll,
    Pause,
    Isolate,
    CutOneWay,
    Split,
    Slow,
    Flaky,
    CutClients,
    Clock,
    Members,
    Disk,
}

/// What ends a fault.
#[derive(Clone, Debug)]
enum Undo {
    Start(Vec<usize>),
    Resume(usize),
    Links(Vec<usize>, Vec<usize>),
    Clients(usize, Vec<usize>),
    Clock(usize),
    Nothing,
}

pub struct Nemesis {
    weights: Vec<(Kind, u64)>,
    random: Random,
    next_ms: u64,
    pause_ms_max: u64,
    lasts_ms_max: u64,
    skew_ms_max: u64,
    under_way: Vec<(u64, Undo)>,
    /// Members whose disk was made to fail: they may end by themselves.
    failing: BTreeSet<MemberId>,
    restarts: Vec<(u64, usize)>,
    /// A change of the membership that the operator has not finished.
    changing: bool,
    done: u64,
    begun: bool,
}

impl Nemesis {
    pub fn new(plan: &Plan, random: Random) -> Self {
        let Weights {
            kill_one,
            power_off_one,
            power_off_leader,
            power_off_majority,
            power_off_all,
            pause,
            isolate,
            cut_one_way,
            split,
            slow,
            flaky,
            cut_clients,
            clock,
            members,
            disk,
        } = plan.faults;
        let weights = vec![
            (Kind::KillOne, kill_one),
            (Kind::PowerOffOne, power_off_one),
            (Kind::PowerOffLeader, power_off_leader),
            (Kind::PowerOffMajority, power_off_majority),
            (Kind::PowerOffAll, power_off_all),
            (Kind::Pause, pause),
            (Kind::Isolate, isolate),
            (Kind::CutOneWay, cut_one_way),
            (Kind::Split, split),
            (Kind::Slow, slow),
            (Kind::Flaky, flaky),
            (Kind::CutClients, cut_clients),
            (Kind::Clock, clock),
            (Kind::Members, members),
            (Kind::Disk, disk),
        ];
        Self {
            weights,
            random,
            next_ms: 0,
            pause_ms_max: plan.pause_ms_max,
            lasts_ms_max: plan.lasts_ms_max,
            skew_ms_max: plan.skew_ms_max,
            under_way: Vec::new(),
            failing: BTreeSet::new(),
            restarts: Vec::new(),
            changing: false,
            done: 0,
            begun: false,
        }
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    /// Whether the end of this member's process has a reason.
    pub fn excuse(&mut self, id: MemberId) -> bool {
        self.failing.remove(&id)
    }

    pub fn restart_later(&mut self, index: usize, now_ms: u64) {
        let at_ms = now_ms + self.random.between(500, 5_000);
        self.restarts.push((at_ms, index));
    }

    pub fn due_restarts(&mut self, now_ms: u64) -> Vec<usize> {
        let due = |(at_ms, _): &(u64, usize)| *at_ms <= now_ms;
        let indexes = self
            .restarts
            .iter()
            .filter(|restart| due(restart))
            .map(|(_, index)| *index);
        let indexes = indexes.collect();
        self.restarts.retain(|restart| !due(restart));
        indexes
    }

    /// A millisecond of the time of faults.
    pub fn act(&mut self, field: &mut Field, operator: &mut crate::clients::Operator) {
        let now_ms = field.now_ms;
        if !self.begun {
            self.begun = true;
            self.begin(field);
            self.next_ms = now_ms + self.random.between(2_000, 6_000);
        }
        let (over, going_on): (Vec<_>, Vec<_>) = std::mem::take(&mut self.under_way)
            .into_iter()
            .partition(|(ends_ms, _)| *ends_ms <= now_ms);
        self.under_way = going_on;
        for (_, undo) in over {
            self.undo(field, undo);
        }
        if now_ms < self.next_ms {
            return;
        }
        self.next_ms = now_ms + self.random.between(500, self.pause_ms_max);
        if self.under_way.len() >= AT_ONCE {
            return;
        }
        let Some(kind) = self.draw() else { return };
        let lasts_ms = match self.random.one_in(3) {
            true => self.random.between(100, 2_000),
            false => self.random.between(1_000, self.lasts_ms_max),
        };
        if let Some(undo) = self.strike(kind, field, operator) {
            self.done += 1;
            self.under_way.push((now_ms + lasts_ms, undo));
        }
    }

    /// Clocks are wrong from the beginning.
    fn begin(&mut self, field: &mut Field) {
        if self.skew_ms_max > 0 {
            for index in 0..field.nodes.len() {
                let skew_ms = self.skew_ms();
                field.nodes[index].set_skew_ms(skew_ms);
            }
        }
    }

    fn skew_ms(&mut self) -> i64 {
        self.random.between(0, 2 * self.skew_ms_max) as i64 - self.skew_ms_max as i64
    }

    fn draw(&mut self) -> Option<Kind> {
        let all: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        if all == 0 {
            return None;
        }
        let mut at = self.random.below(all);
        for (kind, weight) in &self.weights {
            if at < *weight {
                return Some(*kind);
            }
            at -= weight;
        }
        None
    }

    fn strike(&mut self, kind: Kind, field: &mut Field, operator: &mut crate::clients::Operator) -> Option<Undo> {
        let up: Vec<usize> = (0..field.nodes.len())
            .filter(|index| field.nodes[*index].is_up())
            .collect();
        if up.is_empty() {
            return None;
        }
        let one = *self.random.pick(&up);
        match kind {
            Kind::KillOne => {
                field.kill(one);
                Some(Undo::Start(vec![one]))
            }
            Kind::PowerOffOne => {
                field.lose_power(one);
                Some(Undo::Start(vec![one]))
            }
            Kind::PowerOffLeader => {
                let leader = field.leader()?;
                field.lose_power(leader);
                Some(Undo::Start(vec![leader]))
            }
            Kind::PowerOffMajority => {
                let mut victims = up.clone();
                self.random.shuffle(&mut victims);
                victims.truncate(up.len() / 2 + 1);
                victims.iter().for_each(|index| field.lose_power(*index));
                Some(Undo::Start(victims))
            }
            Kind::PowerOffAll => {
                up.iter().for_each(|index| field.lose_power(*index));
                Some(Undo::Start(up))
            }
            Kind::Pause => {
                field.pause(one);
                Some(Undo::Resume(one))
            }
            Kind::Isolate | Kind::CutOneWay | Kind::Split | Kind::Slow | Kind::Flaky => {
                Some(self.links(kind, one, field))
            }
            Kind::CutClients => {
                let clients = self.some_clients(field);
                let link = self.bad_link(false);
                field.link_clients(one, &clients, link);
                field.disturb(&format!("clients {clients:?} off {}: {link:?}", field.nodes[one].id()));
                Some(Undo::Clients(one, clients))
            }
            Kind::Clock => {
                let skew_ms = self.skew_ms();
                field.nodes[one].set_skew_ms(skew_ms);
                field.disturb(&format!("clock of {} off by {skew_ms} ms", field.nodes[one].id()));
                Some(Undo::Clock(one))
            }
            Kind::Members => self.change_members(field, operator),
            Kind::Disk => {
                let id = field.nodes[one].id();
                self.failing.insert(id);
                match self.random.chance(500) {
                    true => {
                        let bytes = self.random.between(0, 4_000);
                        field.nodes[one].disk.fill_up_after(bytes);
                        field.disturb(&format!("disk of {id} full in {bytes} bytes"));
                    }
                    false => {
                        field.nodes[one].disk.fail_syncs();
                        field.disturb(&format!("disk of {id} fails to sync"));
                    }
                }
                Some(Undo::Nothing)
            }
        }
    }

    fn some_clients(&mut self, field: &Field) -> Vec<usize> {
        (0..field.clients).filter(|_| self.random.chance(500)).collect()
    }

    fn bad_link(&mut self, slow: bool) -> Link {
        match self.random.below(if slow { 3 } else { 2 }) {
            0 => Link {
                cut: true,
                ..Link::default()
            },
            1 => Link {
                lost_per_mille: self.random.between(50, 500),
                doubled_per_mille: self.random.between(0, 200),
                slow_ms: self.random.between(0, 200),
                ..Link::default()
            },
            _ => Link {
                slow_ms: self.random.between(50, 1_500),
                ..Link::default()
            },
        }
    }

    fn links(&mut self, kind: Kind, one: usize, field: &mut Field) -> Undo {
        let cut = Link {
            cut: true,
            ..Link::default()
        };
        let mut all: Vec<usize> = (0..field.nodes.len()).collect();
        let others: Vec<usize> = all.iter().copied().filter(|index| *index != one).collect();
        let (these, those, link, both) = match kind {
            Kind::Isolate => (vec![one], others, cut, true),
            Kind::CutOneWay => {
                let all_others = self.random.chance(400);
                let those = match all_others {
                    true => others,
                    false => vec![*self.random.pick(&others)],
                };
                (vec![one], those, cut, false)
            }
            Kind::Split => {
                self.random.shuffle(&mut all);
                let at = 1 + self.random.below(all.len() as u64 - 1) as usize;
                let those = all.split_off(at);
                (all, those, cut, true)
            }
            Kind::Slow => {
                let link = Link {
                    slow_ms: self.random.between(50, 1_500),
                    ..Link::default()
                };
                (vec![one], others, link, self.random.chance(500))
            }
            _ => {
                let link = Link {
                    lost_per_mille: self.random.between(50, 500),
                    doubled_per_mille: self.random.between(50, 300),
                    slow_ms: self.random.between(0, 100),
                    ..Link::default()
                };
                (vec![one], others, link, self.random.chance(700))
            }
        };
        // One way may be either way.
        let (these, those) = match !both && self.random.chance(500) {
            true => (those, these),
            false => (these, those),
        };
        field.link(&these, &those, link);
        if both {
            field.link(&those, &these, link);
        }
        // Clients are on some side of it, or beside it.
        field.disturb(&format!("{kind:?} {these:?} {those:?} {link:?}"));
        Undo::Links(these, those)
    }

    fn change_members(&mut self, field: &mut Field, operator: &mut crate::clients::Operator) -> Option<Undo> {
        if self.changing || !operator.is_idle() {
            return None;
        }
        let belonging: Vec<usize> = (0..field.nodes.len())
            .filter(|index| field.nodes[*index].belongs)
            .collect();
        let spare = (0..field.nodes.len()).find(|index| !field.nodes[*index].belongs && !field.nodes[*index].is_up());
        let now_ms = field.now_ms;
        let adds = spare.filter(|_| belonging.len() <= 3 || self.random.chance(500));
        if let Some(spare) = adds {
            field.start(spare);
            let member = field.nodes[spare].member.clone();
            field.disturb(&format!("add {}", member.id));
            operator.want(Change::Add(member), now_ms);
        }
        if belonging.len() > 3 || (adds.is_some() && self.random.chance(600)) {
            let leaving = *self.random.pick(&belonging);
            let id = field.nodes[leaving].id();
            field.nodes[leaving].belongs = false;
            field.disturb(&format!("remove {id}"));
            operator.want(Change::Remove(id), now_ms);
        }
        self.changing = true;
        Some(Undo::Nothing)
    }

    /// The operator was told that a change is done.
    pub fn changed(&mut self, field: &mut Field, change: Change) {
        self.changing = false;
        match change {
            Change::Add(member) => {
                if let Some(index) = field.index(member.id) {
                    field.nodes[index].belongs = true;
                    field.nodes[index].changed_ms = field.now_ms;
                    field.disturb(&format!("added {}", member.id));
                }
            }
            Change::Remove(id) => {
                if let Some(index) = field.index(id) {
                    // Somebody switches it off, and its disk is used for something else.
                    field.kill(index);
                    field.nodes[index].wipe();
                    self.restarts.retain(|(_, restarted)| *restarted != index);
                    for (_, undo) in &mut self.under_way {
                        if let Undo::Start(indexes) = undo {
                            indexes.retain(|started| *started != index);
                        }
                    }
                    field.disturb(&format!("removed {id}"));
                }
            }
        }
    }

    fn undo(&mut self, field: &mut Field, undo: Undo) {
        match undo {
            Undo::Start(indexes) => {
                for index in indexes {
                    // One after the other, as machines come up.
                    let later_ms = self.random.between(0, 1_500);
                    self.restarts.push((field.now_ms + later_ms, index));
                }
            }
            Undo::Resume(index) => field.resume(index),
            Undo::Links(these, those) => {
                field.link(&these, &those, Link::default());
                field.link(&those, &these, Link::default());
                field.disturb(&format!("healed {these:?} {those:?}"));
            }
            Undo::Clients(node, clients) => {
                field.link_clients(node, &clients, Link::default());
                field.disturb(&format!("clients {clients:?} back"));
            }
            Undo::Clock(index) => {
                field.nodes[index].set_skew_ms(0);
                field.disturb(&format!("clock of {} right", field.nodes[index].id()));
            }
            Undo::Nothing => {}
        }
    }

    /// Ends everything at once.
    pub fn end(&mut self, field: &mut Field, _operator: &mut crate::clients::Operator) {
        for (_, undo) in std::mem::take(&mut self.under_way) {
            self.undo(field, undo);
        }
        for (_, index) in std::mem::take(&mut self.restarts) {
            field.start(index);
        }
        field.links.heal(field.now_ms);
        for index in 0..field.nodes.len() {
            field.resume(index);
            field.nodes[index].set_skew_ms(0);
            let id = field.nodes[index].id();
            if self.failing.remove(&id) {
                // Nobody goes on with a disk that fails.
                field.lose_power(index);
                field.start(index);
            }
        }
        field.disturb("calm");
    }
}
