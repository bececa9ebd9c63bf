//! Why a call has no answer.

use std::time::Duration;

/// Why a proposal has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was done. Worded as Nacos 2 words it, because clients and scripts look for it.
    #[error("did not find the Leader node: no leader for {waited:?}")]
    NoLeader { waited: Duration },
    /// It may be carried out yet. A retry under the same idempotence key is harmless.
    #[error("outcome unknown: no majority answered within {waited:?}")]
    OutcomeUnknown { waited: Duration },
    /// Nothing was done; too many proposals wait already.
    #[error("too many writes are waiting ({waiting})")]
    Overloaded { waiting: usize },
    /// Nothing was done; this member is stopping or has stopped.
    #[error("this node takes no part in consensus: {0}")]
    Stopped(String),
}

impl ProposeError {
    /// The value of the metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            ProposeError::NoLeader { .. } => "no_leader",
            ProposeError::OutcomeUnknown { .. } => "unknown",
            ProposeError::Overloaded { .. } => "overloaded",
            ProposeError::Stopped(_) => "stopped",
        }
    }
}

/// Why a membership change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberChangeError {
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error("{0}")]
    Refused(String),
}
