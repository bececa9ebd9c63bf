//! Which world: how many nodes and clients, and which faults.

use crate::names::Service;
use crate::random::Random;
use muster_model::ServiceKey;

/// Weights of the faults, against each other; nought is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights {
    pub kill_one: u64,
    pub power_off_one: u64,
    pub power_off_leader: u64,
    pub power_off_majority: u64,
    pub power_off_all: u64,
    pub pause: u64,
    pub isolate: u64,
    pub cut_one_way: u64,
    pub split: u64,
    pub slow: u64,
    pub flaky: u64,
    pub cut_clients: u64,
    pub clock: u64,
    pub members: u64,
    pub disk: u64,
}

/// A world by name, filled in from the seed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub world: &'static str,
    pub members: u64,
    /// Nodes that belong to no group in the beginning.
    pub spares: u64,
    pub faults: Weights,
    /// Between two faults, at most.
    pub pause_ms_max: u64,
    /// How long one lasts, at most.
    pub lasts_ms_max: u64,
    pub faults_ms: u64,
    pub calm_ms: u64,
    pub datagrams_lost_per_mille: u64,
    pub skew_ms_max: u64,
    pub ephemeral_services: usize,
    pub persistent_services: usize,
    pub beaters: usize,
    pub connected: usize,
    pub subscribers: usize,
    pub writers: usize,
}

/// The worlds, and what each is for.
pub const WORLDS: [(&str, &str); 8] = [
    ("calm", "no faults: clients come, go and move"),
    ("crash", "kills and losses of power: one, the leader, a majority, all"),
    (
        "cuts",
        "isolations, one-way cuts, splits, slow and flaky links, clients cut off",
    ),
    ("pauses", "nodes that stand still, clocks that are wrong and jump"),
    ("members", "members added, removed and replaced, beside crashes"),
    ("disk", "full disks and failing syncs, beside losses of power"),
    ("loss", "one node and what hangs on it goes, then a long quiet"),
    ("storm", "everything at once"),
];

impl Plan {
    /// The plan of `seed` in `world`; without a name the seed draws one.
    pub fn new(seed: u64, world: Option<&str>) -> Option<Self> {
        let mut random = Random::new(seed, "plan");
        let drawn = WORLDS[random.below(WORLDS.len() as u64) as usize].0;
        let name = world.unwrap_or(drawn);
        let (name, _) = WORLDS.into_iter().find(|(known, _)| *known == name)?;
        let mut plan = Self {
            world: name,
            members: if random.chance(300) { 5 } else { 3 },
            spares: 0,
            faults: Weights::default(),
            pause_ms_max: 9_000,
            lasts_ms_max: 20_000,
            faults_ms: 80_000,
            calm_ms: 52_000,
            datagrams_lost_per_mille: *random.pick(&[0, 0, 100, 300]),
            skew_ms_max: *random.pick(&[0, 200, 5_000]),
            ephemeral_services: 2,
            persistent_services: 2,
            beaters: 6,
            connected: 4,
            subscribers: 4,
            writers: 5,
        };
        let crashes = Weights {
            kill_one: 3,
            power_off_one: 3,
            power_off_leader: 3,
            power_off_majority: 2,
            power_off_all: 2,
            ..Weights::default()
        };
        let cuts = Weights {
            isolate: 3,
            cut_one_way: 3,
            split: 3,
            slow: 1,
            flaky: 2,
            cut_clients: 2,
            ..Weights::default()
        };
        plan.faults = match name {
            "calm" => {
                plan.faults_ms = 40_000;
                Weights::default()
            }
            "crash" => crashes,
            "cuts" => cuts,
            "pauses" => {
                plan.skew_ms_max = 5_000;
                Weights {
                    pause: 4,
                    clock: 3,
                    kill_one: 1,
                    ..Weights::default()
                }
            }
            "members" => {
                plan.spares = 2;
                Weights {
                    members: 5,
                    power_off_one: 2,
                    power_off_leader: 1,
                    ..Weights::default()
                }
            }
            "disk" => Weights {
                disk: 4,
                power_off_one: 2,
                power_off_all: 1,
                ..Weights::default()
            },
            "loss" => {
                plan.pause_ms_max = 70_000;
                plan.lasts_ms_max = 60_000;
                plan.faults_ms = 110_000;
                Weights {
                    power_off_one: 2,
                    kill_one: 1,
                    isolate: 1,
                    pause: 1,
                    ..Weights::default()
                }
            }
            _ => {
                plan.spares = 1;
                plan.pause_ms_max = 5_000;
                Weights {
                    pause: 3,
                    clock: 2,
                    members: 1,
                    disk: 1,
                    isolate: 3,
                    cut_one_way: 3,
                    split: 3,
                    slow: 1,
                    flaky: 2,
                    cut_clients: 2,
                    ..crashes
                }
            }
        };
        Some(plan)
    }

    /// Half the clients, and a third of the time.
    pub fn shorten(&mut self) {
        self.members = 3;
        self.faults_ms = 20_000;
        self.calm_ms = 26_000;
        self.pause_ms_max = 4_000;
        self.lasts_ms_max = 8_000;
        (self.beaters, self.connected, self.subscribers, self.writers) = (3, 2, 2, 3);
    }

    pub fn services(&self) -> impl Iterator<Item = Service> {
        let ephemeral = (0..self.ephemeral_services as u16).map(Service::Ephemeral);
        ephemeral.chain((0..self.persistent_services as u16).map(Service::Persistent))
    }

    /// Which of the simulation's services has this key.
    pub fn service_of(&self, key: &ServiceKey) -> Option<Service> {
        let (kind, number) = key.name().as_str().split_at_checked(1)?;
        let number = number.parse().ok()?;
        match kind {
            "e" => Some(Service::Ephemeral(number)),
            "p" => Some(Service::Persistent(number)),
            _ => None,
        }
    }
}
