//! What a command came to, and how that is told to its proposer.

use crate::command::Action;
use crate::record::Malformed;
use crate::{Rejection, WriteError};
use bytes::Bytes;
use prost::Message;

/// What a command came to. The proposer knows what it asked for, so that no names travel back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Changed,
    /// Well, and as it was before.
    Unchanged,
    ServiceExists,
    ServiceNotFound,
    ServiceNotEmpty,
    InstanceNotFound,
}

impl Outcome {
    pub(crate) fn to_number(self) -> u32 {
        match self {
            Outcome::Changed => 1,
            Outcome::Unchanged => 2,
            Outcome::ServiceExists => 3,
            Outcome::ServiceNotFound => 4,
            Outcome::ServiceNotEmpty => 5,
            Outcome::InstanceNotFound => 6,
        }
    }

    pub(crate) fn from_number(number: u32) -> Result<Self, Malformed> {
        Ok(match number {
            1 => Outcome::Changed,
            2 => Outcome::Unchanged,
            3 => Outcome::ServiceExists,
            4 => Outcome::ServiceNotFound,
            5 => Outcome::ServiceNotEmpty,
            6 => Outcome::InstanceNotFound,
            other => return Err(Malformed(format!("outcome {other} is not known"))),
        })
    }
}

/// The answer to a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Response {
    Done {
        /// Where the command took effect; of a retry, where its first copy did.
        index: u64,
        outcome: Outcome,
    },
    Unknown(String),
}

/// Longest explanation of an unknown command, in characters.
const EXPLANATION_CHARS_MAX: usize = 200;

#[derive(Clone, PartialEq, Message)]
struct ResponseRecord {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(uint32, tag = "2")]
    outcome: u32,
    /// Why a command was not understood; `outcome` is 0 then.
    #[prost(string, tag = "3")]
    explanation: String,
}

impl Response {
    pub(crate) fn encode(&self) -> Bytes {
        let record = match self {
            Response::Done { index, outcome } => ResponseRecord {
                index: *index,
                outcome: outcome.to_number(),
                explanation: String::new(),
            },
            Response::Unknown(explanation) => ResponseRecord {
                index: 0,
                outcome: 0,
                explanation: explanation.chars().take(EXPLANATION_CHARS_MAX).collect(),
            },
        };
        record.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let record = ResponseRecord::decode(bytes).map_err(|error| Malformed(error.to_string()))?;
        if record.outcome == 0 {
            return Ok(Response::Unknown(record.explanation));
        }
        Ok(Response::Done {
            index: record.index,
            outcome: Outcome::from_number(record.outcome)?,
        })
    }

    /// The answer in the words of who asked for `action`: the index and whether anything changed.
    pub(crate) fn to_caller(&self, action: &Action) -> Result<(u64, bool), WriteError> {
        let (index, outcome) = match self {
            Response::Done { index, outcome } => (*index, *outcome),
            Response::Unknown(explanation) => return Err(Rejection::UnknownCommand(explanation.clone()).into()),
        };
        let service = action.service();
        Err(WriteError::Rejected(match (outcome, service) {
            (Outcome::Changed, _) => return Ok((index, true)),
            (Outcome::Unchanged, _) => return Ok((index, false)),
            (Outcome::ServiceExists, Some(service)) => Rejection::ServiceExists(service.clone()),
            (Outcome::ServiceNotFound, Some(service)) => Rejection::ServiceNotFound(service.clone()),
            (Outcome::ServiceNotEmpty, Some(service)) => Rejection::ServiceNotEmpty(service.clone()),
            (Outcome::InstanceNotFound, Some(service)) => match action {
                Action::Register(_, instance) => Rejection::InstanceNotFound {
                    service: service.clone(),
                    key: instance.key.clone(),
                },
                Action::Deregister(_, key) | Action::Edit(_, key, _) => Rejection::InstanceNotFound {
                    service: service.clone(),
                    key: key.clone(),
                },
                _ => Rejection::UnknownCommand(format!("answered {outcome:?}")),
            },
            (_, None) => Rejection::UnknownCommand(format!("answered {outcome:?}")),
        }))
    }
}
