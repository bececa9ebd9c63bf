//! `/v3/admin/ns/cluster` and the switches, whose members v3 names anew.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::operator::switch_object;
use crate::http::parameters::{CHECK_PORT, CHECKER, CLUSTER_REQUIRED, SERVICE_METADATA, USE_INSTANCE_PORT};
use crate::http::reply::Reply;
use crate::http::result;
use muster_model::ClusterSettings;
use muster_wire::{Refusal, bound_cluster, bound_metadata, bound_service, parse_checker};

/// How the persistent instances of a cluster are probed.
pub(super) async fn update(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let service = bound_service(form)?;
    CLUSTER_REQUIRED.value(form)?;
    let cluster = bound_cluster(form)?;
    let settings = ClusterSettings {
        check_port: u16::try_from(CHECK_PORT.int(form)?.unwrap_or(0)).map_err(|_| Refusal::Port)?,
        use_instance_port: USE_INSTANCE_PORT.truth(form)?.unwrap_or(true),
        checker: parse_checker(CHECKER.value(form)?)?,
        metadata: bound_metadata(&SERVICE_METADATA, form)?.unwrap_or_default(),
    };
    call.naming
        .set_cluster(&call.context, &service, &cluster, settings)
        .await?;
    Ok(result::ok())
}

/// Members that v3 calls by another name.
const RENAMED: [(&str, &str); 5] = [
    ("pushGoVersion", "pushVersionOfGo"),
    ("pushJavaVersion", "pushVersionOfJava"),
    ("pushPythonVersion", "pushVersionOfPython"),
    ("pushCVersion", "pushVersionOfC"),
    ("pushCSharpVersion", "pushVersionOfCSharp"),
];

pub(super) fn switches(call: &Call<'_>) -> Reply {
    let mut switches = switch_object(&call.naming.switches());
    if let Some(members) = switches.as_object_mut() {
        for (old, new) in RENAMED {
            if let Some(value) = members.remove(old) {
                members.insert(new.to_owned(), value);
            }
        }
    }
    result::well(&switches)
}
