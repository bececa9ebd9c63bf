//! The handlers of v2 (reference nacos-http 6). Most of v3's calls of operators are the same, and answered here as well.

pub(super) mod catalog;
pub(super) mod clients;
pub(super) mod cluster;
pub(super) mod health;
pub(super) mod instance;
pub(super) mod metadata;
pub(super) mod namespaces;
pub(super) mod operator;
pub(super) mod service;

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use super::route::Route;
use hyper::StatusCode;

/// Has the file of its family answer.
pub(super) async fn answer(route: Route, call: &Call<'_>) -> Result<Reply, Failure> {
    match route {
        Route::V2InstanceRegister => instance::register(call).await,
        Route::V2InstanceDeregister => instance::deregister(call).await,
        Route::V2InstanceUpdate => instance::update(call).await,
        Route::V2InstancePatch => instance::patch(call).await,
        Route::V2InstanceDetail => instance::detail(call),
        Route::V2InstanceList => instance::list(call),
        Route::V2Beat => instance::beat(call),
        Route::V2InstanceStatuses => instance::statuses(call),
        Route::V2MetadataUpdate => metadata::update(call).await,
        Route::V2MetadataDelete => metadata::delete(call).await,
        Route::V2ServiceCreate => service::create(call).await,
        Route::V2ServiceUpdate => service::update(call).await,
        Route::V2ServiceDetail => service::detail(call),
        Route::V2ServiceDelete => service::delete(call).await,
        Route::V2ServiceList => service::list(call),
        Route::V2CatalogInstances => Ok(catalog::instances(call)),
        Route::V2HealthUpdate => health::update(call).await,
        Route::V2Switches => Ok(operator::switches(call)),
        Route::V2SwitchUpdate => operator::update_switch(call).await,
        Route::V2OperatorMetrics => operator::metrics(call),
        Route::V2ClientList => Ok(clients::list(call)),
        Route::V2ClientDetail => clients::detail(call),
        Route::V2ClientPublished => clients::published(call),
        Route::V2ClientSubscribed => clients::subscribed(call),
        Route::V2ServicePublishers => clients::publishers(call),
        Route::V2ServiceSubscribers => clients::subscribers(call),
        Route::V2CoreSelf => Ok(cluster::this_node(call)),
        Route::V2CoreHealth => Ok(cluster::health(call)),
        Route::V2CoreNodes => cluster::nodes(call),
        Route::V2Namespaces => Ok(namespaces::list(call, "")),
        Route::V2Namespace => namespaces::one(call, ""),
        // Answered by `probe`.
        _ => Err(Failure::text(StatusCode::NOT_FOUND, "no such call")),
    }
}
