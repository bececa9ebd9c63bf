//! Connections as TCP carries them: nothing is lost on one, and nothing overtakes another. What a bad link has swallowed is
//! sent again after a wait that doubles, and all that was sent behind it waits with it.

use super::Arrival;
use crate::network::{Fate, Place};
use crate::world::World;
use muster_model::{ConnectionId, MemberId};
use std::collections::VecDeque;

/// Linux's least wait for an acknowledgement, and as far as it doubles here (there to two minutes).
const RESENT_AFTER_MS: u64 = 200;
const DOUBLINGS: u32 = 5;

/// One direction of one connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) member: MemberId,
    pub(super) connection: ConnectionId,
    pub(super) client: usize,
    pub(super) to_client: bool,
}

impl Way {
    fn ends(self) -> (Place, Place) {
        let (member, client) = (Place::Member(self.member), Place::Client(self.client));
        match self.to_client {
            true => (member, client),
            false => (client, member),
        }
    }
}

#[derive(Default)]
pub(super) struct Stream {
    /// When the last thing on it arrives.
    last_ms: u64,
    /// Swallowed by the link, or behind what was.
    stuck: VecDeque<Arrival>,
    resent: u32,
}

impl World {
    pub(super) fn stream(&mut self, way: Way, arrival: Arrival) {
        let stream = self.traffic.streams.entry(way).or_default();
        stream.stuck.push_back(arrival);
        if stream.stuck.len() == 1 {
            self.send_stuck(way);
        }
    }

    /// Sends all that is stuck, if the link lets it through this time.
    pub(super) fn send_stuck(&mut self, way: Way) {
        let (from, to) = way.ends();
        let now_ms = self.field.now_ms;
        let fate = self.field.links.fate(from, to);
        let Some(stream) = self.traffic.streams.get_mut(&way) else {
            return;
        };
        let Fate::Arrives { after_ms, .. } = fate else {
            let wait_ms = RESENT_AFTER_MS << stream.resent.min(DOUBLINGS);
            stream.resent += 1;
            return self.traffic.travelling.send(now_ms + wait_ms, Arrival::Resent(way));
        };
        stream.resent = 0;
        stream.last_ms = stream.last_ms.max(now_ms + after_ms);
        for arrival in std::mem::take(&mut stream.stuck) {
            self.traffic.travelling.send(stream.last_ms, arrival);
        }
    }
}
