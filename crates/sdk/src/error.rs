//! Why a call failed.

use std::path::PathBuf;

/// Why a call brought no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration names no server, or one that is not `host:port`.
    #[error("{0:?} is not a server address such as 127.0.0.1:8848")]
    BadServer(String),
    /// A server is named by `https` and the configuration does not say whom to trust.
    #[error("{0} speaks TLS and no authority is named that vouches for it")]
    NoAuthority(String),
    /// A file of certificates or keys cannot be used.
    #[error("{path}: {reason}")]
    BadFile {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No server could be reached, or none was ready; nothing was done.
    #[error("no server answered: {}", tried.join("; "))]
    Unreachable {
        /// Each server that was tried, and how it failed.
        tried: Vec<String>,
    },
    /// A server got the call and did not answer; it may have been carried out, and repeating it may not be harmless.
    #[error("{server} did not answer, the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// The server that was asked.
        server: String,
        /// How it failed.
        reason: String,
    },
    /// A server answered that it does not do this.
    #[error("{server} answered {status}: {message}")]
    Refused {
        /// The server that answered.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// A server answered with what this library does not understand.
    #[error("{server} answered with something unexpected: {reason}")]
    BadAnswer {
        /// The server that answered.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket for pushes failed.
    #[error("socket for pushes: {0}")]
    Socket(#[from] std::io::Error),
}

impl Error {
    /// Whether the server answered that what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Refused { status: 404, .. })
    }
}
