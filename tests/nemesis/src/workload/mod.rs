//! What clients do meanwhile.

mod ephemeral;
mod persistent;
mod set;
mod watch;

use crate::client::{Client, Place, Places};
use crate::dice::Dice;
use crate::recorder::Recorder;
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Workload {
    /// Registrations, deregistrations and edits of few instances by many clients at all nodes, with strong and local reads.
    Persistent,
    /// Unique registrations that nobody takes back.
    Set,
    /// Publishers that beat, move, die and deregister.
    Ephemeral,
    /// Subscribers by UDP and gRPC beside writers that count.
    Watch,
    /// All of them.
    Mixed,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::Persistent => "persistent",
            Workload::Set => "set",
            Workload::Ephemeral => "ephemeral",
            Workload::Watch => "watch",
            Workload::Mixed => "mixed",
        }
    }
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Clients do all they do, the nemesis too.
    Storm,
    /// Nobody writes, dies or moves any more; who lives beats on, and subscribers listen.
    Calm,
    /// Everybody ends.
    Over,
}

/// What all clients of a run share.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) recorder: Recorder,
    pub(crate) places: Places,
    pub(crate) phase: Receiver<Phase>,
    pub(crate) seed: u64,
    /// Where the nodes see the test.
    pub(crate) here: IpAddr,
    services: Arc<Mutex<BTreeSet<String>>>,
    clients: Arc<AtomicU32>,
    tags: Arc<AtomicU64>,
}

impl Stage {
    pub(crate) fn new(recorder: &Recorder, places: &Places, phase: Receiver<Phase>, seed: u64, here: IpAddr) -> Self {
        Self {
            recorder: recorder.clone(),
            places: places.clone(),
            phase,
            seed,
            here,
            services: Arc::default(),
            clients: Arc::default(),
            tags: Arc::default(),
        }
    }

    pub(crate) fn start(&self, workload: Workload) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let is = |one| workload == one || workload == Workload::Mixed;
        if is(Workload::Persistent) {
            persistent::start(self, &mut tasks);
        }
        if is(Workload::Set) {
            set::start(self, &mut tasks);
        }
        if is(Workload::Ephemeral) {
            ephemeral::start(self, &mut tasks);
        }
        if is(Workload::Watch) {
            watch::start(self, &mut tasks);
        }
        tasks
    }

    /// A client of its own, with dice of its own.
    fn client(&self) -> (Client, Dice) {
        let number = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        (
            Client::new(number, &self.recorder),
            Dice::new(self.seed, u64::from(number)),
        )
    }

    /// A number that no other write has.
    fn tag(&self) -> u64 {
        self.tags.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Any node.
    fn place(&self, dice: &mut Dice) -> Place {
        self.places.nth(dice.below(1 << 16))
    }

    /// Has the service read in the end.
    fn uses(&self, service: &str) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.insert(service.to_owned());
    }

    pub(crate) fn services(&self) -> BTreeSet<String> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn storms(&self) -> bool {
        *self.phase.borrow() == Phase::Storm
    }

    fn is_over(&self) -> bool {
        *self.phase.borrow() == Phase::Over
    }

    /// Waits, but not beyond the end.
    async fn pause(&self, pause: Duration) {
        let mut phase = self.phase.clone();
        let over = phase.wait_for(|phase| *phase == Phase::Over);
        // an error means that the run is gone, which is an end too
        let _ = tokio::time::timeout(pause, over).await;
    }
}

/// Weights that differ wherever tags do, as long as there are fewer than 9,999 writes of an instance between two reads.
fn weight_of(tag: u64) -> u32 {
    (tag % 9_999) as u32 + 1
}
