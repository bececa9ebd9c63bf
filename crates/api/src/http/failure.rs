//! Why a call has no success to answer, and what says so: status and text in v1, status, detail code and text in v2 and v3.

use super::reply::Reply;
use super::result::{self, Code};
use hyper::StatusCode;
use muster_consensus::ProposeError;
use muster_naming::Error;
use muster_wire::{Refusal, grouped_name};

/// What ends a handler early.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    Naming(Error),
    /// Worded by the handler itself, in the manner of v1.
    Reply(Box<Reply>),
    /// Worded by a handler of v2 or v3.
    Detailed {
        status: StatusCode,
        code: Code,
        text: String,
    },
}

impl Failure {
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Failure::Reply(Box::new(Reply::text(status, text)))
    }

    pub(super) fn detailed(status: StatusCode, code: Code, text: impl Into<String>) -> Self {
        let text = text.into();
        Failure::Detailed { status, code, text }
    }

    /// The answer to a v1 client.
    pub(super) fn into_reply(self) -> Reply {
        match self {
            Failure::Refused(refusal) => refused(&refusal),
            Failure::Naming(error) => failed(&error),
            Failure::Reply(reply) => *reply,
            Failure::Detailed { status, text, .. } => Reply::text(status, text),
        }
    }

    /// The answer to a client of v2 or v3.
    pub(super) fn into_result(self) -> Reply {
        match self {
            Failure::Refused(refusal) => result::refused(status_of(&refusal), code_of(&refusal), &refusal.to_string()),
            Failure::Naming(error) => {
                let (status, code, text) = detailed(&error);
                result::refused(status, code, &text)
            }
            Failure::Reply(reply) => *reply,
            Failure::Detailed { status, code, text } => result::refused(status, code, &text),
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

fn status_of(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Absent { .. } | Refusal::Required(_) | Refusal::Missing(_) => Code::ParameterMissing,
        Refusal::Weight => Code::Weight,
        Refusal::Metadata(_) => Code::InstanceMetadata,
        Refusal::ClusterUnderscore(_) => Code::Instance,
        Refusal::Beat(_) => Code::Server,
        _ => Code::ParameterIllegal,
    }
}

fn refused(refusal: &Refusal) -> Reply {
    let status = status_of(refusal);
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

/// The answer to a v1 client.
fn failed(error: &Error) -> Reply {
    let (status, _, text) = worded(error);
    match error {
        Error::MetadataTooLong { chars_max, .. } => refused(&metadata_too_long(*chars_max)),
        Error::Full(_) | Error::Consensus(_) | Error::Internal(_) => Reply::text(status, format!("caused: {text};")),
        _ => Reply::text(status, text),
    }
}

/// The same in v2 and v3, where an instance that is not there is 404, and a wrong switch 500.
fn detailed(error: &Error) -> (StatusCode, Code, String) {
    let (status, code, text) = worded(error);
    let status = match error {
        Error::InstanceNotFound { .. } => StatusCode::NOT_FOUND,
        Error::BadSwitch { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        _ => status,
    };
    (status, code, text)
}

fn metadata_too_long(chars_max: usize) -> Refusal {
    Refusal::TooLong {
        name: "Metadata",
        chars_max,
    }
}

fn worded(error: &Error) -> (StatusCode, Code, String) {
    let bad = StatusCode::BAD_REQUEST;
    match error {
        Error::KindMismatch { service, found, asked } => {
            let service = grouped_name(service);
            let text = format!("Current service {service} is {found} service, can't register {asked} instance.");
            (bad, Code::Server, runtime_exception(&text))
        }
        Error::Timings => (
            bad,
            Code::Instance,
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'.".to_owned(),
        ),
        Error::MetadataTooLong { chars_max, .. } => {
            (bad, Code::ParameterIllegal, metadata_too_long(*chars_max).to_string())
        }
        Error::ServiceNotFound(service) => (
            bad,
            Code::ServiceNotFound,
            format!(
                "service not found, namespace: {}, service: {}",
                service.namespace(),
                grouped_name(service)
            ),
        ),
        Error::ServiceExists(service) => (
            bad,
            Code::ServiceExists,
            format!("specified service {} already exists!", grouped_name(service)),
        ),
        Error::ServiceNotEmpty(service) => (
            bad,
            Code::ServiceNotDeleted,
            format!(
                "Service {} is not empty, can't be delete. Please unregister instance first",
                grouped_name(service)
            ),
        ),
        Error::InstanceNotFound { key, .. } => (bad, Code::ResourceNotFound, format!("instance not exist: {key}")),
        Error::CheckerWorks { service, cluster } => (
            bad,
            Code::Server,
            format!(
                "health check is still working, service: {}, cluster: {cluster}",
                grouped_name(service)
            ),
        ),
        Error::BadSwitch { .. } => (bad, Code::Server, error.to_string()),
        Error::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::Server, error.to_string()),
        Error::Consensus(propose) => (propose_status(propose), Code::Server, propose.to_string()),
        Error::Internal(_) => {
            tracing::error!(%error, "request failed");
            (StatusCode::INTERNAL_SERVER_ERROR, Code::Server, error.to_string())
        }
    }
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
    use muster_model::{GroupName, Kind, NamespaceId, ServiceKey, ServiceName};
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
    fn later_generations_have_a_code_and_their_own_status() {
        let result = |failure: Failure| {
            let reply = failure.into_result();
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            (reply.status.as_u16(), body["code"].as_u64().unwrap())
        };
        let naming = |error: Error| result(Failure::from(error));
        assert_eq!(naming(Error::Timings), (400, 21_004));
        assert_eq!(naming(Error::ServiceNotFound(service())), (400, 21_008));
        assert_eq!(naming(Error::Full("x".to_owned())), (503, 30_000));
        assert_eq!(result(Refusal::Weight.into()), (400, 21_001));
        assert_eq!(result(Refusal::Beat("x".to_owned()).into()), (500, 30_000));
        assert_eq!(result(Refusal::Required("ip").into()), (400, 10_000));
        assert_eq!(result(Refusal::Port.into()), (400, 20_002));
    }

    #[test]
    fn contradicting_timings_are_refused_in_nacoss_words() {
        assert_eq!(
            answer(Error::Timings).1,
            "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'."
        );
    }
}
