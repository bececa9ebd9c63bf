//! Stands by itself.

use super::Client;

pub(super) const CLIENTS: &[Client] = &[];
