//! One unary request on its way to its handler.

use super::connection::Connection;
use super::messages::Watches;
use bytes::Bytes;
use muster_naming::{Context, Naming};
use std::sync::Arc;

/// A request of a registered connection, as handlers see it.
pub(super) struct Call<'a> {
    pub(super) naming: &'a Naming,
    pub(super) connection: &'a Arc<Connection>,
    /// The node's fuzzy watches.
    pub(super) watches: &'a Watches,
    /// `metadata.headers`: application, access token.
    pub(super) headers: &'a std::collections::HashMap<String, String>,
    /// JSON.
    pub(super) body: &'a Bytes,
    pub(super) context: Context,
    /// The node's wall clock before anything was looked at.
    pub(super) received_ms: u64,
}

/// What goes back: always with the gRPC status OK, for errors live in the JSON.
#[derive(Debug)]
pub(super) struct Answer {
    /// `metadata.type`.
    pub(super) name: &'static str,
    pub(super) body: Bytes,
}
