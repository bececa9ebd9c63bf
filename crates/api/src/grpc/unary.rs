//! One unary call, from its bytes to its answer.

use super::call::{Answer, Call};
use super::connection::Connection;
use super::frame::{self, Code, ReadError, Reader, Status};
use super::hall::{Behind, Hall};
use super::kind::Kind;
use super::messages;
use super::reply::Reply;
use crate::contained::{Panicked, contained};
use crate::metrics::{GRPC_PANICS, Outcome};
use crate::within::within;
use bytes::Bytes;
use hyper::Response;
use hyper::body::Incoming;
use muster_wire::grpc::{ERROR_RESPONSE, HealthCheckResponse, Payload, ServerCheckResponse, error_response};
use prost::Message as _;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a message may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Added to a write's own deadline before the door gives up on it.
const WRITE_GRACE: Duration = Duration::from_secs(1);

/// What every response that tells of success begins with.
const SUCCESS: &[u8] = br#"{"resultCode":200,"#;

/// Nacos's codes of what is wrong with a call rather than with what it asks.
mod code {
    pub(super) const STARTING: i32 = 300;
    pub(super) const UNREGISTERED: i32 = 301;
    pub(super) const NO_HANDLER: i32 = 302;
    pub(super) const BAD_REQUEST: i32 = 400;
    pub(super) const FAULT: i32 = 500;
    pub(super) const BAD_GATEWAY: i32 = 502;
}

pub(super) async fn answer(hall: &Arc<Hall>, connection: &Arc<Connection>, body: Incoming) -> Response<Reply> {
    let received = hall.clock.now();
    let mut reader = Reader::new(body, hall.config.message_bytes_max, connection.partial.clone());
    let message = match within(ARRIVAL, poll_fn(|context| reader.poll_next(context))).await {
        Ok(Some(Ok(message))) => message,
        Ok(Some(Err(error))) => return Reply::refused(error.status()),
        Ok(None) => return Reply::refused(ReadError::Cut.status()),
        Err(_) => {
            return Reply::refused(Status::new(
                Code::DeadlineExceeded,
                "the message took too long to arrive",
            ));
        }
    };
    let (kind, answer) = match Payload::decode(message) {
        Ok(payload) => {
            let kind = Kind::of(payload.metadata.as_ref().map_or("", |metadata| &metadata.r#type));
            // Right before it is answered: many calls may have begun while their messages were on their way. Checks are
            // always answered: they take no room, and without them a client takes the node for dead.
            let is_check = matches!(kind, Kind::HealthCheck | Kind::ServerCheck);
            if !is_check && !connection.unsent.has_room() {
                return Reply::refused(Status::new(
                    Code::ResourceExhausted,
                    "answers that were not read leave no room for more",
                ));
            }
            (kind, reply(hall, connection, &payload, kind, received).await)
        }
        Err(_) => (Kind::Other, refusal(code::BAD_GATEWAY, "the payload cannot be read")),
    };
    let outcome = match (answer.name, answer.body.starts_with(SUCCESS)) {
        (_, true) => Outcome::Ok,
        (ERROR_RESPONSE, false) => Outcome::Failed,
        _ => Outcome::Refused,
    };
    let now = hall.clock.now();
    let seconds = now.saturating_duration_since(received).as_secs_f64();
    kind.metrics().record(outcome, seconds);
    Reply::unary(frame::message(answer.name, connection.unsent.count(answer.body, now)))
}

/// The checks in Nacos's order: an SDK goes by the first that fails.
async fn reply(
    hall: &Arc<Hall>,
    connection: &Arc<Connection>,
    payload: &Payload,
    kind: Kind,
    received: Instant,
) -> Answer {
    let Some(metadata) = payload.metadata.as_ref().filter(|metadata| !metadata.r#type.is_empty()) else {
        return refusal(code::BAD_REQUEST, "the payload has no metadata.type");
    };
    let name = metadata.r#type.as_str();
    if kind == Kind::ClusterOnly {
        // Nacos's words, leading space included.
        return refusal(code::BAD_GATEWAY, &format!(" invoke {name} from sdk is forbidden"));
    }
    let Some(behind) = hall.serving() else {
        return match kind {
            // Go and Python take every code from 300 to 399 for health, and would stay with a node that serves no more.
            Kind::HealthCheck if connection.is_registered() => refusal(code::FAULT, "Server serves no more."),
            _ => refusal(code::STARTING, "Server is starting,please try later."),
        };
    };
    if kind == Kind::ServerCheck {
        let body = ServerCheckResponse {
            connection_id: &connection.name,
            support_ability_negotiation: true,
        };
        return Answer {
            name: ServerCheckResponse::TYPE,
            body: body.encode(),
        };
    }
    if kind == Kind::Other {
        return no_handler();
    }
    if !connection.is_registered() {
        return match kind {
            // For the same reason.
            Kind::HealthCheck => refusal(code::FAULT, "Connection is unregistered."),
            _ => refusal(code::UNREGISTERED, "Connection is unregistered."),
        };
    }
    connection.active();
    if kind == Kind::HealthCheck {
        return Answer {
            name: HealthCheckResponse::TYPE,
            body: HealthCheckResponse.encode(),
        };
    }
    handled(hall, behind, connection, payload, name, &metadata.headers, received).await
}

async fn handled(
    hall: &Hall,
    behind: &Behind,
    connection: &Arc<Connection>,
    payload: &Payload,
    name: &str,
    headers: &HashMap<String, String>,
    received: Instant,
) -> Answer {
    static NOTHING: Bytes = Bytes::new();
    let call = Call {
        naming: &behind.naming,
        connection,
        watches: hall.watches(),
        headers,
        body: payload.body.as_ref().map_or(&NOTHING, |body| &body.value),
        context: hall.context(received),
        received_ms: hall.clock.wall_ms(),
    };
    let handling = pin!(messages::answer(&call, name));
    match within(hall.config.write_timeout + WRITE_GRACE, contained(handling)).await {
        Ok(Ok(Some(answer))) => answer,
        Ok(Ok(None)) => no_handler(),
        Ok(Err(Panicked)) => {
            GRPC_PANICS.inc();
            tracing::error!(name, "a handler panicked");
            refusal(code::FAULT, "the handling of this request failed")
        }
        Err(_) => refusal(
            code::FAULT,
            &format!("outcome unknown: no answer within {:?}", hall.config.write_timeout),
        ),
    }
}

fn no_handler() -> Answer {
    refusal(code::NO_HANDLER, "RequestHandler Not Found")
}

fn refusal(code: i32, message: &str) -> Answer {
    Answer {
        name: ERROR_RESPONSE,
        body: error_response(code, message),
    }
}
