//! The handlers of v3 (reference nacos-http 7): light clients, operators, the core. What is as in v2 is answered there.

mod clients;
mod cluster;
mod instance;
mod light;
mod service;

use super::door::Call;
use super::failure::Failure;
use super::reply::Reply;
use super::route::Route;
use super::{health, result, v2};
use hyper::StatusCode;

/// Has the file of its family answer.
pub(super) async fn answer(route: Route, call: &Call<'_>) -> Result<Reply, Failure> {
    match route {
        Route::V3LightRegister => light::register(call).await,
        Route::V3LightList => light::list(call),
        Route::V3InstanceRegister => v2::instance::register(call).await,
        Route::V3LightDeregister | Route::V3InstanceDeregister => v2::instance::deregister(call).await,
        Route::V3InstanceUpdate => v2::instance::update(call).await,
        Route::V3InstanceDetail => instance::detail(call),
        Route::V3InstancePartial => instance::partial(call).await,
        Route::V3InstanceList => instance::list(call),
        Route::V3MetadataUpdate => v2::metadata::update(call).await,
        Route::V3MetadataDelete => v2::metadata::delete(call).await,
        Route::V3ServiceCreate => v2::service::create(call).await,
        Route::V3ServiceUpdate => v2::service::update(call).await,
        Route::V3ServiceDetail => service::detail(call),
        Route::V3ServiceDelete => v2::service::delete(call).await,
        Route::V3ServiceList => service::list(call),
        Route::V3Subscribers => service::subscribers(call).await,
        Route::V3SelectorTypes => Ok(result::well(&["none"])),
        Route::V3ClusterUpdate => cluster::update(call).await,
        Route::V3HealthUpdate => v2::health::update(call).await,
        Route::V3HealthCheckers => Ok(result::well(&health::known_checkers())),
        Route::V3Switches => Ok(cluster::switches(call)),
        Route::V3SwitchUpdate => v2::operator::update_switch(call).await,
        Route::V3OperatorMetrics => v2::operator::metrics(call),
        Route::V3ClientList => Ok(v2::clients::list(call)),
        Route::V3ClientDetail => clients::detail(call),
        Route::V3ClientPublished => clients::published(call),
        Route::V3ClientSubscribed => clients::subscribed(call),
        Route::V3ServicePublishers => clients::publishers(call),
        Route::V3ServiceSubscribers => clients::subscribers(call),
        Route::V3CoreSelf => Ok(v2::cluster::this_node(call)),
        Route::V3CoreHealth => Ok(v2::cluster::health(call)),
        Route::V3CoreNodes => v2::cluster::nodes(call),
        Route::V3Namespaces => Ok(v2::namespaces::list(call, "public")),
        Route::V3Namespace => v2::namespaces::one(call, "public"),
        Route::V3NamespaceCheck => v2::namespaces::count(call),
        // Answered by `probe`.
        _ => Err(Failure::text(StatusCode::NOT_FOUND, "no such call")),
    }
}
