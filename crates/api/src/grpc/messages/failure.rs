//! Why a request has no success to answer, and the form that says so.

use crate::grpc::call::{Answer, Call};
use muster_consensus::ProposeError;
use muster_model::Kind;
use muster_naming::Error;
use muster_wire::grpc::{ERROR_RESPONSE, RequestError, coded_error_response, error_response, failed_response};
use muster_wire::{Refusal, grouped_name};

const BAD_REQUEST: i32 = 400;
const NOT_FOUND: i32 = 404;
const CONFLICT: i32 = 409;
const FAULT: i32 = 500;
/// What cannot be read, as Nacos's acceptor codes it.
const BAD_GATEWAY: i32 = 502;
const OVER_THRESHOLD: i32 = 503;
/// The connection has no naming client.
const CLIENT_DISCONNECTED: i32 = -401;

/// What ends a handler early.
#[derive(Debug)]
pub(super) enum Failure {
    Request(RequestError),
    Naming(Error),
    /// No stream of the connection was set up for naming.
    NotNaming,
    /// In the type that was asked for, with a code of its own.
    Typed {
        code: i32,
        message: String,
    },
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Failure::Request(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Naming(error)
    }
}

/// Publishing and subscribing need a stream that was set up for naming.
pub(super) fn require_naming(call: &Call<'_>) -> Result<(), Failure> {
    if call.connection.is_naming() {
        Ok(())
    } else {
        Err(Failure::NotNaming)
    }
}

impl Failure {
    pub(super) fn full(message: &str) -> Self {
        Failure::Typed {
            code: OVER_THRESHOLD,
            message: message.to_owned(),
        }
    }

    /// The answer to a request whose answers are of type `response`.
    pub(super) fn into_answer(self, response: &'static str) -> Answer {
        let typed = |code: i32, message: &str| Answer {
            name: response,
            body: failed_response(response, code, message),
        };
        let error = |body| Answer {
            name: ERROR_RESPONSE,
            body,
        };
        match self {
            Failure::Request(RequestError::Unreadable(why)) => error(error_response(
                BAD_GATEWAY,
                &format!("the request cannot be read: {why}"),
            )),
            Failure::Request(wrong @ RequestError::UnsupportedType(_)) => {
                error(coded_error_response(BAD_REQUEST, &wrong.to_string()))
            }
            Failure::Request(wrong @ RequestError::Refused(_)) => typed(BAD_REQUEST, &wrong.to_string()),
            // An `ErrorResponse`, as Nacos's: where several clients share a connection (Python 2.0.0), the stream of this one
            // may be set up a moment later, and clients try again.
            Failure::NotNaming => error(coded_error_response(
                CLIENT_DISCONNECTED,
                "no stream of this connection was set up with module=naming",
            )),
            Failure::Typed { code, message } => typed(code, &message),
            Failure::Naming(failed) => match naming_failure(&failed) {
                Form::Typed(code, message) => typed(code, &message),
                Form::Again(code) => error(error_response(code, &failed.to_string())),
            },
        }
    }
}

enum Form {
    Typed(i32, String),
    /// An `ErrorResponse`: the SDKs try again, Java up to four times within its 3 s, then check the connection and go
    /// elsewhere if that fails, too. A typed failure would reach the application at once.
    Again(i32),
}

fn naming_failure(error: &Error) -> Form {
    let typed = Form::Typed;
    match error {
        Error::KindMismatch { service, found, asked } => {
            let name = |kind: &Kind| match kind {
                Kind::Ephemeral => "ephemeral",
                Kind::Persistent => "persistent",
            };
            let text = format!(
                "Current service {} is {} service, can't register {} instance.",
                grouped_name(service),
                name(found),
                name(asked)
            );
            typed(BAD_REQUEST, text)
        }
        Error::Timings => typed(
            BAD_REQUEST,
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.".to_owned(),
        ),
        Error::MetadataTooLong { chars_max, .. } => {
            let refusal = Refusal::TooLong {
                name: "Metadata",
                chars_max: *chars_max,
            };
            typed(BAD_REQUEST, RequestError::Refused(refusal).to_string())
        }
        Error::ServiceNotFound(_) | Error::InstanceNotFound { .. } => typed(NOT_FOUND, error.to_string()),
        Error::ServiceExists(_) | Error::ServiceNotEmpty(_) => typed(CONFLICT, error.to_string()),
        Error::CheckerWorks { .. } | Error::BadSwitch { .. } => typed(BAD_REQUEST, error.to_string()),
        // A retry finds it as full.
        Error::Full(_) => typed(OVER_THRESHOLD, error.to_string()),
        // A leader is elected within a second or two, and a write of unknown outcome is the same when written twice.
        Error::Consensus(ProposeError::NoLeader { .. } | ProposeError::OutcomeUnknown { .. }) => Form::Again(FAULT),
        Error::Consensus(ProposeError::Overloaded { .. } | ProposeError::Stopped(_)) => Form::Again(OVER_THRESHOLD),
        Error::Internal(_) => {
            tracing::error!(%error, "request failed");
            Form::Again(FAULT)
        }
    }
}
