//! Commands on the log: deltas, each with the key that makes a retry of it harmless.
//!
//! Tags 10 to 29 are naming's; 30 to 49 are kept for users, roles and tokens. What this version does not know is answered
//! with [`Rejection::UnknownCommand`](crate::Rejection), so a new command may be proposed only once every member knows it.

use crate::record::{
    ClusterRecord, InstanceKeyRecord, InstanceRecord, Malformed, ServiceKeyRecord, SettingsRecord, metadata, pairs,
    present,
};
use bytes::Bytes;
use muster_model::{
    ClusterName, ClusterSettings, Instance, InstanceEdit, InstanceKey, Metadata, MetadataEdit, ServiceKey,
    ServiceSettings, Stamp, Weight,
};
use prost::{Message, Oneof};
use std::collections::BTreeMap;

/// The newest format this version writes and understands. A field that may not be passed over raises it.
const FORMAT: u32 = 1;

/// Tells a command from all others; a retry carries the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct RequestId {
    /// Random, one per handle.
    pub(crate) origin: u64,
    /// Counted by the handle.
    pub(crate) sequence: u64,
}

/// One write.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Command {
    pub(crate) id: RequestId,
    /// Hybrid time of the proposer.
    pub(crate) stamp: Stamp,
    pub(crate) action: Action,
}

/// What a write does.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Action {
    Register(ServiceKey, Instance),
    Deregister(ServiceKey, InstanceKey),
    Edit(ServiceKey, InstanceKey, InstanceEdit),
    CreateService(ServiceKey, ServiceSettings),
    UpdateService {
        service: ServiceKey,
        protect_threshold: f32,
        metadata: Metadata,
        or_create: bool,
    },
    DeleteService(ServiceKey),
    SetCluster(ServiceKey, ClusterName, ClusterSettings),
    SetSwitch(String, Option<String>),
}

