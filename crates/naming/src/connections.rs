//! What a connection publishes and subscribes to: its open stream is the lease of all of it.

use crate::{Context, Error, Naming};
use muster_model::{ConnectionId, Instance, InstanceKey, ServiceKey};
use std::sync::Arc;

impl Naming {
    /// Makes `instances` all that this connection publishes under the service; an empty list is kept, and lists nothing.
    /// They stay listed while the connection lives on this node.
    ///
    /// # Errors
    /// As a registration's: a service of persistent instances, illegal times, no room.
    pub fn publish(
        &self,
        context: &Context,
        connection: ConnectionId,
        service: &ServiceKey,
        instances: Vec<Instance>,
    ) -> Result<(), Error> {
        let _ = (context, connection, service, instances);
        todo!("skeleton")
    }

    /// Ends what this connection publishes under the service, whatever `named` says. One that publishes nothing there may
    /// end what a connection lost before it published at that address: nothing that another connection holds.
    pub fn withdraw(&self, context: &Context, connection: ConnectionId, service: &ServiceKey, named: &InstanceKey) {
        let _ = (context, connection, service, named);
        todo!("skeleton")
    }

    /// The connection is gone, and with it what it published and subscribed to. While this node drains, what it published
    /// stays listed: its client is on its way to another node.
    pub fn connection_ended(&self, connection: ConnectionId) {
        let _ = connection;
        todo!("skeleton")
    }

    /// Ends the connection's subscription to a service; says whether there was one.
    pub fn unsubscribe(&self, context: &Context, connection: ConnectionId, service: &ServiceKey) -> bool {
        let _ = (context, connection, service);
        todo!("skeleton")
    }

    /// What the connection publishes, by service.
    pub fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        let _ = connection;
        todo!("skeleton")
    }

    /// The names of services as they come and go, from now on.
    pub fn watch_services(&self) -> ServiceNews {
        todo!("skeleton")
    }
}

/// A service was listed for the first time, or is no longer listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceEvent {
    pub service: ServiceKey,
    pub exists: bool,
}

/// What a watcher of names hears. It holds a bounded number of events; who is too slow is told so and looks at the whole
/// list again.
pub struct ServiceNews {
    _private: (),
}

/// Events were dropped: the listing is to be read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("events were dropped")]
pub struct Lagged;

impl ServiceNews {
    /// The next event; `None` once the node ends.
    ///
    /// # Errors
    /// [`Lagged`]; the next call goes on with what is kept.
    pub async fn next(&mut self) -> Option<Result<ServiceEvent, Lagged>> {
        todo!("skeleton")
    }
}
