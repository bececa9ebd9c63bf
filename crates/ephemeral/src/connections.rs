//! The door's calls for clients whose open connection is the lease.

use crate::Ephemeral;
use crate::answers::Error;
use crate::held::Parting;
use muster_model::{ConnectionId, Instance, InstanceKey, Kind, ServiceKey};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Ephemeral {
    /// Makes `instances` all that this connection publishes under the service; an empty list is kept, and lists nothing.
    /// They stay listed while the connection lives: until [`Ephemeral::end`] is called for it.
    ///
    /// The newest registration of an address owns its lease: this takes over what another connection, another node or
    /// beats held, without a push where it lists the same.
    ///
    /// # Errors
    /// [`Error::Full`]: nothing stays that was not published before. [`Error::ConnectionEnded`].
    pub fn publish(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        mut instances: Vec<Instance>,
    ) -> Result<(), Error> {
        for instance in &mut instances {
            instance.kind = Kind::Ephemeral;
        }
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let (applied, answer) = self.node.store.publish(connection, service, instances, now);
        self.node.spread_all(&applied, received);
        answer
    }

    /// Ends what this connection publishes under the service, whatever `named` says. One that publishes nothing there ends
    /// what is listed at `named`, if a connection held it that is not one of this node's: nothing that beats renew.
    pub fn withdraw(&self, connection: ConnectionId, service: &ServiceKey, named: &InstanceKey) {
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let applied = self.node.store.withdraw(connection, service, named, now);
        self.node.spread_all(&applied, received);
    }

    /// The connection is gone: what it owns goes with it at once, on all nodes. Once draining has begun nothing goes: its
    /// client is on its way to another node, and has 30 seconds to publish there.
    pub fn end(&self, connection: ConnectionId) {
        let received = self.node.timeline.instant();
        let now = self.node.timeline.at(received);
        let parting = if self.node.draining.load(Ordering::Acquire) {
            Parting::Linger
        } else {
            Parting::Release
        };
        let applied = self.node.store.end(connection, parting, now);
        self.node.spread_all(&applied, received);
    }

    /// What the connection publishes, by service, as it published it; in no order.
    pub fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        self.node.store.holds.published_by(connection)
    }
}
