//! What the door needs of the parts below, as traits, so that tests can stand in for each.

use muster_consensus::{Consensus, ProposeError, Status};
use muster_ephemeral::{self as ephemeral, Ending, Ephemeral, Loading, Rules};
use muster_membership::{Membership, Responsibility};
use muster_model::{
    ChangeId, ClientId, ClusterName, ClusterSettings, ConnectionId, Instance, InstanceEdit, InstanceKey, Metadata,
    ServiceKey, ServiceSettings, ServiceSnapshot,
};
use muster_persistent::{Persistent, PersistentService, WriteError};
use muster_push::{Push, Subscribed, SubscriptionInfo, SubscriptionKey};
use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

/// The answer of a write that goes through the log.
pub(crate) type Answer<'a, T, E = WriteError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// The AP store. Its change sink is called before a write returns, so that the writer reads its own write.
pub(crate) trait EphemeralStore: Send + Sync + 'static {
    fn register(&self, service: &ServiceKey, instance: Instance) -> Result<ChangeId, ephemeral::Error>;
    fn deregister(&self, service: &ServiceKey, key: &InstanceKey) -> Option<ChangeId>;
    fn beat(&self, service: &ServiceKey, key: &InstanceKey) -> ephemeral::Beat;
    fn edit(&self, service: &ServiceKey, key: &InstanceKey, edit: InstanceEdit) -> Result<ChangeId, ephemeral::Error>;
    fn publish(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        instances: Vec<Instance>,
    ) -> Result<(), ephemeral::Error>;
    fn withdraw(&self, connection: ConnectionId, service: &ServiceKey, named: &InstanceKey);
    fn end(&self, connection: ConnectionId, ending: Ending);
    /// As its end, of a connection that goes on and may publish again.
    fn leave(&self, connection: ConnectionId);
    fn overtaken(&self) -> Pin<Box<dyn Future<Output = HashSet<ConnectionId>> + Send + '_>>;
    fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)>;
    fn instance(&self, service: &ServiceKey, key: &InstanceKey) -> Option<Arc<Instance>>;
    fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>>;
    fn services(&self) -> Vec<ServiceKey>;
    /// How many instances this node is responsible for.
    fn responsible(&self) -> usize;
    fn loading(&self) -> Loading;
    fn set_rules(&self, rules: Rules);
}

/// The replicated store.
pub(crate) trait PersistentStore: Send + Sync + 'static {
    fn register<'a>(&'a self, service: &'a ServiceKey, instance: Instance, deadline: Instant) -> Answer<'a, ChangeId>;
    fn deregister<'a>(
        &'a self,
        service: &'a ServiceKey,
        key: &'a InstanceKey,
        deadline: Instant,
    ) -> Answer<'a, Option<ChangeId>>;
    fn edit<'a>(
        &'a self,
        service: &'a ServiceKey,
        key: &'a InstanceKey,
        edit: InstanceEdit,
        deadline: Instant,
    ) -> Answer<'a, ChangeId>;
    fn create_service<'a>(
        &'a self,
        service: &'a ServiceKey,
        settings: ServiceSettings,
        deadline: Instant,
    ) -> Answer<'a, ChangeId>;
    fn update_service<'a>(
        &'a self,
        service: &'a ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
        deadline: Instant,
    ) -> Answer<'a, ChangeId>;
    fn delete_service<'a>(&'a self, service: &'a ServiceKey, deadline: Instant) -> Answer<'a, ChangeId>;
    fn set_cluster<'a>(
        &'a self,
        service: &'a ServiceKey,
        cluster: &'a ClusterName,
        settings: ClusterSettings,
        deadline: Instant,
    ) -> Answer<'a, ChangeId>;
    fn set_switch<'a>(&'a self, entry: &'a str, value: Option<String>, deadline: Instant) -> Answer<'a, ChangeId>;
    fn service(&self, service: &ServiceKey) -> Option<Arc<PersistentService>>;
    fn services(&self) -> Vec<(ServiceKey, Arc<PersistentService>)>;
    fn switches(&self) -> BTreeMap<String, String>;
    fn read_barrier(&self, deadline: Instant) -> Answer<'_, u64, ProposeError>;
}

/// The Raft group, as far as readiness asks.
pub(crate) trait Group: Send + Sync + 'static {
    fn status(&self) -> Status;
}

/// Those who are told.
pub(crate) trait Subscribers: Send + Sync + 'static {
    fn changed(&self, service: &ServiceKey);
    fn subscribe(&self, key: SubscriptionKey, info: SubscriptionInfo, seen: &ServiceSnapshot) -> Subscribed;
    /// Ends a connection's subscription to a service; says whether there was one.
    fn unsubscribe(&self, service: &ServiceKey, connection: ConnectionId) -> bool;
    /// Ends all that a connection subscribes to.
    fn end(&self, connection: ConnectionId);
    /// Which of `services` somebody subscribes to.
    fn wanted(&self, services: &HashSet<ServiceKey>) -> HashSet<ServiceKey>;
    fn count(&self) -> usize;
    fn set_enabled(&self, enabled: bool);
}

/// Which clients this node answers for.
pub(crate) trait Responsible: Send + Sync + 'static {
    fn is_here(&self, client: &ClientId) -> bool;
}

/// Both stores.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) ephemeral: Arc<dyn EphemeralStore>,
    pub(crate) persistent: Arc<dyn PersistentStore>,
}

impl EphemeralStore for Ephemeral {
    fn register(&self, service: &ServiceKey, instance: Instance) -> Result<ChangeId, ephemeral::Error> {
        self.register(service, instance)
    }

