//! Calls that are answered whether or not the node serves: liveness, readiness, metrics, login, versions.

use super::door::Door;
use super::reply::Reply;
use super::route::Route;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use muster_naming::Readiness;
use prometheus::TextEncoder;
use serde_json::json;

/// What Nacos hands out while authentication is off.
const TOKEN: &str = "AUTH_DISABLED";
/// Five hours, Nacos's default. A number, and not 0: clients log in again at 80 to 90 percent of it (T-35).
const TOKEN_TTL_SECONDS: u64 = 18_000;

/// The answer, if `route` is one of these.
pub(super) fn answer(door: &Door, route: Route) -> Option<Reply> {
    Some(match route {
        Route::HealthLive => Reply::json(&json!({ "status": "UP" })),
        Route::HealthReady => ready(door),
        Route::Metrics => metrics(),
        Route::Login => login(),
        Route::ConsoleState => console_state(door),
        Route::ConsoleLiveness => Reply::text(StatusCode::OK, "OK"),
        Route::ConsoleReadiness if readiness(door).ready => Reply::text(StatusCode::OK, "OK"),
        Route::ConsoleReadiness => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "Naming is not in readiness"),
        Route::StateLiveness => result("ok"),
        Route::StateReadiness if readiness(door).ready => result("ok"),
        Route::StateReadiness => {
            Reply::json(&json!({ "code": 30_000, "message": "server error", "data": "Naming is not in readiness" }))
        }
        _ => return None,
    })
}

fn result(data: &str) -> Reply {
    Reply::json(&json!({ "code": 0, "message": "success", "data": data }))
}

fn readiness(door: &Door) -> Readiness {
    match door.naming() {
        Some(naming) => naming.readiness(),
        None => Readiness {
            ready: false,
            reasons: vec!["the node is starting".to_owned()],
            has_leader: false,
        },
    }
}

fn ready(door: &Door) -> Reply {
    let readiness = readiness(door);
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

fn metrics() -> Reply {
    match TextEncoder::new().encode_to_string(&prometheus::gather()) {
        Ok(text) => Reply::prometheus(text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written")
        }
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
fn console_state(door: &Door) -> Reply {
    let mode = if door.config.standalone {
        "standalone"
    } else {
        "cluster"
    };
    Reply::json(&json!({
        "standalone_mode": mode,
        "startup_mode": mode,
        "function_mode": "naming",
        "version": door.config.version,
        "server_port": door.config.listen.port().to_string(),
        "auth_enabled": "false",
        "login_page_enabled": "false",
    }))
}
