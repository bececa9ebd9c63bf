//! What faults act upon: the nodes and the links between everybody.

use super::node::Node;
use crate::network::{Link, Links, Place, Wire};
use crate::random::Random;
use crate::trace::Trace;
use muster_consensus::Role;
use muster_model::MemberId;

pub struct Field {
    pub now_ms: u64,
    pub nodes: Vec<Node>,
    pub links: Links,
    pub wire: Wire,
    pub trace: Trace,
    pub random: Random,
    pub clients: usize,
    /// When a fault last began or ended, or a node came back from one.
    pub disturbed_ms: u64,
}

impl Field {
    pub fn index(&self, id: MemberId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id() == id)
    }

    pub fn node(&self, id: MemberId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id() == id)
    }

    /// Notes a fault, or the end of one.
    pub fn disturb(&mut self, what: &str) {
        self.disturbed_ms = self.now_ms;
        self.trace.note("fault", &[], || what.to_owned());
    }

    pub fn start(&mut self, index: usize) {
        if self.nodes[index].is_up() {
            return;
        }
        let (now_ms, wire) = (self.now_ms, self.wire.clone());
        self.nodes[index].start(&wire, now_ms);
        self.disturb(&format!("start {}", self.nodes[index].id()));
    }

    pub fn kill(&mut self, index: usize) {
        self.nodes[index].kill(self.now_ms);
        self.disturb(&format!("kill {}", self.nodes[index].id()));
    }

    pub fn lose_power(&mut self, index: usize) {
        self.nodes[index].lose_power(self.now_ms);
        self.disturb(&format!("power off {}", self.nodes[index].id()));
    }

    pub fn pause(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.is_up() && node.paused_ms.is_none() {
            node.paused_ms = Some(self.now_ms);
            node.changed_ms = self.now_ms;
            self.disturb(&format!("pause {}", self.nodes[index].id()));
        }
    }

    pub fn resume(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(since_ms) = node.paused_ms.take() else { return };
        node.changed_ms = self.now_ms;
        if let Some(running) = &node.running {
            running.catch_up(self.now_ms - since_ms);
        }
        self.disturb(&format!("resume {}", self.nodes[index].id()));
    }

    /// The node that leads, as far as it knows itself.
    pub fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| {
            let parts = node.moves().and_then(|running| running.parts());
            parts.is_some_and(|parts| parts.core.consensus.status().role == Role::Leader)
        })
    }

    /// Sets the links between two groups of nodes, one way.
    pub fn link(&mut self, from: &[usize], to: &[usize], link: Link) {
        for &a in from {
            for &b in to {
                let ends = (Place::Member(self.nodes[a].id()), Place::Member(self.nodes[b].id()));
                if a != b {
                    self.links.set(ends.0, ends.1, link, self.now_ms);
                }
            }
        }
    }

    /// Sets the links between a node and some clients, both ways.
    pub fn link_clients(&mut self, node: usize, clients: &[usize], link: Link) {
        for &client in clients {
            let ends = (Place::Member(self.nodes[node].id()), Place::Client(client));
            self.links.set_both(ends.0, ends.1, link, self.now_ms);
        }
    }

    /// Since when two nodes have run, moved, and reached each other; `None` if they do not.
    pub fn together_since(&self, a: &Node, b: &Node) -> Option<u64> {
        a.moves()?;
        b.moves()?;
        if !a.belongs || !b.belongs {
            return None;
        }
        let sound = self.links.sound_since(Place::Member(a.id()), Place::Member(b.id()))?;
        Some(sound.max(a.changed_ms).max(b.changed_ms))
    }

    /// Whether this node has been together with a majority since then. Who is being added or removed counts as a member.
    pub fn with_a_majority_since(&self, node: &Node, at_ms: u64) -> bool {
        let members = self.nodes.iter().filter(|other| other.belongs || other.is_up());
        let together = |other: &&Node| {
            let since = self.together_since(node, other);
            other.id() == node.id() || since.is_some_and(|since_ms| since_ms <= at_ms)
        };
        members.clone().filter(together).count() * 2 > members.count()
    }
}
