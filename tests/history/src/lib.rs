//! Histories: what concurrent clients did, when, and what they were told; and checkers of them.
//!
//! A [`History`] is a list of [`Event`]s in a file of JSON lines, written by whoever drives the clients: the runner over real
//! processes, or a simulation. Times are microseconds since the beginning, by one clock that never goes back; nothing here
//! reads a clock.
//!
//! | question | checker |
//! | --- | --- |
//! | Is there one order of all writes and strong reads that explains every answer? | [`linearizable`] |
//! | Is everything acknowledged there in the end, and nothing that was refused? | [`sets`] |
//! | Does nothing that lives leave a list, and nothing dead stay? | [`lives`] |
//! | Does a node ever show a client an older list after a newer one? | [`forward`] |
//! | Do all nodes agree in the end? | [`agreement`] |
//!
//! An outcome is one of three. *Done* and *refused* are sure; whatever is not is [`Outcome::Unknown`], which may take effect at
//! any later time or never. A checker answers a [`Verdict`]: it holds, it is broken and by what, or it could not be decided
//! within the bounds given, which is never passed off as well.

pub mod agreement;
mod event;
pub mod forward;
mod journal;
pub mod linearizable;
pub mod lives;
pub mod sets;
mod verdict;

pub use event::{Call, Edit, Event, Heard, List, Operation, Outcome, Time, Value};
pub use journal::History;
pub use verdict::{Checked, Report, Verdict};
