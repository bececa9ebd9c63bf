//! G7: "A subscriber converges on the newest list; a lost datagram is repaired within 3 s."
//!
//! A subscriber that its server has answered, over a sound link and from a node that answers, holds a list no older than
//! the one that the node had a while ago:
//!
//! - 2 s, where no datagram is lost, and over connections (changes of a storm merge for half a second, a busy stream is tried
//!   again within a second);
//! - 12 s, where datagrams are lost: tries follow after 1 and 3 s, and the next poll comes after 10. So it is where they are lost
//!   at random, and for as long after the link to the subscriber was bad: a try that was lost on it is followed by another 3 s
//!   later, and after three of them the node waits for the poll; and what a connection has not carried is sent again after as
//!   long a wait as the link was bad. So it is, too, where the node was restarted since the subscriber asked it: it has
//!   forgotten its subscribers, and they ask again within 10 s.
//!
//! From 15 s after the calm began it holds that very list, whatever its stamp.

use super::{Invariant, Violation};
use crate::doors::list_of;
use crate::names::Service;
use crate::network::Place;
use crate::requests::List;
use crate::world::World;
use muster_model::MemberId;
use std::collections::{BTreeMap, VecDeque};

const PROMPT_MS: u64 = 2_000;
const REPAIRED_MS: u64 = 12_000;
const CALM_MS: u64 = 15_000;
const REMEMBERED: usize = 700;

#[derive(Default)]
pub(super) struct SubscribersConverge {
    /// Stamps of a node's lists and when they were first seen, oldest first.
    stamps: BTreeMap<(MemberId, u32, Service), VecDeque<(u64, u64)>>,
    differ_since_ms: BTreeMap<usize, u64>,
}

impl SubscribersConverge {
    /// The stamp of the list that the node had `ago_ms` ago.
    fn had(&self, place: (MemberId, u32, Service), at_ms: u64) -> Option<u64> {
        let stamps = self.stamps.get(&place)?;
        let before = stamps.iter().rev().find(|(seen_ms, _)| *seen_ms <= at_ms);
        before.map(|(_, stamp_ms)| *stamp_ms)
    }
}

impl Invariant for SubscribersConverge {
    fn look(&mut self, world: &World) -> Result<(), Violation> {
        let now_ms = world.now_ms();
        let mut lists: BTreeMap<(MemberId, Service), List> = BTreeMap::new();
        for (index, client) in world.clients().iter().enumerate() {
            let Some(held) = client.holds() else { continue };
            let Some(node) = world.field.node(held.server) else {
                continue;
            };
            let Some(running) = node.serves() else { continue };
            let service = held.list.service;
            let list = lists.entry((held.server, service)).or_insert_with(|| {
                let list = running.within(|parts| list_of(service, &parts.core.naming.snapshot(&service.key())));
                list.expect("one that answers has its parts")
            });
            let place = (held.server, running.run.number, service);
            let stamps = self.stamps.entry(place).or_default();
            if stamps.back().is_none_or(|(_, stamp_ms)| *stamp_ms != list.stamp_ms) {
                stamps.push_back((now_ms, list.stamp_ms));
                if stamps.len() > REMEMBERED {
                    stamps.pop_front();
                }
            }
            let sound = world
                .field
                .links
                .sound_since(Place::Member(held.server), Place::Client(index));
            let Some(sound_ms) = sound else { continue };
            let since_ms = sound_ms
                .max(held.since_ms)
                .max(node.changed_ms)
                .max(running.opened_ms.unwrap_or(now_ms));
            let by_datagram = client.name().starts_with("subscriber");
            let restarted = running.opened_ms.is_none_or(|opened_ms| held.since_ms < opened_ms);
            let was_bad = sound_ms > 0 && now_ms < sound_ms + REPAIRED_MS;
            let lossy = by_datagram && world.plan().datagrams_lost_per_mille > 0;
            let limit_ms = match lossy || was_bad || restarted {
                true => REPAIRED_MS,
                false => PROMPT_MS,
            };
            let violation = |what: String| Violation {
                promise: "G7 a subscriber converges on the newest list",
                what,
            };
            if now_ms >= since_ms + limit_ms
                && let Some(stamp_ms) = self.had(place, now_ms - limit_ms)
                && held.list.stamp_ms < stamp_ms
            {
                return Err(violation(format!(
                    "{} holds {:?} of member {}, which had the list of {stamp_ms} for {limit_ms} ms",
                    client.name(),
                    held.list,
                    held.server
                )));
            }
            let calm = world
                .calm_ms
                .is_some_and(|calm_ms| now_ms >= calm_ms.max(since_ms) + CALM_MS);
            if !calm || held.list.instances == list.instances {
                self.differ_since_ms.remove(&index);
                continue;
            }
            let differ_ms = *self.differ_since_ms.entry(index).or_insert(now_ms);
            if now_ms >= differ_ms + limit_ms {
                return Err(violation(format!(
                    "in the calm {} holds {:?}, and member {} has {list:?}",
                    client.name(),
                    held.list,
                    held.server
                )));
            }
        }
        Ok(())
    }
}
