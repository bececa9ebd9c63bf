//! Why a request was refused, or is not known to have been carried out.

use muster_consensus::ProposeError;
use muster_model::{ClusterName, InstanceKey, Kind, ServiceKey, TimingsError};
use muster_persistent::{Rejection, WriteError};

/// Why a request was refused, or is not known to have been carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("service {service} holds {found} instances, not {asked}")]
    KindMismatch {
        service: ServiceKey,
        found: Kind,
        asked: Kind,
    },
    #[error("beat interval must be less than beat timeout and delete timeout")]
    Timings,
    #[error("metadata holds {chars} characters, more than {chars_max}")]
    MetadataTooLong { chars: usize, chars_max: usize },
    #[error("service {0} not found")]
    ServiceNotFound(ServiceKey),
    #[error("service {0} exists already")]
    ServiceExists(ServiceKey),
    #[error("service {0} still has instances")]
    ServiceNotEmpty(ServiceKey),
    #[error("instance {key} of {service} not found")]
    InstanceNotFound { service: ServiceKey, key: InstanceKey },
    /// By-hand health is refused while a checker runs.
    #[error("health check of {service} cluster {cluster} is still working")]
    CheckerWorks { service: ServiceKey, cluster: ClusterName },
    #[error("switch {entry}: {problem}")]
    BadSwitch { entry: String, problem: String },
    #[error("this node is full: {0}")]
    Full(String),
    /// Nothing was done, or the outcome is unknown; see [`ProposeError`].
    #[error(transparent)]
    Consensus(#[from] ProposeError),
    #[error("{0}")]
    Internal(String),
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::ServiceExists(service) => Error::ServiceExists(service),
            Rejection::ServiceNotFound(service) => Error::ServiceNotFound(service),
            Rejection::ServiceNotEmpty(service) => Error::ServiceNotEmpty(service),
            Rejection::InstanceNotFound { service, key } => Error::InstanceNotFound { service, key },
            Rejection::UnknownCommand(text) => Error::Internal(text),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Propose(error) => Error::Consensus(error),
            WriteError::Rejected(rejection) => rejection.into(),
        }
    }
}

impl From<muster_ephemeral::Error> for Error {
    fn from(error: muster_ephemeral::Error) -> Self {
        match error {
            full @ muster_ephemeral::Error::Full { .. } => Error::Full(full.to_string()),
            // Nobody hears it: the answer has no connection to go by.
            ended @ muster_ephemeral::Error::ConnectionEnded { .. } => Error::Internal(ended.to_string()),
            muster_ephemeral::Error::InstanceNotFound { service, key } => Error::InstanceNotFound { service, key },
        }
    }
}

impl From<TimingsError> for Error {
    fn from(_: TimingsError) -> Self {
        Error::Timings
    }
}