impl Command {
    pub(crate) fn encode(&self) -> Bytes {
        let record = CommandRecord {
            origin: self.id.origin,
            sequence: self.id.sequence,
            stamp: self.stamp.0,
            format: FORMAT,
            action: Some(ActionRecord::from(&self.action)),
        };
        record.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let record = CommandRecord::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
        if record.format != FORMAT {
            return Err(Malformed(format!("format {}, this node knows {FORMAT}", record.format)));
        }
        Ok(Self {
            id: RequestId {
                origin: record.origin,
                sequence: record.sequence,
            },
            stamp: Stamp(record.stamp),
            action: present(record.action, "action that this version knows")?.try_into()?,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct CommandRecord {
    #[prost(fixed64, tag = "1")]
    origin: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(uint64, tag = "3")]
    stamp: u64,
    #[prost(uint32, tag = "4")]
    format: u32,
    #[prost(oneof = "ActionRecord", tags = "10, 11, 12, 13, 14, 15, 16, 17")]
    action: Option<ActionRecord>,
}

#[derive(Clone, PartialEq, Oneof)]
enum ActionRecord {
    #[prost(message, tag = "10")]
    Register(RegisterRecord),
    #[prost(message, tag = "11")]
    Deregister(DeregisterRecord),
    #[prost(message, tag = "12")]
    Edit(EditRecord),
    #[prost(message, tag = "13")]
    CreateService(CreateServiceRecord),
    #[prost(message, tag = "14")]
    UpdateService(UpdateServiceRecord),
    #[prost(message, tag = "15")]
    DeleteService(ServiceKeyRecord),
    #[prost(message, tag = "16")]
    SetCluster(SetClusterRecord),
    #[prost(message, tag = "17")]
    SetSwitch(SetSwitchRecord),
}

#[derive(Clone, PartialEq, Message)]
struct RegisterRecord {
    #[prost(message, optional, tag = "1")]
    service: Option<ServiceKeyRecord>,
    #[prost(message, optional, tag = "2")]
    instance: Option<InstanceRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct DeregisterRecord {
    #[prost(message, optional, tag = "1")]
    service: Option<ServiceKeyRecord>,
    #[prost(message, optional, tag = "2")]
    key: Option<InstanceKeyRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct EditRecord {
    #[prost(message, optional, tag = "1")]
    service: Option<ServiceKeyRecord>,
    #[prost(message, optional, tag = "2")]
    key: Option<InstanceKeyRecord>,
    #[prost(double, optional, tag = "3")]
    weight: Option<f64>,
    #[prost(bool, optional, tag = "4")]
    enabled: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    healthy: Option<bool>,
    /// 0 leave, 1 replace, 2 merge, 3 remove the keys.
    #[prost(uint32, tag = "6")]
    metadata_edit: u32,
    #[prost(btree_map = "string, string", tag = "7")]
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateServiceRecord {
    #[prost(message, optional, tag = "1")]
    service: Option<ServiceKeyRecord>,
    #[prost(message, optional, tag = "2")]
    settings: Option<SettingsRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct UpdateServiceRecord {
    #[prost(message, optional, tag = "1")]
    service: Option<ServiceKeyRecord>,
    #[prost(float, tag = "2")]
    protect_threshold: f32,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
    #[prost(bool, tag = "4")]
    or_create: bool,
}

#[derive(Clone, PartialEq, Message)]
struct SetClusterRecord {
    #[prost(message, optional, tag = "1")]
    service: Option<ServiceKeyRecord>,
    #[prost(message, optional, tag = "2")]
    cluster: Option<ClusterRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct SetSwitchRecord {
    #[prost(string, tag = "1")]
    entry: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

impl From<&Action> for ActionRecord {
    fn from(action: &Action) -> Self {
        match action {
            Action::Register(service, instance) => Self::Register(RegisterRecord {
                service: Some(service.into()),
                instance: Some(instance.into()),
            }),
            Action::Deregister(service, key) => Self::Deregister(DeregisterRecord {
                service: Some(service.into()),
                key: Some(key.into()),
            }),
            Action::Edit(service, key, edit) => Self::Edit(edit_record(service, key, edit)),
            Action::CreateService(service, settings) => Self::CreateService(CreateServiceRecord {
                service: Some(service.into()),
                settings: Some(settings.into()),
            }),
            Action::UpdateService {
                service,
                protect_threshold,
                metadata,
                or_create,
            } => Self::UpdateService(UpdateServiceRecord {
                service: Some(service.into()),
                protect_threshold: *protect_threshold,
                metadata: pairs(metadata),
                or_create: *or_create,
            }),
            Action::DeleteService(service) => Self::DeleteService(service.into()),
            Action::SetCluster(service, cluster, settings) => Self::SetCluster(SetClusterRecord {
                service: Some(service.into()),
                cluster: Some((cluster, settings).into()),
            }),
            Action::SetSwitch(entry, value) => Self::SetSwitch(SetSwitchRecord {
                entry: entry.clone(),
                value: value.clone(),
            }),
        }
    }
}

impl TryFrom<ActionRecord> for Action {
    type Error = Malformed;

    fn try_from(record: ActionRecord) -> Result<Self, Malformed> {
        let service = |key: Option<ServiceKeyRecord>| ServiceKey::try_from(present(key, "service")?);
        Ok(match record {
            ActionRecord::Register(it) => {
                Self::Register(service(it.service)?, present(it.instance, "instance")?.try_into()?)
            }
            ActionRecord::Deregister(it) => {
                Self::Deregister(service(it.service)?, present(it.key, "instance key")?.try_into()?)
            }
            ActionRecord::Edit(it) => {
                let edit = edit(&it)?;
                Self::Edit(service(it.service)?, present(it.key, "instance key")?.try_into()?, edit)
            }
            ActionRecord::CreateService(it) => {
                Self::CreateService(service(it.service)?, present(it.settings, "settings")?.try_into()?)
            }
            ActionRecord::UpdateService(it) => Self::UpdateService {
                service: service(it.service)?,
                protect_threshold: it.protect_threshold,
                metadata: metadata(it.metadata),
                or_create: it.or_create,
            },
            ActionRecord::DeleteService(it) => Self::DeleteService(it.try_into()?),
            ActionRecord::SetCluster(it) => {
                let (cluster, settings) = present(it.cluster, "cluster")?.try_into()?;
                Self::SetCluster(service(it.service)?, cluster, settings)
            }
            ActionRecord::SetSwitch(it) => Self::SetSwitch(it.entry, it.value),
        })
    }
}

fn edit_record(service: &ServiceKey, key: &InstanceKey, edit: &InstanceEdit) -> EditRecord {
    let (metadata_edit, metadata) = match &edit.metadata {
        None => (0, BTreeMap::new()),
        Some(MetadataEdit::Replace(metadata)) => (1, pairs(metadata)),
        Some(MetadataEdit::Merge(metadata)) => (2, pairs(metadata)),
        Some(MetadataEdit::RemoveKeys(metadata)) => (3, pairs(metadata)),
    };
    EditRecord {
        service: Some(service.into()),
        key: Some(key.into()),
        weight: edit.weight.map(Weight::get),
        enabled: edit.enabled,
        healthy: edit.healthy,
        metadata_edit,
        metadata,
    }
}

fn edit(record: &EditRecord) -> Result<InstanceEdit, Malformed> {
    let metadata = metadata(record.metadata.clone());
    Ok(InstanceEdit {
        weight: match record.weight {
            None => None,
            Some(weight) => Some(Weight::new(weight).map_err(|error| Malformed::of("edit", error))?),
        },
        enabled: record.enabled,
        healthy: record.healthy,
        metadata: match record.metadata_edit {
            0 => None,
            1 => Some(MetadataEdit::Replace(metadata)),
            2 => Some(MetadataEdit::Merge(metadata)),
            3 => Some(MetadataEdit::RemoveKeys(metadata)),
            other => return Err(Malformed(format!("metadata edit {other} is not known"))),
        },
    })
}
