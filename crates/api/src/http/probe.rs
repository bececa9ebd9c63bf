//! Nacos's calls that are answered whether or not the node serves: liveness, readiness, login, versions.

use super::reply::Reply;
use super::result::{self, Code};
use super::route::Route;
use super::site::Site;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde_json::json;

/// What Nacos hands out while authentication is off.
const TOKEN: &str = "AUTH_DISABLED";
/// Five hours, Nacos's default. A number, and not 0: clients log in again at 80 to 90 percent of it (T-35).
const TOKEN_TTL_SECONDS: u64 = 18_000;

/// The answer, if `route` is one of these.
pub(super) fn answer(site: &Site, route: Route) -> Option<Reply> {
    Some(match route {
        Route::Login => login(),
        Route::ConsoleState => Reply::json(&state(site)),
        Route::ConsoleLiveness => Reply::text(StatusCode::OK, "OK"),
        Route::ConsoleReadiness if site.readiness().ready => Reply::text(StatusCode::OK, "OK"),
        Route::ConsoleReadiness => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, NOT_READY),
        Route::StateLiveness | Route::V2Liveness | Route::V3Liveness => result::ok(),
        // Not ready is a 200 with another code there, and a 500 at v3's console alone.
        Route::StateReadiness | Route::V2Readiness => readiness(site, StatusCode::OK),
        Route::V3Readiness => readiness(site, StatusCode::INTERNAL_SERVER_ERROR),
        Route::V3State => result::well(&state(site)),
        _ => return None,
    })
}

const NOT_READY: &str = "Naming is not in readiness";

fn readiness(site: &Site, not_ready: StatusCode) -> Reply {
    if site.readiness().ready {
        result::ok()
    } else {
        result::refused(not_ready, Code::Server, NOT_READY)
    }
}

/// Nobody is checked: there is no authentication to pass or to fail. Clients take the token and go on.
fn login() -> Reply {
    Reply::json(&json!({
        "accessToken": TOKEN,
        "tokenTtl": TOKEN_TTL_SECONDS,
        "globalAdmin": true,
        "username": "nacos",
    }))
    .with_header(header::AUTHORIZATION, HeaderValue::from_static("Bearer AUTH_DISABLED"))
}

/// Both keys of the mode: 1.4 reads one, 2.4's server wrote the other, and its console still reads the first.
fn state(site: &Site) -> serde_json::Value {
    let mode = if site.config.standalone {
        "standalone"
    } else {
        "cluster"
    };
    json!({
        "standalone_mode": mode,
        "startup_mode": mode,
        "function_mode": "naming",
        "version": site.config.version,
        "server_port": site.config.listen.port().to_string(),
        "auth_enabled": "false",
        "login_page_enabled": "false",
    })
}
