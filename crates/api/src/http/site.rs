//! What every handler may see of the node it stands on.

use super::Config;
use super::openapi::Document;
use crate::grpc::Connections;
use muster_naming::{Naming, Readiness};
use muster_runtime::Clock;
use muster_transport::Transport;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

pub(super) struct Site {
    pub(super) config: Config,
    pub(super) clock: Clock,
    naming: OnceLock<Naming>,
    peers: OnceLock<Arc<dyn Transport>>,
    connections: OnceLock<Connections>,
    draining: AtomicBool,
    document: OnceLock<Document>,
}

impl Site {
    pub(super) fn new(config: Config, clock: Clock) -> Self {
        Self {
            config,
            clock,
            naming: OnceLock::new(),
            peers: OnceLock::new(),
            connections: OnceLock::new(),
            draining: AtomicBool::new(false),
            document: OnceLock::new(),
        }
    }

    pub(super) fn open(&self, naming: Naming) {
        if self.naming.set(naming).is_err() {
            tracing::warn!("the HTTP door was opened twice; the first naming stays");
        }
    }

    pub(super) fn naming(&self) -> Option<&Naming> {
        self.naming.get()
    }

    pub(super) fn join(&self, peers: Arc<dyn Transport>) {
        if self.peers.set(peers).is_err() {
            tracing::warn!("the HTTP door was given peers twice; the first stay");
        }
    }

    pub(super) fn peers(&self) -> Option<&Arc<dyn Transport>> {
        self.peers.get()
    }

    pub(super) fn join_connections(&self, connections: Connections) {
        if self.connections.set(connections).is_err() {
            tracing::warn!("the HTTP door was given connections twice; the first stay");
        }
    }

    /// The gRPC door's connections; none before it has joined, or without that door.
    pub(super) fn connections(&self) -> Option<&Connections> {
        self.connections.get()
    }

    /// The description of the interface, made when it is first asked for.
    pub(super) fn document(&self) -> &Document {
        self.document
            .get_or_init(|| Document::new(&self.config.prefix, &self.config.version))
    }

    /// From now on the node says that it is not ready.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn readiness(&self) -> Readiness {
        let mut readiness = match self.naming() {
            Some(naming) => naming.readiness(),
            None => Readiness {
                ready: false,
                reasons: vec!["the node is starting".to_owned()],
                has_leader: false,
            },
        };
        if self.draining.load(Ordering::Acquire) {
            readiness.ready = false;
            readiness.reasons.insert(0, "the node is stopping".to_owned());
        }
        readiness
    }
}