    fn deregister(&self, service: &ServiceKey, key: &InstanceKey) -> Option<ChangeId> {
        self.deregister(service, key)
    }

    fn beat(&self, service: &ServiceKey, key: &InstanceKey) -> ephemeral::Beat {
        self.beat(service, key)
    }

    fn edit(&self, service: &ServiceKey, key: &InstanceKey, edit: InstanceEdit) -> Result<ChangeId, ephemeral::Error> {
        self.edit(service, key, edit)
    }

    fn publish(
        &self,
        connection: ConnectionId,
        service: &ServiceKey,
        instances: Vec<Instance>,
    ) -> Result<(), ephemeral::Error> {
        self.publish(connection, service, instances)
    }

    fn withdraw(&self, connection: ConnectionId, service: &ServiceKey, named: &InstanceKey) {
        self.withdraw(connection, service, named);
    }

    fn end(&self, connection: ConnectionId, ending: Ending) {
        self.end_by(connection, ending);
    }

    fn leave(&self, connection: ConnectionId) {
        self.leave(connection);
    }

    fn overtaken(&self) -> Pin<Box<dyn Future<Output = HashSet<ConnectionId>> + Send + '_>> {
        Box::pin(self.overtaken())
    }

    fn published_by(&self, connection: ConnectionId) -> Vec<(ServiceKey, Vec<Arc<Instance>>)> {
        self.published_by(connection)
    }

    fn instance(&self, service: &ServiceKey, key: &InstanceKey) -> Option<Arc<Instance>> {
        self.instance(service, key)
    }

    fn instances(&self, service: &ServiceKey) -> Vec<Arc<Instance>> {
        self.instances(service)
    }

    fn services(&self) -> Vec<ServiceKey> {
        self.services()
    }

    fn responsible(&self) -> usize {
        self.counts().responsible
    }

    fn loading(&self) -> Loading {
        self.loading().borrow().clone()
    }

    fn set_rules(&self, rules: Rules) {
        self.set_rules(rules);
    }
}

impl PersistentStore for Persistent {
    fn register<'a>(&'a self, service: &'a ServiceKey, instance: Instance, deadline: Instant) -> Answer<'a, ChangeId> {
        Box::pin(self.register(service, instance, deadline))
    }

    fn deregister<'a>(
        &'a self,
        service: &'a ServiceKey,
        key: &'a InstanceKey,
        deadline: Instant,
    ) -> Answer<'a, Option<ChangeId>> {
        Box::pin(self.deregister(service, key, deadline))
    }

    fn edit<'a>(
        &'a self,
        service: &'a ServiceKey,
        key: &'a InstanceKey,
        edit: InstanceEdit,
        deadline: Instant,
    ) -> Answer<'a, ChangeId> {
        Box::pin(self.edit(service, key, edit, deadline))
    }

    fn create_service<'a>(
        &'a self,
        service: &'a ServiceKey,
        settings: ServiceSettings,
        deadline: Instant,
    ) -> Answer<'a, ChangeId> {
        Box::pin(self.create_service(service, settings, deadline))
    }

    fn update_service<'a>(
        &'a self,
        service: &'a ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
        deadline: Instant,
    ) -> Answer<'a, ChangeId> {
        Box::pin(self.update_service(service, protect_threshold, metadata, or_create, deadline))
    }

    fn delete_service<'a>(&'a self, service: &'a ServiceKey, deadline: Instant) -> Answer<'a, ChangeId> {
        Box::pin(self.delete_service(service, deadline))
    }

    fn set_cluster<'a>(
        &'a self,
        service: &'a ServiceKey,
        cluster: &'a ClusterName,
        settings: ClusterSettings,
        deadline: Instant,
    ) -> Answer<'a, ChangeId> {
        Box::pin(self.set_cluster(service, cluster, settings, deadline))
    }

    fn set_switch<'a>(&'a self, entry: &'a str, value: Option<String>, deadline: Instant) -> Answer<'a, ChangeId> {
        Box::pin(self.set_switch(entry, value, deadline))
    }

    fn service(&self, service: &ServiceKey) -> Option<Arc<PersistentService>> {
        self.service(service)
    }

    fn services(&self) -> Vec<(ServiceKey, Arc<PersistentService>)> {
        self.services()
    }

    fn switches(&self) -> BTreeMap<String, String> {
        self.switches()
    }

    fn read_barrier(&self, deadline: Instant) -> Answer<'_, u64, ProposeError> {
        Box::pin(self.read_barrier(deadline))
    }
}

impl Group for Consensus {
    fn status(&self) -> Status {
        self.status()
    }
}

impl Subscribers for Push {
    fn changed(&self, service: &ServiceKey) {
        self.changed(service);
    }

    fn subscribe(&self, key: SubscriptionKey, info: SubscriptionInfo, seen: &ServiceSnapshot) -> Subscribed {
        self.subscribe(key, info, seen)
    }

    fn unsubscribe(&self, service: &ServiceKey, connection: ConnectionId) -> bool {
        self.unsubscribe(service, connection)
    }

    fn end(&self, connection: ConnectionId) {
        self.end(connection);
    }

    fn wanted(&self, services: &HashSet<ServiceKey>) -> HashSet<ServiceKey> {
        let listed = self.subscriptions(&|service| services.contains(service));
        listed.into_iter().map(|listed| listed.key.service.clone()).collect()
    }

    fn count(&self) -> usize {
        self.counts().subscriptions
    }

    fn set_enabled(&self, enabled: bool) {
        self.set_enabled(enabled);
    }
}

impl Responsible for Membership {
    fn is_here(&self, client: &ClientId) -> bool {
        matches!(self.view().responsible_for(client), Responsibility::Here)
    }
}
