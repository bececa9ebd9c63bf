//! `/v3/admin/ns/service`, where it differs from v2.

use crate::http::door::Call;
use crate::http::failure::Failure;
use crate::http::parameters::{
    AGGREGATION, GROUP_FRAGMENT, IGNORE_EMPTY, NAME_FRAGMENT, PAGE, PAGE_SIZE_100, WITH_INSTANCES,
};
use crate::http::reply::Reply;
use crate::http::result;
use crate::http::service::subscribed;
use crate::http::v2::service::existing;
use muster_naming::ServiceFilter;
use muster_wire::{Form, Refusal, answers, answers::v3, bound_namespace, bound_service};
use serde_json::{Value, json};

/// A page that is asked for.
struct Asked {
    number: usize,
    size: usize,
}

impl Asked {
    /// Both from 1; below that they are refused, as in Nacos.
    fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        let positive = |value: Option<i32>, name: &str| {
            let value = value.unwrap_or(1);
            let said = || format!("Required parameter '{name}' should be positive integer, current is {value}");
            usize::try_from(value)
                .ok()
                .filter(|value| *value > 0)
                .ok_or_else(|| Refusal::Text(said()))
        };
        Ok(Self {
            number: positive(PAGE.int(form)?, "pageNo")?,
            size: positive(PAGE_SIZE_100.int(form)?, "pageSize")?,
        })
    }

    fn of<'a, T>(&self, all: impl Iterator<Item = T> + 'a) -> impl Iterator<Item = T> + 'a {
        all.skip((self.number - 1).saturating_mul(self.size)).take(self.size)
    }

    fn page<T>(&self, total: usize, items: Vec<T>) -> v3::Page<T> {
        v3::Page::new(total, self.number, self.size, items)
    }
}

pub(super) fn detail(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(result::well(&v3::ServiceDetail::new(&*existing(call)?, false)))
}

/// Rows as consoles list them, or with `withInstances` the services with their instances.
pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let form = &call.form;
    let asked = Asked::read(form)?;
    let name = NAME_FRAGMENT.read(form)?.unwrap_or("");
    let group = GROUP_FRAGMENT.read(form)?.unwrap_or("");
    let hide_empty = IGNORE_EMPTY.truth(form)?.unwrap_or(false);
    let with_instances = WITH_INSTANCES.truth(form)?.unwrap_or(false);
    let filter = ServiceFilter {
        namespace: bound_namespace(form)?,
        group: None,
    };
    let mut keys = call.naming.services(&filter, 0, usize::MAX).services;
    keys.retain(|key| key.name().as_str().contains(name) && key.group().as_str().contains(group));
    if hide_empty {
        keys.retain(|key| !call.naming.snapshot(key).instances.is_empty());
    }
    let total = keys.len();
    let shown = asked.of(keys.iter()).map(|key| call.naming.snapshot(key));
    if with_instances {
        let items = shown.map(|snapshot| v3::ServiceDetail::new(&snapshot, true)).collect();
        return Ok(result::well(&asked.page(total, items)));
    }
    let items = shown.map(|snapshot| answers::CatalogRow::new(&snapshot)).collect();
    Ok(result::well(&asked.page(total, items)))
}

/// Subscribers of all living members, or with `aggregation=false` of this node alone.
pub(super) async fn subscribers(call: &Call<'_>) -> Result<Reply, Failure> {
    let service = bound_service(&call.form)?;
    let asked = Asked::read(&call.form)?;
    let found = subscribed(call, &service, AGGREGATION.truth(&call.form)?.unwrap_or(true)).await;
    let items: Vec<Value> = asked
        .of(found.iter())
        .map(|(identity, words)| {
            json!({
                "namespaceId": identity.service.namespace().as_str(),
                "groupName": identity.service.group().as_str(),
                "serviceName": identity.service.name().as_str(),
                "ip": identity.target.ip().to_string(),
                "port": identity.target.port(),
                "agent": words.agent,
                "appName": words.app,
            })
        })
        .collect();
    Ok(result::well(&asked.page(found.len(), items)))
}
