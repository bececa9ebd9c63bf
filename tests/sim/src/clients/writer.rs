//! Writes and reads persistent instances through any node, and keeps its history.

use super::{Client, Hands, PATIENCE_MS, is_elsewhere};
use crate::doors::{WRITE_WITHIN, value_in};
use crate::facts::{Action, Operation, Outcome};
use crate::names::{Key, Service};
use crate::requests::{Reply, Request, RequestId};
use muster_model::MemberId;

/// Addresses of each service; few, so that writers meet.
const KEYS: u64 = 4;

/// One under way: its place in the history.
#[derive(Clone, Copy)]
struct UnderWay {
    id: RequestId,
    key: Key,
    number: usize,
    until_ms: u64,
}

pub struct Writer {
    index: usize,
    service: Service,
    server: MemberId,
    wakes_ms: u64,
    under_way: Option<UnderWay>,
    /// The service's settings are there: nobody connects to what it registers.
    prepared: bool,
    preparing: Option<RequestId>,
    written: u64,
}

impl Writer {
    pub fn new(index: usize, service: Service, server: MemberId) -> Self {
        Self {
            index,
            service,
            server,
            wakes_ms: 1_000 + index as u64 * 97,
            under_way: None,
            prepared: false,
            preparing: None,
            written: 0,
        }
    }

    fn call(&mut self, hands: &mut Hands<'_>) {
        let key = Key {
            service: self.service,
            port: 1 + hands.random.below(KEYS) as u16,
        };
        self.written += 1;
        let value = (self.index as u64 + 1) * 1_000_000 + self.written;
        let action = match hands.random.below(10) {
            0..=3 => Action::Register(value),
            4 => Action::Deregister,
            5..=6 => Action::Edit(value),
            _ => Action::StrongRead,
        };
        let request = match action {
            Action::Register(value) => Request::Register(key, value),
            Action::Deregister => Request::Deregister(key),
            Action::Edit(value) => Request::Edit(key, value),
            Action::StrongRead => Request::Read {
                service: self.service,
                strong: true,
            },
        };
        let operations = hands.facts.operations.entry(key).or_default();
        operations.push(Operation {
            client: self.index,
            at: self.server,
            action,
            called_ms: hands.now_ms,
            answered_ms: None,
            outcome: Outcome::Unknown,
        });
        let number = operations.len() - 1;
        let id = hands.send(self.server, request);
        // Longer than the node may take, so that most outcomes become known.
        let until_ms = hands.now_ms + WRITE_WITHIN.as_millis() as u64 + PATIENCE_MS;
        self.under_way = Some(UnderWay {
            id,
            key,
            number,
            until_ms,
        });
        self.wakes_ms = until_ms;
    }

    fn outcome(key: Key, action: Action, reply: &Reply) -> Outcome {
        match (action, reply) {
            (Action::StrongRead, Reply::List(list)) => Outcome::Read(value_in(list, key)),
            (_, Reply::Done) => Outcome::Done,
            (_, Reply::NotFound) => Outcome::NotFound,
            (_, Reply::OutcomeUnknown(_)) => Outcome::Unknown,
            _ => Outcome::Refused,
        }
    }

    fn pause(&mut self, hands: &mut Hands<'_>) {
        let least = match hands.calm {
            true => 1_500,
            false => 100,
        };
        self.wakes_ms = hands.now_ms + hands.random.between(least, least + 900);
    }
}

impl Client for Writer {
    fn name(&self) -> String {
        format!("writer {}", self.index)
    }

    fn wakes_ms(&self) -> u64 {
        self.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self
            .under_way
            .is_some_and(|under_way| hands.now_ms >= under_way.until_ms)
        {
            // Nobody knows.
            hands.facts.unknown_writes += 1;
            self.under_way = None;
            self.server = hands.another_server(self.server);
        }
        if self.prepared {
            return self.call(hands);
        }
        self.server = hands.any_server();
        self.preparing = Some(hands.send(self.server, Request::Unprobed(self.service)));
        self.wakes_ms = hands.now_ms + 2 * PATIENCE_MS;
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if self.preparing == Some(id) {
            self.preparing = None;
            self.prepared = matches!(reply, Reply::Done);
            return self.pause(hands);
        }
        let Some(under_way) = self.under_way.filter(|under_way| under_way.id == id) else {
            return;
        };
        self.under_way = None;
        let operations = hands.facts.operations.entry(under_way.key).or_default();
        let operation = &mut operations[under_way.number];
        operation.answered_ms = Some(hands.now_ms);
        operation.outcome = Self::outcome(under_way.key, operation.action, &reply);
        match operation.outcome {
            Outcome::Done | Outcome::NotFound => hands.facts.acknowledged_writes += 1,
            Outcome::Unknown => hands.facts.unknown_writes += 1,
            Outcome::Refused => hands.facts.refused_writes += 1,
            Outcome::Read(_) => hands.facts.strong_reads += 1,
        }
        if is_elsewhere(&reply) || hands.random.one_in(4) {
            self.server = hands.another_server(self.server);
        }
        self.pause(hands);
    }
}
