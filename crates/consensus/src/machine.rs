//! What the crate above must be able to do with the committed log.

use bytes::Bytes;
use muster_model::MemberId;
use std::io;

/// A place in the log. `term` and `leader` together name the leadership that wrote the entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LogPosition {
    pub term: u64,
    pub leader: MemberId,
    pub index: u64,
}

/// How far a state has come, and what this crate keeps beside it (the group's membership), opaque to the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    pub position: LogPosition,
    pub note: Bytes,
}

/// One committed command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub index: u64,
    pub command: Bytes,
}

/// The replicated state. One caller at a time applies; `applied` and `freeze` may be called meanwhile.
///
/// Applying is deterministic: same entries, same state, same responses, on every member and after every restart. A state
/// machine that cannot go on says so by an `Err`, which stops the node.
pub trait StateMachine: Send + Sync + 'static {
    /// How far this state is, after a start what was found on disk; `None` for the empty state.
    fn applied(&self) -> Option<Applied>;

    /// Applies committed commands in order; answers one response per entry. `applied` is how far the state is afterwards;
    /// `entries` may be empty when only the position or the note moves.
    ///
    /// # Errors
    /// An error that makes going on impossible. An entry that asks for the impossible is a response, not an error.
    fn apply(&self, entries: Vec<Entry>, applied: Applied) -> io::Result<Vec<Bytes>>;

    /// A consistent view of the state now, to be written later and elsewhere; cheap.
    fn freeze(&self) -> Box<dyn Frozen>;

    /// Replaces the state by one that [`Frozen::write_to`] wrote. All or nothing.
    ///
    /// # Errors
    /// An unreadable source; the state is then as it was.
    fn restore(&self, source: &mut dyn io::Read, applied: Applied) -> io::Result<()>;
}

/// A state held still.
pub trait Frozen: Send {
    /// How far the state was when it was frozen; `None` for the empty state.
    fn applied(&self) -> Option<Applied>;

    /// Writes the state, in a format whose first bytes tell its version.
    ///
    /// # Errors
    /// Those of the sink.
    fn write_to(self: Box<Self>, sink: &mut dyn io::Write) -> io::Result<()>;
}
