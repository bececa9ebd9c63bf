//! The network between the parts of the world: an end for each node's [`Transport`](muster_transport::Transport), the state
//! of every link, and what is on its way.
//!
//! A node's code runs inside its own runtime and may only post to the shared [`Wire`]; the world takes what was posted
//! after each step, asks the [`Links`] what becomes of it, and puts it among the [`Travelling`]. So the order of all
//! deliveries is the world's alone.

mod end;
mod links;
mod travelling;
mod wire;

pub use end::End;
pub use links::{Fate, Link, Links, Place};
pub use travelling::Travelling;
pub use wire::{Answer, Posted, Wire};
