//! A client of 2.x: one connection over which it publishes an instance and watches a service; what it published it
//! publishes again over the next connection when one breaks.

use super::{Client, Hands, Held, PushedList, Waiting};
use crate::facts::Over;
use crate::names::{Key, Service};
use crate::requests::{List, Reply, Request, RequestId};
use muster_model::{ConnectionId, MemberId};

/// As the SDKs: a health check after five quiet seconds.
const CHECK_EVERY_MS: u64 = 5_000;
const RETRY_MS: u64 = 150;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Between,
    Connecting,
    Publishing,
    Watching,
    Idle,
    Checking,
    Withdrawing,
}

pub struct Connected {
    index: usize,
    service: Service,
    lives: u16,
    stage: Stage,
    key: Key,
    server: MemberId,
    connection: Option<ConnectionId>,
    waiting: Option<Waiting>,
    wakes_ms: u64,
    ends_ms: u64,
    stays: bool,
    /// It is dead: it answers nothing, but its machine's socket may still be open.
    dead: bool,
    /// The newest list it was given, and by whom.
    list: Option<(MemberId, List)>,
    watching_ms: Option<u64>,
}

impl Connected {
    pub fn new(index: usize, service: Service, server: MemberId, stays: bool) -> Self {
        Self {
            index,
            service,
            lives: 0,
            stage: Stage::Between,
            key: Key { service, port: 0 },
            server,
            connection: None,
            waiting: None,
            wakes_ms: 700 + index as u64 * 173,
            ends_ms: u64::MAX,
            stays,
            dead: false,
            list: None,
            watching_ms: None,
        }
    }

    fn begin(&mut self, hands: &mut Hands<'_>) {
        self.lives += 1;
        self.dead = false;
        self.key = Key {
            service: self.service,
            port: (self.index as u16 + 1) * 100 + self.lives,
        };
        self.ends_ms = match self.stays {
            true => u64::MAX,
            false => hands.now_ms + hands.random.between(10_000, 80_000),
        };
        self.stage = Stage::Connecting;
        self.ask(hands);
    }

    fn ask(&mut self, hands: &mut Hands<'_>) {
        let request = match (self.stage, self.connection) {
            (Stage::Connecting, _) => Request::Connect,
            (Stage::Publishing, Some(connection)) => Request::Publish {
                connection,
                service: self.service,
                instances: vec![(self.key, u64::from(self.key.port))],
            },
            (Stage::Watching, Some(connection)) => Request::Watch {
                connection,
                service: self.service,
            },
            (Stage::Idle | Stage::Checking, Some(connection)) => {
                self.stage = Stage::Checking;
                Request::HealthCheck(connection)
            }
            (Stage::Withdrawing, Some(connection)) => Request::Withdraw {
                connection,
                key: self.key,
            },
            _ => return,
        };
        let id = hands.send(self.server, request);
        self.waiting = Some(Waiting::new(id, hands.now_ms));
        self.wakes_ms = hands.now_ms + super::PATIENCE_MS;
    }

    /// The connection is of no use any more: the next one, at another server.
    fn reconnect(&mut self, hands: &mut Hands<'_>) {
        if let Some(connection) = self.connection.take() {
            // Its network may lose it; then the server finds out by silence.
            hands.send(self.server, Request::Close(connection));
        }
        self.waiting = None;
        self.watching_ms = None;
        self.server = hands.another_server(self.server);
        self.stage = Stage::Connecting;
        self.wakes_ms = hands.now_ms + RETRY_MS;
    }

    fn leave(&mut self, hands: &mut Hands<'_>) {
        let over = match hands.random.chance(600) {
            true => Over::Silent,
            false => Over::Deregisters,
        };
        let life = hands.facts.lives.entry(self.key).or_default();
        life.over = Some((over, hands.now_ms));
        match over {
            Over::Deregisters => {
                self.stage = Stage::Withdrawing;
                self.ask(hands);
            }
            Over::Silent => {
                // Half of them die with their machine, and nobody is told.
                if hands.random.chance(500)
                    && let Some(connection) = self.connection
                {
                    hands.send(self.server, Request::Close(connection));
                }
                self.dead = true;
                self.rest(hands);
            }
        }
    }

