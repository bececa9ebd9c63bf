//! A subscriber of 1.x: polls every ten seconds and gets datagrams in between, which it acks.

use super::{Client, Hands, Held, PushedList, Waiting};
use crate::names::Service;
use crate::requests::{List, Reply, Request, RequestId};
use muster_model::MemberId;
use std::net::SocketAddr;

/// As the SDKs: the `cacheMillis` that a pushed-to client is answered.
pub(super) const POLL_EVERY_MS: u64 = 10_000;
const RETRY_MS: u64 = 200;
/// Where its datagrams go; the port tells which client it is.
pub(super) const PORT_BASE: u16 = 20_000;

pub struct Subscriber {
    index: usize,
    service: Service,
    server: MemberId,
    waiting: Option<Waiting>,
    wakes_ms: u64,
    list: Option<List>,
    polled_ms: Option<u64>,
}

impl Subscriber {
    pub fn new(index: usize, service: Service, server: MemberId) -> Self {
        Self {
            index,
            service,
            server,
            waiting: None,
            wakes_ms: 300 + index as u64 * 211,
            list: None,
            polled_ms: None,
        }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([10, 8, 0, 1], PORT_BASE + self.index as u16))
    }

    fn fail(&mut self, hands: &mut Hands<'_>) {
        self.waiting = None;
        self.polled_ms = None;
        self.server = hands.another_server(self.server);
        self.wakes_ms = hands.now_ms + RETRY_MS;
    }

    /// An older list than the one it has is not taken, as the SDKs do.
    fn take_list(&mut self, list: List) {
        if self.list.as_ref().is_none_or(|held| held.stamp_ms <= list.stamp_ms) {
            self.list = Some(list);
        }
    }
}

impl Client for Subscriber {
    fn name(&self) -> String {
        format!("subscriber {}", self.index)
    }

    fn wakes_ms(&self) -> u64 {
        self.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self.waiting.is_some_and(|waiting| hands.now_ms >= waiting.until_ms) {
            return self.fail(hands);
        }
        let request = Request::Poll {
            service: self.service,
            address: self.address(),
        };
        let id = hands.send(self.server, request);
        self.waiting = Some(Waiting::new(id, hands.now_ms));
        self.wakes_ms = hands.now_ms + super::PATIENCE_MS;
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if self.waiting.is_none_or(|waiting| waiting.id != id) {
            return;
        }
        self.waiting = None;
        let Reply::List(list) = reply else {
            return self.fail(hands);
        };
        self.take_list(list);
        self.polled_ms = Some(hands.now_ms);
        self.wakes_ms = hands.now_ms + POLL_EVERY_MS;
    }

    fn pushed(&mut self, _from: MemberId, pushed: &PushedList, _now_ms: u64) -> bool {
        self.take_list(pushed.list.clone());
        true
    }

    fn holds(&self) -> Option<Held> {
        Some(Held {
            server: self.server,
            list: self.list.clone()?,
            since_ms: self.polled_ms?,
        })
    }
}
