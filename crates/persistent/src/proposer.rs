//! Who gets a command committed: consensus, or a test.

use bytes::Bytes;
use muster_consensus::{Committed, Consensus, ProposeError};
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProposeError>> + Send + 'a>>;

/// The part of [`Consensus`] that a write needs.
pub(crate) trait Proposer: Send + Sync + 'static {
    fn propose(&self, command: Bytes, deadline: Instant) -> Answer<'_, Committed>;
    fn read_barrier(&self, deadline: Instant) -> Answer<'_, u64>;
}

impl Proposer for Consensus {
    fn propose(&self, command: Bytes, deadline: Instant) -> Answer<'_, Committed> {
        Box::pin(self.propose(command, deadline))
    }

    fn read_barrier(&self, deadline: Instant) -> Answer<'_, u64> {
        Box::pin(self.read_barrier(deadline))
    }
}
