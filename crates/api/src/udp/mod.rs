//! UDP push: renders snapshots into datagrams, sends them, reads the acks.

use muster_push::{Delivery, Handed, Push, Sink};
use muster_runtime::Tasks;
use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Addresses pushes may go to, as CIDR blocks; empty allows all.
    pub allowed: Vec<String>,
}

/// The one socket that pushes leave from and acks come to.
#[derive(Clone)]
pub struct UdpPush {
    _skeleton: (),
}

impl UdpPush {
    /// # Errors
    /// The address cannot be bound, or `allowed` holds what is not a network.
    pub fn bind(config: Config) -> std::io::Result<Self> {
        let _ = config;
        todo!("skeleton")
    }

    pub fn local_addr(&self) -> SocketAddr {
        todo!("skeleton")
    }

    /// Reads acks and hands them to `push` until shutdown.
    pub fn receive_acks(&self, push: Push, tasks: &Tasks) {
        let _ = (push, tasks);
        todo!("skeleton")
    }
}

impl Sink for UdpPush {
    fn deliver(&self, delivery: &Delivery) -> Handed {
        let _ = delivery;
        todo!("skeleton")
    }
}
