//! What every publisher of an ephemeral instance has, whatever it speaks: one life after the other, each of an instance of its
//! own, one request at a time.

use super::{Hands, PATIENCE_MS, Waiting};
use crate::facts::Over;
use crate::names::{Key, Service};
use crate::requests::{Request, RequestId};
use muster_model::MemberId;

/// Between two lives.
const REST_MS: (u64, u64) = (1_000, 15_000);

pub(super) struct Publisher {
    pub(super) index: usize,
    pub(super) service: Service,
    lives: u16,
    /// The instance of this life.
    pub(super) key: Key,
    pub(super) server: MemberId,
    pub(super) waiting: Option<Waiting>,
    pub(super) wakes_ms: u64,
    ends_ms: u64,
    /// It never leaves.
    stays: bool,
}

impl Publisher {
    pub(super) fn new(index: usize, service: Service, server: MemberId, stays: bool, wakes_ms: u64) -> Self {
        Self {
            index,
            service,
            lives: 0,
            key: Key { service, port: 0 },
            server,
            waiting: None,
            wakes_ms,
            ends_ms: u64::MAX,
            stays,
        }
    }

    /// Another life begins, for a time between these two.
    pub(super) fn begin(&mut self, hands: &mut Hands<'_>, lasts_ms: (u64, u64)) {
        self.lives += 1;
        // An address of its own for each life: what an earlier one left under way does not speak for this one.
        self.key.port = (self.index as u16 + 1) * 100 + self.lives;
        self.ends_ms = match self.stays {
            true => u64::MAX,
            false => hands.now_ms + hands.random.between(lasts_ms.0, lasts_ms.1),
        };
    }

    /// What it registers, by which a list can tell this life from another.
    pub(super) fn value(&self) -> u64 {
        u64::from(self.key.port)
    }

    pub(super) fn ask(&mut self, hands: &mut Hands<'_>, request: Request) {
        let id = hands.send(self.server, request);
        self.waiting = Some(Waiting::new(id, hands.now_ms));
        self.wakes_ms = hands.now_ms + PATIENCE_MS;
    }

    pub(super) fn has_lost_patience(&self, now_ms: u64) -> bool {
        self.waiting.is_some_and(|waiting| now_ms >= waiting.until_ms)
    }

    /// Whether this answers what it waits for; it waits no more then.
    pub(super) fn is_answered(&mut self, id: RequestId) -> bool {
        self.waiting.take_if(|waiting| waiting.id == id).is_some()
    }

    /// Waits for nothing more, and tries the next server in a moment.
    pub(super) fn go_elsewhere(&mut self, hands: &mut Hands<'_>, after_ms: u64) {
        self.waiting = None;
        self.server = hands.another_server(self.server);
        self.wakes_ms = hands.now_ms + after_ms;
    }

    /// Acts again after `every_ms`, or when its life ends.
    pub(super) fn go_on(&mut self, hands: &Hands<'_>, every_ms: u64) {
        let next_ms = hands.now_ms + every_ms;
        self.wakes_ms = match hands.calm {
            true => next_ms,
            false => next_ms.min(self.ends_ms.max(hands.now_ms + 1)),
        };
    }

    pub(super) fn is_to_leave(&self, hands: &Hands<'_>) -> bool {
        hands.now_ms >= self.ends_ms && !hands.calm
    }

    /// Its life is over from now on, silently in so many of a thousand cases.
    pub(super) fn leave(&self, hands: &mut Hands<'_>, silent_per_mille: u64) -> Over {
        let over = match hands.random.chance(silent_per_mille) {
            true => Over::Silent,
            false => Over::Deregisters,
        };
        let life = hands.facts.lives.entry(self.key).or_default();
        life.over = Some((over, hands.now_ms));
        over
    }

    pub(super) fn told_removed(&self, hands: &mut Hands<'_>) {
        let life = hands.facts.lives.entry(self.key).or_default();
        life.told_removed_ms = Some(hands.now_ms);
    }

    pub(super) fn rest(&mut self, hands: &mut Hands<'_>) {
        self.waiting = None;
        self.wakes_ms = hands.now_ms + hands.random.between(REST_MS.0, REST_MS.1);
    }
}
