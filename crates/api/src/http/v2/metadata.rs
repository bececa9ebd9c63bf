//! `/v2/ns/instance/metadata/batch`: metadata of many instances at once.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::metadata_batch::{Targets, edit_all};
use crate::http::parameters::{BATCH_METADATA, CONSISTENCY, INSTANCES};
use crate::http::reply::Reply;
use crate::http::result;
use muster_model::{Kind, Metadata, MetadataEdit};
use muster_wire::{Refusal, bound_metadata, bound_service, parse_batch_targets};
use serde_json::json;

/// Lays the pairs over those that are there.
pub(in crate::http) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    edit(call, MetadataEdit::Merge).await
}

/// Removes the keys; the values are not looked at.
pub(in crate::http) async fn delete(call: &Call<'_>) -> Result<Reply, Failure> {
    edit(call, MetadataEdit::RemoveKeys).await
}

/// As 2.4 reads them: the instances named, else all of the kind, else all. What is not readable is refused, where 2.4 edits
/// all or none.
fn targets(call: &Call<'_>) -> Result<Targets, Refusal> {
    if let Some(text) = INSTANCES.read(&call.form)? {
        let named = parse_batch_targets(text);
        return named
            .map(Targets::Named)
            .ok_or_else(|| Refusal::Text("Param 'instances' is illegal, it is no array of {ip,port}".to_owned()));
    }
    match CONSISTENCY.read(&call.form)? {
        None => Ok(Targets::All),
        Some("ephemeral") => Ok(Targets::AllOf(Kind::Ephemeral)),
        Some("persist") => Ok(Targets::AllOf(Kind::Persistent)),
        Some(_) => Err(Refusal::Text(
            "Param 'consistencyType' is illegal, it is ephemeral or persist".to_owned(),
        )),
    }
}

async fn edit(call: &Call<'_>, how: fn(Metadata) -> MetadataEdit) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let metadata = bound_metadata(&BATCH_METADATA, &call.form)?.unwrap_or_default();
    let updated = edit_all(call, &service, &targets(call)?, &how(metadata)).await?;
    Ok(result::well(&json!({ "updated": updated })))
}
