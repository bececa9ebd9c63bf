//! `/v1/ns/instance/metadata/batch`: metadata of many instances at once.

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use muster_model::{Instance, InstanceEdit, Kind, Metadata, MetadataEdit, ServiceKey};
use muster_naming::Error;
use muster_wire::{BatchTarget, ServiceParam, parse_batch_targets, parse_metadata, service_of};
use serde_json::json;
use std::sync::Arc;

/// Lays the pairs over those that are there.
pub(super) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    edit(call, MetadataEdit::Merge).await
}

/// Removes the keys; the values are not looked at.
pub(super) async fn delete(call: &Call<'_>) -> Result<Reply, Failure> {
    edit(call, MetadataEdit::RemoveKeys).await
}

/// Which instances are meant.
pub(super) enum Targets {
    All,
    AllOf(Kind),
    Named(Vec<BatchTarget>),
}

impl Targets {
    /// As 1.4 reads them: an unknown `consistencyType` or unreadable `instances` mean nobody, and so does saying neither.
    fn read(call: &Call<'_>) -> Self {
        match call.form.optional("consistencyType") {
            Some("ephemeral") => Targets::AllOf(Kind::Ephemeral),
            Some("persist") => Targets::AllOf(Kind::Persistent),
            Some(_) => Targets::Named(Vec::new()),
            None => Targets::Named(
                call.form
                    .optional("instances")
                    .and_then(parse_batch_targets)
                    .unwrap_or_default(),
            ),
        }
    }

    fn include(&self, instance: &Instance) -> bool {
        match self {
            Targets::All => true,
            Targets::AllOf(kind) => instance.kind == *kind,
            Targets::Named(targets) => targets
                .iter()
                .any(|target| target.kind == instance.kind && target.key == instance.key),
        }
    }
}

async fn edit(call: &Call<'_>, how: fn(Metadata) -> MetadataEdit) -> Result<Reply, Failure> {
    let service = service_of(&call.form, ServiceParam::Required)?;
    let metadata = parse_metadata(call.form.required("metadata")?)?;
    let updated = edit_all(call, &service, &Targets::read(call), &how(metadata)).await?;
    Ok(Reply::json(&json!({ "updated": updated })))
}

/// Edits those that are meant, and says which they were.
pub(super) async fn edit_all(
    call: &Call<'_>,
    service: &ServiceKey,
    targets: &Targets,
    metadata: &MetadataEdit,
) -> Result<Vec<String>, Failure> {
    let meant: Vec<Arc<Instance>> = call
        .naming
        .snapshot(service)
        .instances
        .iter()
        .filter(|instance| targets.include(instance))
        .cloned()
        .collect();
    let mut updated = Vec::with_capacity(meant.len());
    for instance in meant {
        if edit_one(call, service, &instance, metadata.clone()).await? {
            updated.push(described(&instance));
        }
    }
    Ok(updated)
}

/// Edits one; false if it has left meanwhile.
async fn edit_one(
    call: &Call<'_>,
    service: &ServiceKey,
    instance: &Instance,
    metadata: MetadataEdit,
) -> Result<bool, Failure> {
    let edit = InstanceEdit {
        metadata: Some(metadata),
        ..InstanceEdit::default()
    };
    let kind = Some(instance.kind);
    match call
        .naming
        .edit(&call.context, service, &instance.key, kind, edit)
        .await
    {
        Ok(_) => Ok(true),
        Err(Error::InstanceNotFound { .. } | Error::ServiceNotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// `ip:port:unknown:cluster:ephemeral`.
fn described(instance: &Instance) -> String {
    let kind = match instance.kind {
        Kind::Ephemeral => "ephemeral",
        Kind::Persistent => "persist",
    };
    format!("{}:unknown:{}:{kind}", instance.key, instance.cluster)
}
