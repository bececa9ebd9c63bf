//! What the store says to those who ask it.

use muster_model::{ConnectionId, InstanceKey, ServiceKey};
use std::time::Duration;

/// What a beat found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    /// The lease is renewed.
    Renewed { interval: Duration },
    /// Nobody of that name; a light beat is answered 20404, a full one registers.
    Unknown,
    /// Deregistered a moment ago: the beat was in flight. Answered well, changes nothing (reference D5).
    JustDeregistered,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("this node holds {instances_max} ephemeral instances and takes no more")]
    Full { instances_max: usize },
    #[error("instance {key} of {service} not found")]
    InstanceNotFound { service: ServiceKey, key: InstanceKey },
    /// The call was on its way when its connection ended; nothing was done.
    #[error("connection {connection} has ended")]
    ConnectionEnded { connection: ConnectionId },
}

/// Whether the store may answer clients, and why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loading {
    Ready,
    Waiting { reason: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub services: usize,
    pub instances: usize,
    pub tombstones: usize,
    /// Instances this node is responsible for, as counted within the last seconds.
    pub responsible: usize,
}
