//! One connection of the load to a server.

use super::scenario::Door;
use crate::{grpc, http};
use anyhow::Result;
use std::net::SocketAddr;
use std::time::Duration;

/// As often as SDKs check a connection that has nothing to say.
const HEALTH_EVERY: Duration = Duration::from_secs(5);

pub(super) enum Line {
    Http(http::Connection),
    Grpc(Box<grpc::Client>),
}

impl Line {
    pub(super) async fn open(door: Door, server: SocketAddr) -> Result<Self> {
        Ok(match door {
            Door::Http => Self::Http(http::Connection::open(server).await?),
            Door::Grpc => Self::Grpc(Box::new(grpc::Client::connect(server, None).await?)),
        })
    }

    /// A request and its answer; whether the answer says that all is well.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<bool> {
        match self {
            Self::Http(connection) => Ok(connection.exchange(request).await? == 200),
            Self::Grpc(client) => client.exchange(request).await,
        }
    }

    /// Lives as a client does that has nothing to say, until the server ends it.
    pub(super) async fn live(mut self) {
        if let Self::Grpc(client) = &mut self {
            let health = grpc::health_request();
            while client.exchange(&health).await.is_ok() {
                tokio::time::sleep(HEALTH_EVERY).await;
            }
        }
    }
}
