//! A disk that does its worst, for tests and simulations.
//!
//! - [`FaultyDisk`] is a file system: it forgets what was not synced, tears writes, runs full, fails to sync, and loses power
//!   in the middle of whatever operation it was told to.
//! - It also keeps the tables of checkpoints ([`Tables`](crate::Tables)), which after a loss of power are at an earlier seal or
//!   damaged, as sled's are.
//!
//! What happens comes from its seed and from the calls made, so the same calls meet the same fate.

mod disk;
mod random;
mod table;

pub use disk::FaultyDisk;
