//! What a connection publishes and subscribes to: its open stream is the lease of all of it.

use crate::metrics::REQUESTS;
use crate::rules;
use crate::{Context, Error, Naming, ServiceNews};
use muster_ephemeral::Ending;
use muster_model::{ConnectionId, Instance, InstanceKey, Kind, ServiceKey};
use std::collections::HashSet;
use std::sync::Arc;

impl Naming {
    /// Makes `instances` all that this connection publishes under the service; an empty list is kept, and lists nothing.
    /// They stay listed while the connection lives on this node. An address that is left out of a further list is
    /// deregistered, as by [`Naming::withdraw`].
    ///
    /// # Errors
    /// As a registration's: a service of persistent instances, illegal times, no room. One bad instance refuses the list.
    pub fn publish(
        &self,
        _context: &Context,
        connection: ConnectionId,
        service: &ServiceKey,
        instances: Vec<Instance>,
    ) -> Result<(), Error> {
        let answer = self.take_list(connection, service, instances);
        REQUESTS.publish.count(&answer);
        answer
    }

    fn take_list(&self, connection: ConnectionId, service: &ServiceKey, instances: Vec<Instance>) -> Result<(), Error> {
        for instance in &instances {
            rules::check_instance(instance)?;
        }
        // Who ends all it has is not asked what kind the service is by now.
        if !instances.is_empty() {
            self.refuse_other_kind(service, Kind::Ephemeral)?;
            self.model().room_for(service)?;
        }
        Ok(self.stores().ephemeral.publish(connection, service, instances)?)
    }

    /// Ends what this connection publishes under the service, whatever `named` says: its client's order, which holds also
    /// against others that publish the same address, such as a broken connection that the client has left behind. Not for
    /// what merely ends: see [`Naming::connection_ended`] and [`Naming::connection_left`]. One that publishes nothing there may
    /// end what a connection lost before it published at that address: nothing that another connection holds.
    pub fn withdraw(&self, _context: &Context, connection: ConnectionId, service: &ServiceKey, named: &InstanceKey) {
        REQUESTS.withdraw.ok.inc();
        self.stores().ephemeral.withdraw(connection, service, named);
    }

    /// As [`Naming::connection_ended_by`], of a connection that was closed.
    pub fn connection_ended(&self, connection: ConnectionId) {
        self.connection_ended_by(connection, Ending::Closed);
    }

    /// The connection is gone, and with it what it subscribed to and, as `ending` says, what it published; its number is
    /// not used again. While this node drains, what it published stays listed whatever the reason: its client is on its way
    /// to another node.
    ///
    /// Cheap, however much it has published: most of it goes in slices after this has returned.
    pub fn connection_ended_by(&self, connection: ConnectionId, ending: Ending) {
        // First who listens, or it would be told of its own end.
        self.subscribers().end(connection);
        self.stores().ephemeral.end(connection, ending);
    }

    /// The connection is no client of naming any more, and goes on for other things: what it published and subscribed to
    /// goes as at its end, that is also not while this node drains. Nothing is held against its number: should it turn to
    /// naming again, it may publish and subscribe at once.
    pub fn connection_left(&self, connection: ConnectionId) {
        self.subscribers().end(connection);
        self.stores().ephemeral.leave(connection);
    }

    /// Connections of this node of whose instances somebody newer has registered one since this was last asked; waits until
    /// there are some. For the one door that holds connections.
    ///
    /// Mostly it is the same client over a new connection, and the old one is broken without a word. Ask each at once
    /// whether it lives: while it counts as living, it brings its instances back when the new one ends.
    pub async fn overtaken_connections(&self) -> HashSet<ConnectionId> {
        self.stores().ephemeral.overtaken().await
    }

    /// Ends the connection's subscription to a service; says whether there was one.
    pub fn unsubscribe(&self, _context: &Context, connection: ConnectionId, service: &ServiceKey) -> bool {
        REQUESTS.unsubscribe.ok.inc();
        self.subscribers().unsubscribe(service, connection)
    }

    /// What the connection publishes, by service.
    pub fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        self.stores().ephemeral.published_by(connection)
    }

    /// The names of services as they begin and cease to be listed, from now on. What was written a moment before may come
    /// as news, too.
    pub fn watch_services(&self) -> ServiceNews {
        self.model().news.watch(self.shutdown().clone())
    }
}
