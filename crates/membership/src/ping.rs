//! The message that members exchange, as question and as answer alike.

use bytes::Bytes;
use muster_model::{MemberId, Stamp};
use prost::Message;

/// A stamp later than this is garbage: the year 2286. It keeps a broken peer from driving the hybrid clock into its end.
const STAMP_MS_MAX: u64 = 10_000_000_000_000;
/// More members than any cluster has; longer lists are garbage.
const MEMBERS_MAX: usize = 1_024;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    /// Members that the sender has heard from lately.
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) heard: Vec<u64>,
    #[prost(bool, tag = "2")]
    pub(crate) ready: bool,
    #[prost(fixed64, tag = "3")]
    pub(crate) stamp: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) wall_ms: u64,
}

impl Ping {
    pub(crate) fn parse(body: Bytes) -> Result<Self, String> {
        let ping = Self::decode(body).map_err(|error| format!("not a ping: {error}"))?;
        if ping.stamp().millis() > STAMP_MS_MAX || ping.wall_ms > STAMP_MS_MAX {
            return Err("a ping with a time out of bounds".to_owned());
        }
        if ping.heard.len() > MEMBERS_MAX {
            return Err(format!("a ping that names {} members", ping.heard.len()));
        }
        Ok(ping)
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.stamp)
    }

    pub(crate) fn has_heard(&self, member: MemberId) -> bool {
        self.heard.contains(&member.0)
    }
}
