//! Why a write did not happen.

use muster_consensus::ProposeError;
use muster_model::{InstanceKey, ServiceKey};

/// What the state machine refused, the same on every member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("service {0} exists already")]
    ServiceExists(ServiceKey),
    #[error("service {0} not found")]
    ServiceNotFound(ServiceKey),
    #[error("service {0} still has instances")]
    ServiceNotEmpty(ServiceKey),
    #[error("instance {key} of {service} not found")]
    InstanceNotFound { service: ServiceKey, key: InstanceKey },
    /// The command is of a newer version than this member knows, or is not one.
    #[error("unknown command: {0}")]
    UnknownCommand(String),
}

/// Why a write has not happened, or is not known to have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
}
