//! The client library: register, deregister, keep beating, list, watch, and the operator's calls.
//!
//! A [`Client`] knows several servers and stays with one while it answers; a call that one does not answer goes to the next
//! where repeating it is harmless ([`Error`] says when it was not). [`Client::keep_registered`] holds an ephemeral instance
//! registered by beats; [`Client::watch`] hears of changes by UDP push and falls back to polling. Both are driven by their
//! caller: the library starts no tasks of its own.
//!
//! It speaks Nacos's HTTP v1 for naming and muster's own paths for operators. Values in and out are those of
//! `muster_model` and the plain structs of [`answers`].

#![warn(missing_docs)]

mod admin;
pub mod answers;
mod beat;
mod client;
mod connect;
mod error;
mod naming;
mod notice;
mod servers;
mod watch;

pub use admin::MemberChange;
pub use beat::BeatEvent;
pub use client::{Client, Config};
pub use connect::Tls;
pub use error::Error;
pub use naming::{Listed, ServiceRecord};
pub use watch::Watch;

/// How this library names itself; servers push by UDP to agents of this name.
pub const AGENT: &str = concat!("muster-sdk:v", env!("CARGO_PKG_VERSION"));
