//! Our own interface: admin calls, health and metrics, by an axum router each.
//!
//! The door has read the body, bounded and in time, before a request comes here.

use super::admin::{self, Refused};
use super::reply::Reply;
use super::route::{Family, Route};
use super::site::Site;
use super::spring;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post};
use bytes::Bytes;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri};
use prometheus::TextEncoder;
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

pub(super) struct Own {
    admin: Router,
    probes: Router,
}

impl Own {
    pub(super) fn new(site: &Arc<Site>) -> Self {
        let admin = Router::new()
            .route(
                "/v3/admin/muster/cluster",
                as_route(Route::AdminCluster, get(admin::cluster)),
            )
            .route(
                "/v3/admin/muster/cluster/members",
                as_route(Route::AdminMemberAdd, post(admin::add_member))
                    .merge(as_route(Route::AdminMemberRemove, delete(admin::remove_member))),
            )
            .route(
                "/v3/admin/muster/cluster/transfer-leader",
                as_route(Route::AdminTransferLeader, post(admin::transfer_leader)),
            )
            .route(
                "/v3/admin/muster/services",
                as_route(Route::AdminServices, get(admin::services)),
            )
            .route(
                "/v3/admin/muster/service",
                as_route(Route::AdminService, get(admin::service)),
            )
            .route(
                "/v3/admin/muster/instances",
                as_route(Route::AdminInstances, get(admin::instances)),
            )
            .fallback(async || Refused(StatusCode::NOT_FOUND, "not_found", "no such path".to_owned()))
            .method_not_allowed_fallback(async |method: Method| {
                let message = format!("{method} is not offered here");
                Refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            })
            .with_state(site.clone());
        let probes = Router::new()
            .route("/health/live", as_route(Route::HealthLive, get(live)))
            .route("/health/ready", as_route(Route::HealthReady, get(ready)))
            .route("/metrics", as_route(Route::Metrics, get(metrics)))
            .fallback(async |State(site): State<Arc<Site>>, method: Method, uri: Uri| {
                spring::no_call(&method, uri.path(), false, site.clock.wall_ms())
            })
            .method_not_allowed_fallback(async |State(site): State<Arc<Site>>, method: Method, uri: Uri| {
                spring::no_call(&method, uri.path(), true, site.clock.wall_ms())
            })
            .with_state(site.clone());
        Self { admin, probes }
    }

    /// Answers, and says by which route. Admin paths stand below `prefix`, the others at the root.
    pub(super) async fn answer(
        &self,
        family: Family,
        prefix: &str,
        head: &hyper::http::request::Parts,
        body: Bytes,
    ) -> (Route, Response) {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.headers.clone();
        let asked = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let (router, path) = match family {
            Family::Admin => (&self.admin, asked.strip_prefix(prefix).unwrap_or(asked)),
            _ => (&self.probes, asked),
        };
        // A part of a well-formed path that begins with a slash is one.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let Ok(mut response) = router.clone().oneshot(request).await;
        let route = response.extensions_mut().remove().unwrap_or(Route::Unknown);
        (route, response)
    }
}

/// Has the answers of `methods` say that they are `route`'s, for the metrics.
fn as_route(route: Route, methods: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    methods.route_layer(map_response_with_state(
        route,
        async |State(route): State<Route>, mut response: Response| {
            response.extensions_mut().insert(route);
            response
        },
    ))
}

async fn live() -> Reply {
    Reply::json(&json!({ "status": "UP" }))
}

async fn ready(State(site): State<Arc<Site>>) -> Reply {
    let readiness = site.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Reply::json_with(
        status,
        &json!({
            "ready": readiness.ready,
            "has_leader": readiness.has_leader,
            "reasons": readiness.reasons,
        }),
    )
}

async fn metrics() -> Reply {
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => Reply::prometheus(text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written")
        }
    }
}
