//! Handshakes over loopback, with authorities made on the spot.

mod doors;
pub(crate) mod papers;
mod renewal;
