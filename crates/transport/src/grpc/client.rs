//! The calling side: one peer and its connections.

use super::proto::peer_client::PeerClient;
use super::proto::{self, refusal, reply};
use super::{BODY_BYTES_MAX, CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::{Error, Lane};
use bytes::Bytes;
use muster_model::MemberId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Status};

/// A member at one address.
pub(super) struct Peer {
    member: MemberId,
    address: String,
    /// Where connections live, whoever calls first.
    runtime: Handle,
    /// Opened lazily; a channel reconnects by itself when its connection breaks.
    channels: Mutex<BTreeMap<Lane, Channel>>,
}

impl Peer {
    pub(super) fn new(member: MemberId, address: String, runtime: Handle) -> Self {
        Self {
            member,
            address,
            runtime,
            channels: Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn call(&self, lane: Lane, request: proto::Request, within: Duration) -> Result<Bytes, Error> {
        let channel = self.channel(lane)?;
        let mut client = PeerClient::new(channel)
            .max_decoding_message_size(BODY_BYTES_MAX)
            .max_encoding_message_size(BODY_BYTES_MAX);
        match tokio::time::timeout(within, client.call(Request::new(request))).await {
            Ok(Ok(reply)) => self.outcome(reply.into_inner()),
            Ok(Err(status)) => Err(self.broken(&status)),
            Err(_) => Err(Error::NoAnswer {
                member: self.member,
                reason: format!("none in {within:?}"),
            }),
        }
    }

    fn channel(&self, lane: Lane) -> Result<Channel, Error> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(&lane) {
            return Ok(channel.clone());
        }
        let _in_runtime = self.runtime.enter();
        let channel = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|error| self.unreachable(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_lazy();
        channels.insert(lane, channel.clone());
        Ok(channel)
    }

    fn outcome(&self, reply: proto::Reply) -> Result<Bytes, Error> {
        match reply.outcome {
            Some(reply::Outcome::Body(body)) => Ok(body),
            Some(reply::Outcome::Refusal(refusal)) => Err(match refusal.reason() {
                refusal::Reason::WrongCluster | refusal::Reason::WrongMember => Error::WrongPeer(refusal.text),
                refusal::Reason::NotReady => Error::NotReady(self.member),
                refusal::Reason::UnknownRoute | refusal::Reason::Failed | refusal::Reason::Unspecified => {
                    Error::Failed {
                        member: self.member,
                        text: refusal.text,
                    }
                }
            }),
            None => Err(Error::Failed {
                member: self.member,
                text: "empty reply".into(),
            }),
        }
    }

    /// A call that ended without a reply. Only a connection that could not be opened proves that nothing arrived.
    fn broken(&self, status: &Status) -> Error {
        if never_connected(status) {
            return self.unreachable(status.message().to_owned());
        }
        let reason = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => Error::Failed {
                member: self.member,
                text: reason,
            },
            _ => Error::NoAnswer {
                member: self.member,
                reason,
            },
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable {
            member: self.member,
            reason,
        }
    }
}

fn never_connected(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
