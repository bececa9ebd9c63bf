//! The operator's calls: muster's own HTTP interface.

use crate::answers::{ClusterStatus, InstanceDetail, ServiceDetail, ServicePage};
use crate::servers::Repeat;
use crate::{Client, Error};
use hyper::Method;
use muster_model::{GroupName, Member, MemberId, NamespaceId, ServiceKey};
use serde::Deserialize;
use std::time::Duration;

const CLUSTER: &str = "/v3/admin/muster/cluster";
const MEMBERS: &str = "/v3/admin/muster/cluster/members";
const TRANSFER: &str = "/v3/admin/muster/cluster/transfer-leader";
const SERVICES: &str = "/v3/admin/muster/services";
const SERVICE: &str = "/v3/admin/muster/service";
const INSTANCES: &str = "/v3/admin/muster/instances";

/// A new member votes when it has caught up, for which servers wait up to 60 s.
const MEMBER_CHANGE_TIMEOUT: Duration = Duration::from_secs(65);

/// A change of who the members are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Adds a voter, which catches up first.
    Add(Member),
    /// Removes one.
    Remove(MemberId),
}

#[derive(Deserialize)]
struct Instances {
    instances: Vec<InstanceDetail>,
}

#[derive(Deserialize)]
struct Leader {
    leader: u64,
}

fn of_service(service: &ServiceKey) -> Vec<(&'static str, String)> {
    vec![
        ("namespaceId", service.namespace().to_string()),
        ("groupName", service.group().to_string()),
        ("serviceName", service.name().to_string()),
    ]
}

impl Client {
    /// What the server that answers knows of the cluster.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cluster_status(&self) -> Result<ClusterStatus, Error> {
        self.get(CLUSTER, &[]).await?.json()
    }

    /// Adds or removes a member; returns when it is done.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason; [`Error::OutcomeUnknown`] if it may be done yet. Asking again is harmless.
    pub async fn change_members(&self, change: &MemberChange) -> Result<(), Error> {
        let (method, parameters) = match change {
            MemberChange::Add(member) => (
                Method::POST,
                vec![
                    ("id", member.id.to_string()),
                    ("client_address", member.client_address.clone()),
                    ("peer_address", member.peer_address.clone()),
                ],
            ),
            MemberChange::Remove(id) => (Method::DELETE, vec![("id", id.to_string())]),
        };
        self.call_within(method, MEMBERS, &parameters, Repeat::IfNotDone, MEMBER_CHANGE_TIMEOUT)
            .await
            .map(drop)
    }

    /// Hands leadership to `to`, or to the most up-to-date other voter; says who leads now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn transfer_leader(&self, to: Option<MemberId>) -> Result<MemberId, Error> {
        let parameters: Vec<_> = to.iter().map(|id| ("to", id.to_string())).collect();
        let answer = self
            .call(Method::POST, TRANSFER, &parameters, Repeat::IfNotDone)
            .await?;
        Ok(MemberId(answer.json::<Leader>()?.leader))
    }

    /// A page of the services of a namespace, of all groups or of one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn services(
        &self,
        namespace: &NamespaceId,
        group: Option<&GroupName>,
        page: u64,
        page_size: u64,
    ) -> Result<ServicePage, Error> {
        let mut parameters = vec![
            ("namespaceId", namespace.to_string()),
            ("pageNo", page.to_string()),
            ("pageSize", page_size.to_string()),
        ];
        if let Some(group) = group {
            parameters.push(("groupName", group.to_string()));
        }
        self.get(SERVICES, &parameters).await?.json()
    }

    /// Everything known of a service.
    ///
    /// # Errors
    /// [`Error::Refused`] with status 404 for an unknown one.
    pub async fn service(&self, service: &ServiceKey) -> Result<ServiceDetail, Error> {
        self.get(SERVICE, &of_service(service)).await?.json()
    }

    /// All instances of a service, disabled ones too.
    ///
    /// # Errors
    /// [`Error`]; an unknown service is an empty list.
    pub async fn instances(&self, service: &ServiceKey) -> Result<Vec<InstanceDetail>, Error> {
        let answer = self.get(INSTANCES, &of_service(service)).await?;
        Ok(answer.json::<Instances>()?.instances)
    }
}
