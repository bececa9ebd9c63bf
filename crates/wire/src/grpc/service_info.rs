//! The list of a service as gRPC clients read it: in the answers to a query and a subscription, and in every push.
//!
//! A list is rendered once per snapshot, cluster filter and `healthyOnly`, and kept with the snapshot; each answer copies
//! it between its own few members. A push is kept whole, so that all its subscribers share it, and the list within it is
//! the one that answers are made of.
//!
//! `lastRefTime`: Go and Python drop a list whose time is not above that of the one they hold, Java and Rust one whose time
//! is below. Two things follow.
//!
//! - A push carries its snapshot's stamp, which grows strictly from one list of a service to the next.
//! - An *answer* must look fresh each time, or Go and Python, which poll, ask again each second. It carries the millisecond
//!   before the one in which its snapshot was taken, or the snapshot's stamp where that is later ([`answer_time_ms`]). A
//!   list that comes after was folded no earlier, so its stamp is above: an older list never looks newer than a newer push.

use crate::list::{Clusters, Text, grouped_name, host_fields};
use bytes::Bytes;
use muster_model::{Instance, RenderKey, ServiceKey, ServiceSettings, ServiceSnapshot};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeStruct, Serializer};
use std::io::Write;

/// The type of a push.
pub const NOTIFY_SUBSCRIBER_REQUEST: &str = "NotifySubscriberRequest";

/// Renderings of a snapshot are told apart by number: 0x100 and what follows are HTTP's and UDP's, these are gRPC's.
const DIALECT: u16 = 0x300;
const DIALECT_HEALTHY_ONLY: u16 = 0x301;
const DIALECT_PUSH: u16 = 0x302;

/// When clients are to ask again, Nacos's `SwitchDomain` default. Go and Python poll at it, Rust at six times it, whatever
/// is pushed; 1,000 would make a storm of queries.
const CACHE_MS: u64 = 10_000;

/// What a caller wants of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InfoFilter<'a> {
    /// A comma list verbatim, empty for all; echoed byte for byte, because it is part of the client's cache key.
    pub clusters: &'a str,
    pub healthy_only: bool,
}

/// `lastRefTime` of an answer whose snapshot was taken after the node's clock showed `before_ms`.
pub fn answer_time_ms(snapshot: &ServiceSnapshot, before_ms: u64) -> u64 {
    before_ms.saturating_sub(1).max(snapshot.stamp_ms)
}

/// A `QueryServiceResponse`.
pub fn query_service_response(snapshot: &ServiceSnapshot, filter: &InfoFilter<'_>, time_ms: u64) -> Bytes {
    let head = r#"{"resultCode":200,"errorCode":0,"serviceInfo":"#;
    answer(head, &list(snapshot, filter), time_ms)
}

/// A `SubscribeServiceResponse`, to subscribing and unsubscribing alike.
pub fn subscribe_service_response(snapshot: &ServiceSnapshot, filter: &InfoFilter<'_>, time_ms: u64) -> Bytes {
    let head = r#"{"resultCode":200,"errorCode":0,"message":"success","serviceInfo":"#;
    answer(head, &list(snapshot, filter), time_ms)
}

