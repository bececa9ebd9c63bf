//! A client of 2.x: one connection over which it publishes an instance and watches a service; what it published it
//! publishes again over the next connection when one breaks.

use super::publisher::Publisher;
use super::{Client, Hands, Held, PushedList};
use crate::facts::Over;
use crate::names::Service;
use crate::requests::{List, Reply, Request, RequestId};
use muster_model::{ConnectionId, MemberId};

/// As the SDKs: a health check after five quiet seconds.
const CHECK_EVERY_MS: u64 = 5_000;
const RETRY_MS: u64 = 150;
const LIVES_MS: (u64, u64) = (10_000, 80_000);
const LEAVES_SILENTLY_PER_MILLE: u64 = 600;

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
    publisher: Publisher,
    stage: Stage,
    connection: Option<ConnectionId>,
    /// It is dead: it answers nothing, but its machine's socket may still be open.
    dead: bool,
    /// The newest list it was given, and by whom.
    list: Option<(MemberId, List)>,
    watching_ms: Option<u64>,
}

impl Connected {
    pub fn new(index: usize, service: Service, server: MemberId, stays: bool) -> Self {
        Self {
            publisher: Publisher::new(index, service, server, stays, 700 + index as u64 * 173),
            stage: Stage::Between,
            connection: None,
            dead: false,
            list: None,
            watching_ms: None,
        }
    }

    fn begin(&mut self, hands: &mut Hands<'_>) {
        self.dead = false;
        self.publisher.begin(hands, LIVES_MS);
        self.stage = Stage::Connecting;
        self.ask(hands);
    }

    fn ask(&mut self, hands: &mut Hands<'_>) {
        let request = match (self.stage, self.connection) {
            (Stage::Connecting, _) => Request::Connect,
            (Stage::Publishing, Some(connection)) => Request::Publish {
                connection,
                service: self.publisher.service,
                instances: vec![(self.publisher.key, self.publisher.value())],
            },
            (Stage::Watching, Some(connection)) => Request::Watch {
                connection,
                service: self.publisher.service,
            },
            (Stage::Idle | Stage::Checking, Some(connection)) => {
                self.stage = Stage::Checking;
                Request::HealthCheck(connection)
            }
            (Stage::Withdrawing, Some(connection)) => Request::Withdraw {
                connection,
                key: self.publisher.key,
            },
            _ => return,
        };
        self.publisher.ask(hands, request);
    }

    /// The connection is of no use any more: the next one, at another server.
    fn reconnect(&mut self, hands: &mut Hands<'_>) {
        self.close(hands);
        self.connection = None;
        self.watching_ms = None;
        self.stage = Stage::Connecting;
        self.publisher.go_elsewhere(hands, RETRY_MS);
    }

    /// Its network may lose it; then the server finds out by silence.
    fn close(&self, hands: &mut Hands<'_>) {
        if let Some(connection) = self.connection {
            hands.send(self.publisher.server, Request::Close(connection));
        }
    }

    fn leave(&mut self, hands: &mut Hands<'_>) {
        match self.publisher.leave(hands, LEAVES_SILENTLY_PER_MILLE) {
            Over::Deregisters => {
                self.stage = Stage::Withdrawing;
                self.ask(hands);
            }
            Over::Silent => {
                // Half of them die with their machine, and nobody is told.
                if hands.random.chance(500) {
                    self.close(hands);
                }
                self.dead = true;
                self.rest(hands);
            }
        }
    }

    fn rest(&mut self, hands: &mut Hands<'_>) {
        self.connection = None;
        self.watching_ms = None;
        self.stage = Stage::Between;
        self.publisher.rest(hands);
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
        format!("connected {} {}", self.publisher.index, self.publisher.key)
    }

    fn wakes_ms(&self) -> u64 {
        self.publisher.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self.publisher.has_lost_patience(hands.now_ms) {
            return match self.stage {
                // Withdrawing over a connection that answers nothing: the client gives up and is gone.
                Stage::Withdrawing => {
                    self.close(hands);
                    self.dead = true;
                    self.rest(hands);
                }
                _ => self.reconnect(hands),
            };
        }
        match self.stage {
            // Its connection was closed before it was answered: it is gone with it.
            Stage::Withdrawing if self.connection.is_none() => self.rest(hands),
            Stage::Between if hands.calm => self.publisher.wakes_ms = u64::MAX,
            Stage::Between => self.begin(hands),
            Stage::Idle if self.publisher.is_to_leave(hands) => self.leave(hands),
            // Now and then a client moves of its own accord, as when it is told to.
            Stage::Idle if !hands.calm && hands.random.chance(20) => self.reconnect(hands),
            _ => self.ask(hands),
        }
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if !self.publisher.is_answered(id) {
            return;
        }
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
                self.take_list(self.publisher.server, list);
                self.watching_ms = Some(hands.now_ms);
                self.stage = Stage::Idle;
                self.publisher.wakes_ms = hands.now_ms + CHECK_EVERY_MS;
            }
            (Stage::Checking, Reply::Done) => {
                self.stage = Stage::Idle;
                self.publisher.go_on(hands, CHECK_EVERY_MS);
            }
            (Stage::Withdrawing, Reply::Done) => {
                self.publisher.told_removed(hands);
                self.close(hands);
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
            self.publisher.waiting = None;
            if self.stage != Stage::Withdrawing {
                self.stage = Stage::Connecting;
            }
            self.publisher.wakes_ms = now_ms + RETRY_MS;
        }
    }

    fn holds(&self) -> Option<Held> {
        let since_ms = self.watching_ms?;
        let (_, list) = self.list.as_ref()?;
        (self.stage != Stage::Between).then(|| Held {
            server: self.publisher.server,
            list: list.clone(),
            since_ms,
        })
    }
}
