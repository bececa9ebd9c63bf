//! Nacos's calls that are answered whether or not the node serves: liveness, readiness, login, versions.

use super::reply::Reply;
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
        Route::ConsoleState => console_state(site),
        Route::ConsoleLiveness => Reply::text(StatusCode::OK, "OK"),
        Route::ConsoleReadiness if site.readiness().ready => Reply::text(StatusCode::OK, "OK"),
        Route::ConsoleReadiness => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "Naming is not in readiness"),
        Route::StateLiveness => result("ok"),
        Route::StateReadiness if site.readiness().ready => result("ok"),
        Route::StateReadiness => {
            Reply::json(&json!({ "code": 30_000, "message": "server error", "data": "Naming is not in readiness" }))
        }
        _ => return None,
    })
}

fn result(data: &str) -> Reply {
    Reply::json(&json!({ "code": 0, "message": "success", "data": data }))
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
fn console_state(site: &Site) -> Reply {
    let mode = if site.config.standalone {
        "standalone"
    } else {
        "cluster"
    };
    Reply::json(&json!({
        "standalone_mode": mode,
        "startup_mode": mode,
        "function_mode": "naming",
        "version": site.config.version,
        "server_port": site.config.listen.port().to_string(),
        "auth_enabled": "false",
        "login_page_enabled": "false",
    }))
}