fn answer(head: &str, list: &[u8], time_ms: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(head.len() + list.len() + 48);
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(list);
    write!(bytes, r#"{time_ms}}},"success":true}}"#).expect("Vec takes all");
    Bytes::from(bytes)
}

/// A push of `snapshot` to whoever subscribes to `clusters`: a whole encoded [`Payload`](super::Payload) with a
/// `NotifySubscriberRequest` whose request id is `token`. All subscribers that share the token share the bytes.
pub fn notify_payload(snapshot: &ServiceSnapshot, clusters: &str, token: u64) -> Bytes {
    let push = RenderKey {
        dialect: DIALECT_PUSH,
        // The token is in the bytes.
        filter: format!("{token:x} {clusters}").into(),
    };
    snapshot.renders.get_or_render(&push, || {
        let filter = InfoFilter {
            clusters,
            healthy_only: false,
        };
        let mut rendered_here = None;
        // Where nobody has rendered the list yet, the one within the push is kept for the answers to come.
        let list = snapshot.renders.get_or_render(&list_key(&filter), || {
            let (whole, list) = wrapped(&render(snapshot, &filter), snapshot.stamp_ms, token);
            rendered_here = Some(whole);
            list
        });
        rendered_here.unwrap_or_else(|| wrapped(&list, snapshot.stamp_ms, token).0)
    })
}

/// A push as an encoded payload, and the list within it.
fn wrapped(list: &[u8], stamp_ms: u64, token: u64) -> (Bytes, Bytes) {
    let head = format!(r#"{{"headers":{{}},"requestId":"{token}","serviceInfo":"#);
    let tail = format!(r#"{stamp_ms}}},"module":"naming"}}"#);
    let field = |tag: u32, content: usize| key_len(tag) + encoded_len_varint(content as u64) + content;
    let open = |tag: u32, content: usize, bytes: &mut Vec<u8>| {
        encode_key(tag, WireType::LengthDelimited, bytes);
        encode_varint(content as u64, bytes);
    };
    // Payload { 2: Metadata { 3: type }, 3: Any { 2: JSON } }
    let body = head.len() + list.len() + tail.len();
    let metadata = field(3, NOTIFY_SUBSCRIBER_REQUEST.len());
    let any = field(2, body);
    let mut bytes = Vec::with_capacity(field(2, metadata) + field(3, any));
    open(2, metadata, &mut bytes);
    open(3, NOTIFY_SUBSCRIBER_REQUEST.len(), &mut bytes);
    bytes.extend_from_slice(NOTIFY_SUBSCRIBER_REQUEST.as_bytes());
    open(3, any, &mut bytes);
    open(2, body, &mut bytes);
    bytes.extend_from_slice(head.as_bytes());
    let begins = bytes.len();
    bytes.extend_from_slice(list);
    bytes.extend_from_slice(tail.as_bytes());
    let bytes = Bytes::from(bytes);
    let list = bytes.slice(begins..begins + list.len());
    (bytes, list)
}

fn list_key(filter: &InfoFilter<'_>) -> RenderKey {
    RenderKey {
        dialect: if filter.healthy_only {
            DIALECT_HEALTHY_ONLY
        } else {
            DIALECT
        },
        filter: filter.clusters.into(),
    }
}

/// The list, up to where its `lastRefTime` goes.
fn list(snapshot: &ServiceSnapshot, filter: &InfoFilter<'_>) -> Bytes {
    let render = || Bytes::from(render(snapshot, filter));
    snapshot.renders.get_or_render(&list_key(filter), render)
}

/// `{…,"lastRefTime":`, for the number and a brace to follow.
fn render(snapshot: &ServiceSnapshot, filter: &InfoFilter<'_>) -> Vec<u8> {
    let clusters = Clusters::parse(filter.clusters);
    let mut bytes = Vec::with_capacity(256 + 448 * snapshot.instances.len().min(4_096));
    let info = Info {
        snapshot,
        filter,
        protected: protected(snapshot, &clusters),
        clusters,
    };
    serde_json::to_writer(&mut bytes, &info).expect("a list has only text for keys, and Vec takes all");
    let brace = bytes.pop();
    debug_assert_eq!(brace, Some(b'}'));
    bytes.extend_from_slice(br#","lastRefTime":"#);
    bytes
}

/// Whether so few of the listed are healthy that all are shown as healthy. Nacos 2's rule: only where something was said of
/// the service; then `<=` protects a service without one healthy instance at the threshold 0, too.
///
/// 1.4's rule, which HTTP lists keep, has no such condition. Protection is judged before `healthyOnly`, as it is there.
pub(crate) fn protected(snapshot: &ServiceSnapshot, clusters: &Clusters<'_>) -> bool {
    if *snapshot.settings == ServiceSettings::default() {
        return false;
    }
    let (mut total, mut healthy) = (0, 0);
    for instance in snapshot.instances.iter().filter(|one| is_listed(one, clusters)) {
        total += 1;
        healthy += usize::from(instance.healthy);
    }
    snapshot.settings.protects(healthy, total)
}

fn is_listed(instance: &Instance, clusters: &Clusters<'_>) -> bool {
    instance.enabled && clusters.admit(instance)
}

struct Info<'a> {
    snapshot: &'a ServiceSnapshot,
    filter: &'a InfoFilter<'a>,
    clusters: Clusters<'a>,
    protected: bool,
}

impl Serialize for Info<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = &self.snapshot.key;
        let mut info = serializer.serialize_struct("ServiceInfo", 10)?;
        info.serialize_field("name", key.name().as_str())?;
        info.serialize_field("groupName", key.group().as_str())?;
        info.serialize_field("clusters", self.filter.clusters)?;
        info.serialize_field("cacheMillis", &CACHE_MS)?;
        info.serialize_field("hosts", &Hosts(self))?;
        info.serialize_field("checksum", "")?;
        // 2.x reads the one, 3.x the other.
        info.serialize_field("allIPs", &false)?;
        info.serialize_field("allIps", &false)?;
        info.serialize_field("reachProtectionThreshold", &self.protected)?;
        info.serialize_field("valid", &true)?;
        info.end()
    }
}

struct Hosts<'a>(&'a Info<'a>);

impl Serialize for Hosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = self.0;
        let service = &info.snapshot.key;
        let mut hosts = serializer.serialize_seq(None)?;
        for instance in info
            .snapshot
            .instances
            .iter()
            .filter(|one| is_listed(one, &info.clusters))
        {
            let healthy = instance.healthy || info.protected;
            if healthy || !info.filter.healthy_only {
                hosts.serialize_element(&Host {
                    service,
                    instance,
                    healthy,
                })?;
            }
        }
        hosts.end()
    }
}

struct Host<'a> {
    service: &'a ServiceKey,
    instance: &'a Instance,
    healthy: bool,
}

impl Serialize for Host<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut host = serializer.serialize_struct("Instance", 14)?;
        let shown = Text(grouped_name(self.service));
        host_fields::<S>(&mut host, self.service, self.instance, self.healthy, &shown)?;
        host.end()
    }
}

#[cfg(test)]
mod tests;
