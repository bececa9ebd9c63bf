//! The binary: load settings, build the parts, join them, signals, the order of shutdown, exit code.
//!
//! - [`settings`]: one typed tree from defaults, file, environment and flags.
//! - [`core`]: the parts of a node behind its client doors, in the order they need each other.
//! - [`node`]: one node, its core and its client doors.
//! - [`shutdown`]: the end of the day, step by step.
//! - [`dev`]: a three-node cluster of real processes on this machine.
//!
//! No rules of naming live here.

pub mod addresses;
mod client_doors;
pub mod core;
pub mod dev;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod server_command;
pub mod settings;
pub mod shutdown;
pub mod signals;
