//! Why a v1 call has no success to answer, and the status and text that say so.

use super::reply::Reply;
use hyper::StatusCode;
use muster_consensus::ProposeError;
use muster_model::Kind;
use muster_naming::Error;
use muster_wire::{Refusal, grouped_name};

/// What ends a handler early.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    Naming(Error),
    /// Worded by the handler itself.
    Reply(Box<Reply>),
}

impl Failure {
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Failure::Reply(Box::new(Reply::text(status, text)))
    }

    /// The answer to a v1 client.
    pub(super) fn into_reply(self) -> Reply {
        match self {
            Failure::Refused(refusal) => refused(&refusal),
            Failure::Naming(error) => failed(error),
            Failure::Reply(reply) => *reply,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Naming(error)
    }
}

fn refused(refusal: &Refusal) -> Reply {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if refusal.is_param_check() {
        // The filter writes a line, so its end is part of the answer.
        Reply::text(status, format!("{refusal}\r\n")).not_cached()
    } else {
        Reply::text(status, refusal.to_string())
    }
}

/// As Nacos 2 words the exception class around the message, trailing space included.
fn runtime_exception(text: &str) -> String {
    format!("errCode: 400, errMsg: {text} ")
}

fn failed(error: Error) -> Reply {
    let (status, text) = match &error {
        Error::KindMismatch { service, found, asked } => {
            let name = |kind: &Kind| match kind {
                Kind::Ephemeral => "ephemeral",
                Kind::Persistent => "persistent",
            };
            (
                StatusCode::BAD_REQUEST,
                runtime_exception(&format!(
                    "Current service {} is {} service, can't register {} instance.",
                    grouped_name(service),
                    name(found),
                    name(asked)
                )),
            )
        }
        Error::Timings => (
            StatusCode::BAD_REQUEST,
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.".to_owned(),
        ),
        Error::MetadataTooLong { chars_max, .. } => {
            return refused(&Refusal::TooLong {
                name: "Metadata",
                chars_max: *chars_max,
            });
        }
        Error::ServiceNotFound(service) => (
            StatusCode::BAD_REQUEST,
            format!(
                "service not found, namespace: {}, service: {}",
                service.namespace(),
                grouped_name(service)
            ),
        ),
        Error::ServiceExists(service) => (
            StatusCode::BAD_REQUEST,
            format!("specified service {} already exists!", grouped_name(service)),
        ),
        Error::ServiceNotEmpty(service) => (
            StatusCode::BAD_REQUEST,
            format!(
                "Service {} is not empty, can't be delete. Please unregister instance first",
                grouped_name(service)
            ),
        ),
        Error::InstanceNotFound { key, .. } => (StatusCode::BAD_REQUEST, format!("instance not exist: {key}")),
        Error::CheckerWorks { service, cluster } => (
            StatusCode::BAD_REQUEST,
            format!(
                "health check is still working, service: {}, cluster: {cluster}",
                grouped_name(service)
            ),
        ),
        Error::BadSwitch { .. } => (StatusCode::BAD_REQUEST, error.to_string()),
        Error::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, format!("caused: {error};")),
        Error::Consensus(propose) => (propose_status(propose), format!("caused: {propose};")),
        Error::Internal(_) => {
            tracing::error!(%error, "request failed");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("caused: {error};"))
        }
    };
    Reply::text(status, text)
}

/// 500 is what Nacos answers to a write without a leader; a busy or stopping node is better asked elsewhere.
fn propose_status(error: &ProposeError) -> StatusCode {
    match error {
        ProposeError::NoLeader { .. } | ProposeError::OutcomeUnknown { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        ProposeError::Overloaded { .. } | ProposeError::Stopped(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{GroupName, NamespaceId, ServiceKey, ServiceName};
    use std::time::Duration;

    fn service() -> ServiceKey {
        ServiceKey::new(
            NamespaceId::public(),
            GroupName::default_group(),
            ServiceName::parse("svc").unwrap(),
        )
    }

    fn answer(error: Error) -> (u16, String) {
        let reply = Failure::from(error).into_reply();
        (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
    }

    #[test]
    fn a_kind_mismatch_is_worded_as_by_nacos_2_trailing_space_included() {
        let error = |found, asked| Error::KindMismatch {
            service: service(),
            found,
            asked,
        };
        assert_eq!(
            answer(error(Kind::Persistent, Kind::Ephemeral)),
            (
                400,
                "errCode: 400, errMsg: Current service DEFAULT_GROUP@@svc is persistent service, can't register ephemeral instance. "
                    .to_owned()
            )
        );
        assert_eq!(
            answer(error(Kind::Ephemeral, Kind::Persistent)).1,
            "errCode: 400, errMsg: Current service DEFAULT_GROUP@@svc is ephemeral service, can't register persistent instance. "
        );
    }

    #[test]
    fn a_write_without_leader_says_so_and_one_of_unknown_outcome_says_that() {
        let waited = Duration::from_secs(5);
        let (status, text) = answer(ProposeError::NoLeader { waited }.into_naming());
        assert_eq!(status, 500);
        assert!(text.contains("did not find the Leader node"), "{text}");
        let (status, text) = answer(ProposeError::OutcomeUnknown { waited }.into_naming());
        assert_eq!(status, 500);
        assert!(text.contains("outcome unknown"), "{text}");
        assert_eq!(answer(ProposeError::Overloaded { waiting: 9 }.into_naming()).0, 503);
    }

    trait IntoNaming {
        fn into_naming(self) -> Error;
    }

    impl IntoNaming for ProposeError {
        fn into_naming(self) -> Error {
            Error::Consensus(self)
        }
    }

    #[test]
    fn long_metadata_is_refused_by_the_parameter_check() {
        assert_eq!(
            answer(Error::MetadataTooLong {
                chars: 2_000,
                chars_max: 1_024
            }),
            (
                400,
                "Param 'Metadata' is illegal, the param length should not exceed 1024.\r\n".to_owned()
            )
        );
    }

    #[test]
    fn contradicting_timings_are_refused_in_nacoss_words() {
        assert_eq!(
            answer(Error::Timings).1,
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'."
        );
    }
}
