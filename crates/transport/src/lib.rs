//! Calls between members.
//!
//! A call carries one body to one [`Route`] of one member and brings one body back. The crates above put their own
//! messages into the body; they register a [`Handler`] per route. Two implementations stand behind [`Transport`]:
//! [`grpc`] between processes, [`memory`] inside one process for tests, which can cut, delay and drop.
//!
//! Every call names its caller, its receiver and its cluster; a receiver that is not who the caller means refuses, so a
//! node that took over an address is never taken for the one that had it.

pub mod grpc;
pub mod memory;
mod route;

pub use route::{Lane, Route};

use bytes::Bytes;
use muster_model::MemberId;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future behind a pointer; the traits here are used as objects.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Why a call brought nothing back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody is known under this id.
    #[error("member {0} is not known")]
    UnknownMember(MemberId),
    /// No connection; the call was not delivered.
    #[error("member {member} is unreachable: {reason}")]
    Unreachable { member: MemberId, reason: String },
    /// No answer in time, or the connection broke meanwhile; the call may have been carried out.
    #[error("no answer from member {member}: {reason}")]
    NoAnswer { member: MemberId, reason: String },
    /// The receiver is another member or of another cluster.
    #[error("refused by the node at that address: {0}")]
    WrongPeer(String),
    /// The receiver serves this route later, or not any more.
    #[error("member {0} is not ready")]
    NotReady(MemberId),
    /// The receiver's handler failed.
    #[error("member {member} failed: {text}")]
    Failed { member: MemberId, text: String },
}

impl Error {
    /// Whether the receiver certainly did not carry the call out.
    pub fn is_not_delivered(&self) -> bool {
        !matches!(self, Error::NoAnswer { .. } | Error::Failed { .. })
    }
}

/// Why a handler has no answer; becomes [`Error::NotReady`] or [`Error::Failed`] at the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerError {
    NotReady,
    Failed(String),
}

/// Serves one route.
pub trait Handler: Send + Sync + 'static {
    fn handle(&self, from: MemberId, body: Bytes) -> Boxed<Result<Bytes, HandlerError>>;
}

impl<F, Fut> Handler for F
where
    F: Fn(MemberId, Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Bytes, HandlerError>> + Send + 'static,
{
    fn handle(&self, from: MemberId, body: Bytes) -> Boxed<Result<Bytes, HandlerError>> {
        Box::pin(self(from, body))
    }
}

/// Calls to other members. Used as `Arc<dyn Transport>`.
pub trait Transport: Send + Sync + 'static {
    /// The member that calls.
    fn local(&self) -> MemberId;

    /// Calls `route` of member `to` and waits at most `within`.
    fn call(&self, to: MemberId, route: Route, body: Bytes, within: Duration) -> Boxed<Result<Bytes, Error>>;

    /// Serves `route` from now on; a later handler replaces an earlier one. Until then the route answers not ready.
    fn serve(&self, route: Route, handler: Arc<dyn Handler>);

    /// The members that can be called, with their peer addresses, from now on. Changed addresses drop connections.
    fn set_peers(&self, peers: Vec<(MemberId, String)>);
}
