//! Which members exist and live, and which of them answers for an ephemeral client.
//!
//! The list of members is handed in (by `server`, at first as configured, then as the group keeps it: only that one makes a
//! member); liveness is found here, by pings both ways: a peer that we reach but that does not reach us does not count as alive
//! (reference D3). Works without a Raft leader.
//!
//! - [`View`] says who lives, whether this one belongs to the group and sees a majority of it, and who answers for a client:
//!   the living member with the highest hash of client and member together (rendezvous hashing).
//! - A view's epoch moves whenever somebody comes to life, dies, joins or leaves; responsibilities may have moved then.
//! - Every ping carries the sender's hybrid time, so that clocks that disagree still order causes before effects.

mod config;
mod door;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod metrics;
mod ping;
mod pinger;
mod roll;
#[cfg(test)]
mod tests;
mod view;

pub use config::Config;
pub use door::Membership;
pub use view::{MemberView, Responsibility, View};
