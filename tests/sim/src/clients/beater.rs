//! A publisher of 1.x: registers, beats every five seconds, goes to the next server when one fails, and one day leaves.

use super::{Client, Hands, Waiting, is_elsewhere};
use crate::facts::Over;
use crate::names::{Key, Service};
use crate::requests::{Reply, Request, RequestId};
use muster_model::MemberId;

const BEAT_EVERY_MS: u64 = 5_000;
/// Between a failure and the next server.
const RETRY_MS: u64 = 100;
/// How often it tries to deregister before it gives up.
const DEREGISTRATIONS: u32 = 12;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Between,
    Registering,
    Beating,
    Deregistering { tries: u32 },
}

pub struct Beater {
    index: usize,
    service: Service,
    lives: u16,
    stage: Stage,
    key: Key,
    server: MemberId,
    /// Light beats name the instance only.
    light: bool,
    wakes_ms: u64,
    waiting: Option<Waiting>,
    ends_ms: u64,
    /// It never leaves.
    stays: bool,
    value: u64,
}

impl Beater {
    pub fn new(index: usize, service: Service, server: MemberId, stays: bool, light: bool) -> Self {
        Self {
            index,
            service,
            lives: 0,
            stage: Stage::Between,
            key: Key { service, port: 0 },
            server,
            light,
            wakes_ms: 500 + index as u64 * 137,
            waiting: None,
            ends_ms: u64::MAX,
            stays,
            value: 0,
        }
    }

    fn begin(&mut self, hands: &mut Hands<'_>) {
        self.lives += 1;
        // An address of its own for each life: what an earlier one left under way does not speak for this one.
        self.key = Key {
            service: self.service,
            port: (self.index as u16 + 1) * 100 + self.lives,
        };
        self.value = u64::from(self.key.port);
        self.stage = Stage::Registering;
        self.ends_ms = match self.stays {
            true => u64::MAX,
            false => hands.now_ms + hands.random.between(8_000, 70_000),
        };
        self.ask(hands);
    }

    fn ask(&mut self, hands: &mut Hands<'_>) {
        let request = match self.stage {
            Stage::Between => return,
            Stage::Registering => Request::Register(self.key, self.value),
            Stage::Beating => Request::Beat {
                key: self.key,
                full: (!self.light).then_some(self.value),
            },
            Stage::Deregistering { .. } => Request::Deregister(self.key),
        };
        let id = hands.send(self.server, request);
        self.waiting = Some(Waiting::new(id, hands.now_ms));
        self.wakes_ms = hands.now_ms + super::PATIENCE_MS;
    }

    fn leave(&mut self, hands: &mut Hands<'_>) {
        let over = match hands.random.chance(400) {
            true => Over::Silent,
            false => Over::Deregisters,
        };
        let life = hands.facts.lives.entry(self.key).or_default();
        life.over = Some((over, hands.now_ms));
        match over {
            Over::Silent => self.rest(hands),
            Over::Deregisters => {
                if hands.random.chance(500) {
                    // The thread that beats does not know yet.
                    let late_ms = hands.random.between(0, 3_000);
                    let beat = Request::Beat {
                        key: self.key,
                        full: (!self.light).then_some(self.value),
                    };
                    hands.send_late(self.server, beat, late_ms);
                }
                self.stage = Stage::Deregistering { tries: 0 };
                self.ask(hands);
            }
        }
    }

    fn rest(&mut self, hands: &mut Hands<'_>) {
        self.stage = Stage::Between;
        self.waiting = None;
        self.wakes_ms = hands.now_ms + hands.random.between(1_000, 15_000);
    }

    fn fail(&mut self, hands: &mut Hands<'_>) {
        self.waiting = None;
        self.server = hands.another_server(self.server);
        if let Stage::Deregistering { tries } = &mut self.stage {
            *tries += 1;
            if *tries >= DEREGISTRATIONS {
                return self.rest(hands);
            }
        }
        self.wakes_ms = hands.now_ms + RETRY_MS;
    }
}

impl Client for Beater {
    fn name(&self) -> String {
        format!("beater {} {}", self.index, self.key)
    }

    fn wakes_ms(&self) -> u64 {
        self.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self.waiting.is_some_and(|waiting| hands.now_ms >= waiting.until_ms) {
            return self.fail(hands);
        }
        match self.stage {
            Stage::Between if hands.calm => self.wakes_ms = u64::MAX,
            Stage::Between => self.begin(hands),
            Stage::Beating if hands.now_ms >= self.ends_ms && !hands.calm => self.leave(hands),
            _ => self.ask(hands),
        }
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if self.waiting.is_none_or(|waiting| waiting.id != id) {
            return;
        }
        self.waiting = None;
        if is_elsewhere(&reply) {
            return self.fail(hands);
        }
        match (self.stage, reply) {
            (Stage::Registering | Stage::Beating, Reply::Done) => {
                self.stage = Stage::Beating;
                // A client that leaves does so between two beats.
                let next = hands.now_ms + BEAT_EVERY_MS;
                self.wakes_ms = match hands.calm {
                    true => next,
                    false => next.min(self.ends_ms.max(hands.now_ms + 1)),
                };
            }
            (Stage::Beating, Reply::Unknown) => {
                self.stage = Stage::Registering;
                self.ask(hands);
            }
            (Stage::Deregistering { .. }, Reply::Done) => {
                let life = hands.facts.lives.entry(self.key).or_default();
                life.told_removed_ms = Some(hands.now_ms);
                self.rest(hands);
            }
            _ => self.fail(hands),
        }
    }
}
