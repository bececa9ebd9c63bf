//! One connection of the load to a server.

use super::scenario::Door;
use crate::{grpc, http};
use anyhow::Result;
use std::net::SocketAddr;

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
}
