//! What the checks know: what was truly carried out where, and what clients have asked for and been told.
//!
//! Nodes' doors note what they carried out at the moment they did; so the checks need not guess from what clients saw.

use crate::names::{Key, Service};
use crate::requests::List;
use muster_model::{ConnectionId, MemberId};
use muster_push::Target;
use std::collections::BTreeMap;

/// One start of one member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Run {
    pub member: MemberId,
    pub number: u32,
}

/// What a node's door notes.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A registration or a beat was taken, and the instance is listed.
    Renewed(Key),
    /// A beat was answered well, and the instance is not listed: the beat was swallowed.
    Swallowed(Key),
    Deregistered(Key),
    Published {
        connection: ConnectionId,
        service: Service,
        keys: Vec<Key>,
    },
    ConnectionEnded(ConnectionId),
    /// A list was handed to the network for this subscriber.
    Shown {
        to: Target,
        list: List,
    },
    /// A persistent write was acknowledged and read back at the same node.
    ReadBack {
        key: Key,
        wrote: Option<u64>,
        read: Option<u64>,
    },
}

/// Why a client takes no more part in its instance's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// It sends no more, and tells nobody.
    Silent,
    /// It has asked for the instance to be removed.
    Deregisters,
}

/// A reason for an instance to be listed: who took a registration or beat, or holds the connection.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub first_ms: u64,
    pub last_ms: u64,
    /// The connection that publishes it here; its claim lasts as long as it does.
    pub connection: Option<ConnectionId>,
}

/// The life of one ephemeral instance, of which one client alone speaks.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// When it was first listed anywhere.
    pub begun_ms: Option<u64>,
    pub over: Option<(Over, u64)>,
    /// Nodes that carried out the deregistration.
    pub deregistered: BTreeMap<Run, u64>,
    /// The client was told that it is removed.
    pub told_removed_ms: Option<u64>,
    pub claims: BTreeMap<Run, Claim>,
    /// The last moment at which a node was given a reason to list it, or lost one.
    pub last_ms: u64,
}

impl Life {
    pub fn lives(&self) -> bool {
        self.begun_ms.is_some() && self.over.is_none()
    }
}

/// One call of a client on one persistent instance.
#[derive(Clone, Debug)]
pub struct Operation {
    pub client: usize,
    pub at: MemberId,
    pub action: Action,
    pub called_ms: u64,
    /// None: not yet, or never.
    pub answered_ms: Option<u64>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Register(u64),
    Deregister,
    Edit(u64),
    StrongRead,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It may happen at any time from the call on, or never.
    Unknown,
    /// It never happens.
    Refused,
    Done,
    /// An edit of what is not there.
    NotFound,
    Read(Option<u64>),
}

/// All of it.
#[derive(Default)]
pub struct Facts {
    pub lives: BTreeMap<Key, Life>,
    pub operations: BTreeMap<Key, Vec<Operation>>,
    /// Facts of this step, in order, for checks that look at each.
    pub fresh: Vec<(Run, Fact)>,
    pub acknowledged_writes: u64,
    pub unknown_writes: u64,
    pub refused_writes: u64,
    pub strong_reads: u64,
    pub beats: u64,
    pub lists_shown: u64,
}

impl Facts {
    /// Takes note of what a door said.
    pub fn take(&mut self, run: Run, fact: Fact, now_ms: u64) {
        match &fact {
            Fact::Renewed(key) => {
                self.beats += 1;
                self.claim(run, *key, None, now_ms);
            }
            Fact::Swallowed(_) | Fact::ReadBack { .. } => {}
            Fact::Shown { .. } => self.lists_shown += 1,
            Fact::Deregistered(key) => {
                let life = self.lives.entry(*key).or_default();
                life.deregistered.insert(run, now_ms);
                life.claims.remove(&run);
            }
            Fact::Published {
                connection,
                service,
                keys,
            } => {
                for key in keys {
                    self.claim(run, *key, Some(*connection), now_ms);
                }
                for (key, life) in &mut self.lives {
                    let held = life.claims.get(&run).and_then(|claim| claim.connection);
                    if key.service == *service && held == Some(*connection) && !keys.contains(key) {
                        life.claims.remove(&run);
                        life.deregistered.insert(run, now_ms);
                    }
                }
            }
            Fact::ConnectionEnded(connection) => self.release(run, *connection, now_ms),
        }
        self.fresh.push((run, fact));
    }

    fn claim(&mut self, run: Run, key: Key, connection: Option<ConnectionId>, now_ms: u64) {
        let life = self.lives.entry(key).or_default();
        life.begun_ms.get_or_insert(now_ms);
        life.last_ms = now_ms;
        let claim = life.claims.entry(run).or_insert(Claim {
            first_ms: now_ms,
            last_ms: now_ms,
            connection,
        });
        claim.last_ms = now_ms;
        claim.connection = connection;
    }

    fn release(&mut self, run: Run, connection: ConnectionId, now_ms: u64) {
        for life in self.lives.values_mut() {
            if let Some(claim) = life.claims.get(&run)
                && claim.connection == Some(connection)
            {
                life.last_ms = now_ms;
                life.claims.remove(&run);
            }
        }
    }
}
