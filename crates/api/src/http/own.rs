//! Our own interface: admin calls, health and metrics, by two axum routers: below the prefix and at the root.
//!
//! The door has read the body, bounded and in time, before a request comes here.

use super::admin::Refused;
use super::reply::Reply;
use super::route::{Family, Route};
use super::routes::{self, own::OwnCall};
use super::site::Site;
use super::spring;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::MethodRouter;
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
        let admin = router(routes::own::ADMIN)
            .fallback(async || Refused(StatusCode::NOT_FOUND, "not_found", "no such path".to_owned()))
            .method_not_allowed_fallback(async |method: Method| {
                let message = format!("{method} is not offered here");
                Refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            })
            .with_state(site.clone());
        let probes = router(routes::own::PROBES)
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

/// Each call of the table at its path, by its methods.
fn router(calls: &[OwnCall]) -> Router<Arc<Site>> {
    calls.iter().fold(Router::new(), |router, call| {
        router.route(call.endpoint.path, as_route(call.endpoint.route, (call.methods)()))
    })
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

pub(super) async fn live() -> Reply {
    Reply::json(&json!({ "status": "UP" }))
}

pub(super) async fn ready(State(site): State<Arc<Site>>) -> Reply {
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

pub(super) async fn metrics() -> Reply {
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => Reply::prometheus(text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written")
        }
    }
}
