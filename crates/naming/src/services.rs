//! What is said of services, and the switches of the cluster.

use crate::metrics::REQUESTS;
use crate::{Context, Error, Naming, rules};
use muster_model::{ClusterName, ClusterSettings, Metadata, ServiceKey, ServiceSettings};

impl Naming {
    /// Creates a service that takes instances of either kind (reference T-18 is a trap we do not copy).
    ///
    /// # Errors
    /// [`Error::ServiceExists`], [`Error::MetadataTooLong`], [`Error::Full`], [`Error::Consensus`].
    pub async fn create_service(
        &self,
        context: &Context,
        service: &ServiceKey,
        settings: ServiceSettings,
    ) -> Result<(), Error> {
        let answer = self.create(context, service, settings).await;
        REQUESTS.create_service.count(&answer);
        answer
    }

    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::MetadataTooLong`], [`Error::Consensus`].
    pub async fn update_service(
        &self,
        context: &Context,
        service: &ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
    ) -> Result<(), Error> {
        let answer = self.update(context, service, protect_threshold, metadata).await;
        REQUESTS.update_service.count(&answer);
        answer
    }

    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::ServiceNotEmpty`] (instances of either kind), [`Error::Consensus`].
    pub async fn delete_service(&self, context: &Context, service: &ServiceKey) -> Result<(), Error> {
        let answer = self.delete(context, service).await;
        REQUESTS.delete_service.count(&answer);
        answer
    }

    /// # Errors
    /// [`Error::ServiceNotFound`], [`Error::MetadataTooLong`], [`Error::Consensus`].
    pub async fn set_cluster(
        &self,
        context: &Context,
        service: &ServiceKey,
        cluster: &ClusterName,
        settings: ClusterSettings,
    ) -> Result<(), Error> {
        let answer = self.configure(context, service, cluster, settings).await;
        REQUESTS.set_cluster.count(&answer);
        answer
    }

    /// Sets a switch on every node. An unknown entry, or one that we do not heed, is refused by name.
    ///
    /// # Errors
    /// [`Error::BadSwitch`], [`Error::Consensus`].
    pub async fn set_switch(&self, context: &Context, entry: &str, value: &str) -> Result<(), Error> {
        let answer = self.board().set(entry, value, context.deadline).await;
        REQUESTS.set_switch.count(&answer);
        answer
    }

    async fn create(&self, context: &Context, service: &ServiceKey, settings: ServiceSettings) -> Result<(), Error> {
        rules::check_metadata(&settings.metadata)?;
        self.model().room_for(service)?;
        let persistent = &self.stores().persistent;
        persistent.create_service(service, settings, context.deadline).await?;
        Ok(())
    }

    async fn update(
        &self,
        context: &Context,
        service: &ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
    ) -> Result<(), Error> {
        rules::check_metadata(&metadata)?;
        // This node may know of ephemeral instances, of which Raft knows nothing; of services in Raft, Raft judges.
        let or_create = self.model().snapshot(service).exists;
        let persistent = &self.stores().persistent;
        persistent
            .update_service(service, protect_threshold, metadata, or_create, context.deadline)
            .await?;
        Ok(())
    }

    async fn delete(&self, context: &Context, service: &ServiceKey) -> Result<(), Error> {
        if !self.model().snapshot(service).instances.is_empty() {
            return Err(Error::ServiceNotEmpty(service.clone()));
        }
        self.stores()
            .persistent
            .delete_service(service, context.deadline)
            .await?;
        Ok(())
    }

    async fn configure(
        &self,
        context: &Context,
        service: &ServiceKey,
        cluster: &ClusterName,
        settings: ClusterSettings,
    ) -> Result<(), Error> {
        rules::check_metadata(&settings.metadata)?;
        if !self.model().snapshot(service).exists {
            // Another node may just have acknowledged it.
            self.read_barrier(context).await?;
        }
        if !self.model().snapshot(service).exists {
            return Err(Error::ServiceNotFound(service.clone()));
        }
        let persistent = &self.stores().persistent;
        persistent
            .set_cluster(service, cluster, settings, context.deadline)
            .await?;
        Ok(())
    }
}
