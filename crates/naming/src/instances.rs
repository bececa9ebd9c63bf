//! Writes of single instances.

use crate::metrics::REQUESTS;
use crate::rules;
use crate::{Context, Error, Naming, Upsert};
use muster_model::{
    ChangeId, HealthChecker, Instance, InstanceEdit, InstanceKey, Kind, MetadataEdit, ServiceKey, ServiceSettings,
};
use std::sync::Arc;

impl Naming {
    /// Registers or replaces an instance of either kind.
    ///
    /// A service holds one kind at a time, judged by what this node holds: two first registrations of different kinds at
    /// two nodes in the same moment may both succeed. Then neither kind takes new ones until one of them has left.
    ///
    /// # Errors
    /// [`Error::KindMismatch`], [`Error::Timings`], [`Error::MetadataTooLong`], [`Error::Full`], [`Error::Consensus`].
    pub async fn register(
        &self,
        context: &Context,
        service: &ServiceKey,
        instance: Instance,
    ) -> Result<ChangeId, Error> {
        let answer = self.take(context, service, instance).await;
        REQUESTS.register.count(&answer);
        answer
    }

    /// Deregisters; one that is not there is well, and answers `None`.
    ///
    /// # Errors
    /// [`Error::Consensus`] for persistent ones.
    pub async fn deregister(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Kind,
    ) -> Result<Option<ChangeId>, Error> {
        let stores = self.stores();
        let answer = match kind {
            Kind::Ephemeral => Ok(stores.ephemeral.deregister(service, key)),
            Kind::Persistent => {
                let answer = stores.persistent.deregister(service, key, context.deadline).await;
                answer.map_err(Error::from)
            }
        };
        REQUESTS.deregister.count(&answer);
        answer
    }

    /// Replaces what an instance registered (PUT of v1). An edit lasts until the instance registers again or leaves.
    ///
    /// Weight, `enabled` and metadata are replaced; lease and health of a known instance stay what they are, because
    /// whoever edits is not whoever serves. Another cluster is another registration.
    ///
    /// # Errors
    /// [`Error::ServiceNotFound`] and [`Error::InstanceNotFound`] unless `upsert`; those of [`Naming::register`].
    pub async fn replace(
        &self,
        context: &Context,
        service: &ServiceKey,
        instance: Instance,
        upsert: Upsert,
    ) -> Result<ChangeId, Error> {
        let answer = self.put(context, service, instance, upsert).await;
        REQUESTS.replace.count(&answer);
        answer
    }

    /// Changes some fields of an instance (PATCH of v1, metadata batches). `kind` none: whichever is there.
    ///
    /// # Errors
    /// [`Error::InstanceNotFound`]; [`Error::CheckerWorks`] for the health of a persistent instance that is probed; those
    /// of [`Naming::register`].
    pub async fn edit(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Option<Kind>,
        edit: InstanceEdit,
    ) -> Result<ChangeId, Error> {
        let answer = self.patch(context, service, key, kind, edit).await;
        REQUESTS.edit.count(&answer);
        answer
    }

    /// Sets the health of a persistent instance by hand; only where its cluster's checker is `None`.
    ///
    /// # Errors
    /// [`Error::CheckerWorks`], [`Error::InstanceNotFound`], [`Error::Consensus`].
    pub async fn set_health(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        healthy: bool,
    ) -> Result<(), Error> {
        let edit = InstanceEdit {
            healthy: Some(healthy),
            ..InstanceEdit::default()
        };
        let answer = self.patch(context, service, key, Some(Kind::Persistent), edit).await;
        let answer = answer.map(|_change| ());
        REQUESTS.set_health.count(&answer);
        answer
    }

    async fn take(&self, context: &Context, service: &ServiceKey, instance: Instance) -> Result<ChangeId, Error> {
        match instance.kind {
            Kind::Ephemeral => self.register_ephemeral(service, instance),
            Kind::Persistent => {
                rules::check_instance(&instance)?;
                self.refuse_other_kind(service, Kind::Persistent)?;
                self.model().room_for(service)?;
                let written = self
                    .stores()
                    .persistent
                    .register(service, instance, context.deadline)
                    .await;
                Ok(written?)
            }
        }
    }

    /// The synchronous half of registering; a full beat uses it too.
    pub(crate) fn register_ephemeral(&self, service: &ServiceKey, instance: Instance) -> Result<ChangeId, Error> {
        rules::check_instance(&instance)?;
        self.refuse_other_kind(service, Kind::Ephemeral)?;
        self.model().room_for(service)?;
        Ok(self.stores().ephemeral.register(service, instance)?)
    }

