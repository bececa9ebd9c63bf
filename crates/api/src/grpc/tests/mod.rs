//! The door over loopback, with tonic's client on the other side.

mod asking;
mod client;
mod connecting;
mod draining;
mod ending;
mod hostile;
mod idle;
mod naming;
mod pushing;
mod rig;
