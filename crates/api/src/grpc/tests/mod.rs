//! The door over loopback, with tonic's client on the other side.

mod client;
mod connecting;
mod draining;
mod ending;
mod hostile;
mod idle;
mod pushing;
mod rig;
