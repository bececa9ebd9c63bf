//! The bytes of a delivery.

use bytes::Bytes;
use muster_model::RenderKey;
use muster_push::Delivery;
use muster_wire::{Agent, ListFilter, datagram, service_list_for_datagram};

/// This crate's renderings of a snapshot are told apart by number; datagrams are the one kept here, far from the small
/// numbers of the HTTP dialects.
const DIALECT: u16 = 0x0100;

/// `cacheMillis` in a pushed list, as Nacos forces it.
const PUSH_CACHE_MS: u64 = 10_000;

/// Rendered and compressed once per snapshot, cluster filter, kind of agent and token, however many subscribers there
/// are. Empty for a list that fits into no datagram, so that this is found out once, too.
pub(super) fn packet(delivery: &Delivery) -> Bytes {
    let agent = Agent::parse(Some(&delivery.info.agent), None);
    let bare_names = !agent.grouped_names();
    let clusters = &delivery.key.clusters;
    let key = RenderKey {
        dialect: DIALECT + u16::from(bare_names),
        // The token is in the bytes.
        filter: format!("{:x} {clusters}", delivery.token).into(),
    };
    delivery.snapshot.renders.get_or_render(&key, || {
        let list = service_list_for_datagram(
            &delivery.snapshot,
            &ListFilter {
                clusters,
                healthy_only: false,
                cache_ms: PUSH_CACHE_MS,
                bare_names,
            },
        );
        datagram(&list, delivery.token).map_or_else(Bytes::new, Bytes::from)
    })
}
