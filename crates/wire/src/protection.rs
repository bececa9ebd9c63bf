//! Whether clients are shown all instances as healthy, for operators who want to know what is.

use crate::list::{self, Clusters};
use muster_model::ServiceSnapshot;

/// Whom the protection threshold shows other healths than there are. Judged over all clusters; a client that asks for some
/// of them is judged by those.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Lists over HTTP and in datagrams: 1.4's rule.
    pub http: bool,
    /// Lists over gRPC: 2.x's rule.
    pub grpc: bool,
}

impl Protection {
    pub fn of(snapshot: &ServiceSnapshot) -> Self {
        let all = Clusters::parse("");
        Self {
            http: list::protected(snapshot, &all),
            grpc: crate::grpc::protected(snapshot, &all),
        }
    }
}