    fn rest(&mut self, hands: &mut Hands<'_>) {
        self.connection = None;
        self.watching_ms = None;
        self.waiting = None;
        self.stage = Stage::Between;
        self.wakes_ms = hands.now_ms + hands.random.between(1_000, 15_000);
    }

    /// An older list than the one it has is not taken, as the SDKs do.
    fn take_list(&mut self, from: MemberId, list: List) {
        if self
            .list
            .as_ref()
            .is_none_or(|(_, held)| held.stamp_ms <= list.stamp_ms)
        {
            self.list = Some((from, list));
        }
    }
}

impl Client for Connected {
    fn name(&self) -> String {
        format!("connected {} {}", self.index, self.key)
    }

    fn wakes_ms(&self) -> u64 {
        self.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self.waiting.is_some_and(|waiting| hands.now_ms >= waiting.until_ms) {
            return match self.stage {
                // Withdrawing over a connection that answers nothing: the client gives up and is gone.
                Stage::Withdrawing => {
                    if let Some(connection) = self.connection {
                        hands.send(self.server, Request::Close(connection));
                    }
                    self.dead = true;
                    self.rest(hands)
                }
                _ => self.reconnect(hands),
            };
        }
        match self.stage {
            Stage::Between if hands.calm => self.wakes_ms = u64::MAX,
            Stage::Between => self.begin(hands),
            Stage::Idle if hands.now_ms >= self.ends_ms && !hands.calm => self.leave(hands),
            // Now and then a client moves of its own accord, as when it is told to.
            Stage::Idle if !hands.calm && hands.random.chance(20) => self.reconnect(hands),
            _ => self.ask(hands),
        }
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if self.waiting.is_none_or(|waiting| waiting.id != id) {
            return;
        }
        self.waiting = None;
        match (self.stage, reply) {
            (Stage::Connecting, Reply::Connected(connection)) => {
                self.connection = Some(connection);
                self.stage = Stage::Publishing;
                self.ask(hands);
            }
            (Stage::Publishing, Reply::Done) => {
                self.stage = Stage::Watching;
                self.ask(hands);
            }
            (Stage::Watching, Reply::List(list)) => {
                self.take_list(self.server, list);
                self.watching_ms = Some(hands.now_ms);
                self.stage = Stage::Idle;
                self.wakes_ms = hands.now_ms + CHECK_EVERY_MS;
            }
            (Stage::Checking, Reply::Done) => {
                self.stage = Stage::Idle;
                let next = hands.now_ms + CHECK_EVERY_MS;
                self.wakes_ms = match hands.calm {
                    true => next,
                    false => next.min(self.ends_ms.max(hands.now_ms + 1)),
                };
            }
            (Stage::Withdrawing, Reply::Done) => {
                let life = hands.facts.lives.entry(self.key).or_default();
                life.told_removed_ms = Some(hands.now_ms);
                if let Some(connection) = self.connection {
                    hands.send(self.server, Request::Close(connection));
                }
                self.rest(hands);
            }
            (Stage::Withdrawing, _) => {
                self.dead = true;
                self.rest(hands);
            }
            _ => self.reconnect(hands),
        }
    }

    fn pushed(&mut self, from: MemberId, pushed: &PushedList, _now_ms: u64) -> bool {
        if self.dead || pushed.connection != self.connection || pushed.connection.is_none() {
            return false;
        }
        self.take_list(from, pushed.list.clone());
        true
    }

    fn asked(&mut self, _from: MemberId, connection: ConnectionId) -> bool {
        !self.dead && self.connection == Some(connection)
    }

    fn closed(&mut self, _from: MemberId, connection: ConnectionId, now_ms: u64) {
        if self.connection == Some(connection) && !self.dead {
            self.connection = None;
            self.watching_ms = None;
            self.waiting = None;
            if self.stage != Stage::Withdrawing {
                self.stage = Stage::Connecting;
            }
            self.wakes_ms = now_ms + RETRY_MS;
        }
    }

    fn holds(&self) -> Option<Held> {
        let since_ms = self.watching_ms?;
        let (_, list) = self.list.as_ref()?;
        (self.stage != Stage::Between).then(|| Held {
            server: self.server,
            list: list.clone(),
            since_ms,
        })
    }
}