    /// A service that was created and is empty takes either kind (reference T-18).
    pub(crate) fn refuse_other_kind(&self, service: &ServiceKey, asked: Kind) -> Result<(), Error> {
        let (found, holds) = match asked {
            Kind::Ephemeral => (Kind::Persistent, self.holds_persistent(service)),
            Kind::Persistent => (Kind::Ephemeral, !self.stores().ephemeral.instances(service).is_empty()),
        };
        if holds {
            return Err(Error::KindMismatch {
                service: service.clone(),
                found,
                asked,
            });
        }
        Ok(())
    }

    fn holds_persistent(&self, service: &ServiceKey) -> bool {
        let record = self.stores().persistent.service(service);
        record.is_some_and(|record| !record.instances.is_empty())
    }

    async fn put(
        &self,
        context: &Context,
        service: &ServiceKey,
        instance: Instance,
        upsert: Upsert,
    ) -> Result<ChangeId, Error> {
        let known = self
            .find_surely(context, service, &instance.key, Some(instance.kind))
            .await?;
        match known {
            Some((_, known)) if known.cluster == instance.cluster => {
                rules::check_instance(&instance)?;
                let edit = InstanceEdit {
                    weight: Some(instance.weight),
                    enabled: Some(instance.enabled),
                    healthy: None,
                    metadata: Some(MetadataEdit::Replace(instance.metadata)),
                };
                self.write_edit(context, service, &instance.key, instance.kind, edit)
                    .await
            }
            Some(_) => self.take(context, service, instance).await,
            None if upsert == Upsert::Yes => self.take(context, service, instance).await,
            None if !self.model().snapshot(service).exists => Err(Error::ServiceNotFound(service.clone())),
            None => Err(not_found(service, &instance.key)),
        }
    }

    async fn patch(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Option<Kind>,
        edit: InstanceEdit,
    ) -> Result<ChangeId, Error> {
        let found = self.find_surely(context, service, key, kind).await?;
        let (kind, known) = found.ok_or_else(|| not_found(service, key))?;
        if kind == Kind::Persistent && edit.healthy.is_some() {
            self.refuse_if_checked(service, &known)?;
        }
        if edit.metadata.is_some() {
            rules::check_instance(&edit.apply(&known))?;
        }
        self.write_edit(context, service, key, kind, edit).await
    }

    async fn write_edit(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Kind,
        edit: InstanceEdit,
    ) -> Result<ChangeId, Error> {
        let stores = self.stores();
        match kind {
            Kind::Ephemeral => Ok(stores.ephemeral.edit(service, key, edit)?),
            Kind::Persistent => Ok(stores.persistent.edit(service, key, edit, context.deadline).await?),
        }
    }

    /// The instance of that kind, or of whichever kind is there. A persistent one that another node has just acknowledged is
    /// waited for before it is said not to be there.
    async fn find_surely(
        &self,
        context: &Context,
        service: &ServiceKey,
        key: &InstanceKey,
        kind: Option<Kind>,
    ) -> Result<Option<(Kind, Arc<Instance>)>, Error> {
        let found = self.find(service, key, kind);
        if found.is_some() || kind == Some(Kind::Ephemeral) {
            return Ok(found);
        }
        self.read_barrier(context).await?;
        Ok(self.find(service, key, kind))
    }

    /// The instance of that kind, or of whichever kind is there.
    fn find(&self, service: &ServiceKey, key: &InstanceKey, kind: Option<Kind>) -> Option<(Kind, Arc<Instance>)> {
        let stores = self.stores();
        let ephemeral = || {
            stores
                .ephemeral
                .instance(service, key)
                .map(|found| (Kind::Ephemeral, found))
        };
        let persistent = || {
            let record = stores.persistent.service(service)?;
            record.instances.get(key).map(|found| (Kind::Persistent, found.clone()))
        };
        match kind {
            Some(Kind::Ephemeral) => ephemeral(),
            Some(Kind::Persistent) => persistent(),
            None => ephemeral().or_else(persistent),
        }
    }

    fn refuse_if_checked(&self, service: &ServiceKey, instance: &Instance) -> Result<(), Error> {
        let record = self.stores().persistent.service(service);
        let checked = record.is_none_or(|record| *checker_of(&record.settings, instance) != HealthChecker::None);
        if checked {
            return Err(Error::CheckerWorks {
                service: service.clone(),
                cluster: instance.cluster.clone(),
            });
        }
        Ok(())
    }
}

/// The checker of an instance's cluster; a cluster nobody has said anything of is probed by TCP.
pub(crate) fn checker_of<'a>(settings: &'a ServiceSettings, instance: &Instance) -> &'a HealthChecker {
    settings
        .clusters
        .get(&instance.cluster)
        .map_or(&HealthChecker::Tcp, |cluster| &cluster.checker)
}

fn not_found(service: &ServiceKey, key: &InstanceKey) -> Error {
    Error::InstanceNotFound {
        service: service.clone(),
        key: key.clone(),
    }
}
