//! A publisher of 1.x: registers, beats every five seconds, goes to the next server when one fails, and one day leaves.

use super::publisher::Publisher;
use super::{Client, Hands, is_elsewhere};
use crate::facts::Over;
use crate::names::Service;
use crate::requests::{Reply, Request, RequestId};
use muster_model::MemberId;

const BEAT_EVERY_MS: u64 = 5_000;
/// Between a failure and the next server.
const RETRY_MS: u64 = 100;
/// How often it tries to deregister before it gives up.
const DEREGISTRATIONS: u32 = 12;
const LIVES_MS: (u64, u64) = (8_000, 70_000);
const LEAVES_SILENTLY_PER_MILLE: u64 = 400;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Between,
    Registering,
    Beating,
    Deregistering { tries: u32 },
}

pub struct Beater {
    publisher: Publisher,
    stage: Stage,
    /// Light beats name the instance only.
    light: bool,
}

impl Beater {
    pub fn new(index: usize, service: Service, server: MemberId, stays: bool, light: bool) -> Self {
        Self {
            publisher: Publisher::new(index, service, server, stays, 500 + index as u64 * 137),
            stage: Stage::Between,
            light,
        }
    }

    fn beat(&self) -> Request {
        Request::Beat {
            key: self.publisher.key,
            full: (!self.light).then_some(self.publisher.value()),
        }
    }

    fn ask(&mut self, hands: &mut Hands<'_>) {
        let key = self.publisher.key;
        let request = match self.stage {
            Stage::Between => return,
            Stage::Registering => Request::Register(key, self.publisher.value()),
            Stage::Beating => self.beat(),
            Stage::Deregistering { .. } => Request::Deregister(key),
        };
        self.publisher.ask(hands, request);
    }

    fn leave(&mut self, hands: &mut Hands<'_>) {
        match self.publisher.leave(hands, LEAVES_SILENTLY_PER_MILLE) {
            Over::Silent => self.rest(hands),
            Over::Deregisters => {
                if hands.random.chance(500) {
                    // The thread that beats does not know yet.
                    let late_ms = hands.random.between(0, 3_000);
                    hands.send_late(self.publisher.server, self.beat(), late_ms);
                }
                self.stage = Stage::Deregistering { tries: 0 };
                self.ask(hands);
            }
        }
    }

    fn rest(&mut self, hands: &mut Hands<'_>) {
        self.stage = Stage::Between;
        self.publisher.rest(hands);
    }

    fn fail(&mut self, hands: &mut Hands<'_>) {
        self.publisher.go_elsewhere(hands, RETRY_MS);
        if let Stage::Deregistering { tries } = &mut self.stage {
            *tries += 1;
            if *tries >= DEREGISTRATIONS {
                self.rest(hands);
            }
        }
    }
}

impl Client for Beater {
    fn name(&self) -> String {
        format!("beater {} {}", self.publisher.index, self.publisher.key)
    }

    fn wakes_ms(&self) -> u64 {
        self.publisher.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self.publisher.has_lost_patience(hands.now_ms) {
            return self.fail(hands);
        }
        match self.stage {
            Stage::Between if hands.calm => self.publisher.wakes_ms = u64::MAX,
            Stage::Between => {
                self.publisher.begin(hands, LIVES_MS);
                self.stage = Stage::Registering;
                self.ask(hands);
            }
            // A client that leaves does so between two beats.
            Stage::Beating if self.publisher.is_to_leave(hands) => self.leave(hands),
            _ => self.ask(hands),
        }
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if !self.publisher.is_answered(id) {
            return;
        }
        if is_elsewhere(&reply) {
            return self.fail(hands);
        }
        match (self.stage, reply) {
            (Stage::Registering | Stage::Beating, Reply::Done) => {
                self.stage = Stage::Beating;
                self.publisher.go_on(hands, BEAT_EVERY_MS);
            }
            (Stage::Beating, Reply::Unknown) => {
                self.stage = Stage::Registering;
                self.ask(hands);
            }
            (Stage::Deregistering { .. }, Reply::Done) => {
                self.publisher.told_removed(hands);
                self.rest(hands);
            }
            _ => self.fail(hands),
        }
    }
}
