//! Who watches names of services by pattern.

use muster_model::ConnectionId;
use muster_runtime::Tasks;

/// The fuzzy watches of this node's connections. One per node.
pub(in crate::grpc) struct Watches {
    _tasks: Tasks,
}

impl Watches {
    pub(in crate::grpc) fn new(tasks: Tasks) -> Self {
        Self { _tasks: tasks }
    }

    /// The connection is gone, and its watches with it. Not called, they end at the next thing there is to tell, or
    /// within seconds.
    pub(in crate::grpc) fn ended(&self, connection: ConnectionId) {
        let _ = connection;
    }
}
