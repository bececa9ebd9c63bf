//! Changes the membership: asks any node until one says that it is done.

use super::{Client, Hands};
use crate::requests::{Reply, Request, RequestId};
use muster_model::{Member, MemberId};
use std::collections::VecDeque;

/// Longer than a change may take.
const PATIENCE_MS: u64 = 25_000;
const RETRY_MS: u64 = 1_000;

#[derive(Clone, Debug)]
pub enum Change {
    Add(Member),
    Remove(MemberId),
}

#[derive(Default)]
pub struct Operator {
    wanted: VecDeque<Change>,
    waiting: Option<(RequestId, u64)>,
    wakes_ms: u64,
    /// Changes that a node said are done, for the world to act upon.
    pub done: Vec<Change>,
}

impl Operator {
    pub fn want(&mut self, change: Change, now_ms: u64) {
        self.wanted.push_back(change);
        if self.waiting.is_none() {
            self.wakes_ms = now_ms;
        }
    }

    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }
}

impl Client for Operator {
    fn name(&self) -> String {
        "operator".into()
    }

    fn wakes_ms(&self) -> u64 {
        self.wakes_ms
    }

    fn act(&mut self, hands: &mut Hands<'_>) {
        if self.waiting.is_some_and(|(_, until_ms)| hands.now_ms < until_ms) {
            return;
        }
        self.waiting = None;
        let Some(change) = self.wanted.front().cloned() else {
            self.wakes_ms = u64::MAX;
            return;
        };
        let server = hands.any_server();
        let request = match change {
            Change::Add(member) => Request::AddMember(member),
            Change::Remove(member) => Request::RemoveMember(member),
        };
        let id = hands.send(server, request);
        self.wakes_ms = hands.now_ms + PATIENCE_MS;
        self.waiting = Some((id, self.wakes_ms));
    }

    fn hear(&mut self, id: RequestId, reply: Reply, hands: &mut Hands<'_>) {
        if self.waiting.is_none_or(|(waiting, _)| waiting != id) {
            return;
        }
        self.waiting = None;
        if matches!(reply, Reply::Done)
            && let Some(change) = self.wanted.pop_front()
        {
            self.done.push(change);
        }
        self.wakes_ms = hands.now_ms + RETRY_MS;
    }
}
