//! Whatever a peer sends, the node stays up and its store as it was.

use super::cluster::*;
use crate::leaf::LEAVES;
use crate::wire::{Batch, DigestAsked, FetchAsked, HASHES_MAX, Pair, Seen, ServiceRecords, WireRecord, encode};
use bytes::Bytes;
use muster_model::MemberId;
use muster_transport::memory::Network;
use muster_transport::{Error, Route, Transport};
use std::time::Duration;

fn batch(change: impl Fn(&mut ServiceRecords, &mut WireRecord)) -> Bytes {
    let mut service = ServiceRecords {
        namespace: "public".into(),
        group: "DEFAULT_GROUP".into(),
        name: "a".into(),
        records: Vec::new(),
    };
    let mut record = WireRecord {
        host: "10.9.9.9".into(),
        port: 9,
        stamp: (1_700_000_000_000 + 60_000) << 16,
        origin: 2,
        weight: 1.0,
        healthy: true,
        metadata: vec![Pair {
            key: "k".into(),
            value: "v".into(),
        }],
        ..WireRecord::default()
    };
    change(&mut service, &mut record);
    service.records.push(record);
    encode(&Batch {
        services: vec![service],
    })
}

#[tokio::test(start_paused = true)]
async fn garbage_on_every_route_is_refused_and_changes_nothing() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let s = service("a");
    nodes[0].store.register(&s, instance(1)).unwrap();
    millis(50).await;
    let before = nodes[0].store.digest();
    let noise = Bytes::from_static(&[0xff; 64]);
    let mut cases = vec![
        (Route::EphemeralDelta, batch(|_, record| record.host = "a b".into())),
        (Route::EphemeralDelta, batch(|_, record| record.host = String::new())),
        (Route::EphemeralDelta, batch(|_, record| record.port = 70_000)),
        (Route::EphemeralDelta, batch(|_, record| record.weight = f64::NAN)),
        (Route::EphemeralDelta, batch(|_, record| record.stamp = u64::MAX)),
        (Route::EphemeralDelta, batch(|_, record| record.gone = 7)),
        (Route::EphemeralDelta, batch(|_, record| record.cluster = "a_b".into())),
        (Route::EphemeralDelta, batch(|service, _| service.name = "a@@b".into())),
        (
            Route::EphemeralDelta,
            batch(|service, _| service.namespace = String::new()),
        ),
        (
            Route::EphemeralDelta,
            batch(|service, record| service.records = vec![record.clone(); 5_000]),
        ),
        (
            Route::EphemeralSeen,
            encode(&Seen {
                hashes: vec![1, 2],
                ages_ms: vec![1],
                asks: false,
                by_clients: Vec::new(),
            }),
        ),
        (
            Route::EphemeralSeen,
            encode(&Seen {
                hashes: vec![0; HASHES_MAX + 1],
                ages_ms: Vec::new(),
                asks: true,
                by_clients: Vec::new(),
            }),
        ),
        (
            Route::EphemeralSeen,
            encode(&Seen {
                hashes: vec![1, 2],
                ages_ms: vec![1, 1],
                asks: false,
                by_clients: vec![2],
            }),
        ),
        (
            Route::EphemeralDigest,
            encode(&DigestAsked {
                leaves: vec![1; 3],
                ..DigestAsked::default()
            }),
        ),
        (
            Route::EphemeralDigest,
            encode(&DigestAsked {
                leaves: vec![1; LEAVES],
                first_leaf: u32::MAX,
                ..DigestAsked::default()
            }),
        ),
        (
            Route::EphemeralFetch,
            encode(&FetchAsked {
                hashes: vec![0; HASHES_MAX + 1],
            }),
        ),
    ];
    for route in [
        Route::EphemeralDelta,
        Route::EphemeralSeen,
        Route::EphemeralDigest,
        Route::EphemeralFetch,
        Route::EphemeralSnapshot,
    ] {
        cases.push((route, noise.clone()));
        cases.push((route, Bytes::from(vec![0x0a; 17 << 20])));
    }
    for (index, (route, body)) in cases.into_iter().enumerate() {
        let answer = nodes[1]
            .transport
            .call(MemberId(1), route, body, Duration::from_secs(1))
            .await;
        assert!(
            matches!(answer, Err(Error::Failed { .. })),
            "case {index} on {route:?}: {answer:?}"
        );
    }
    assert_eq!(nodes[0].store.digest(), before);
    assert_eq!(nodes[0].ports(&s), [1]);
    let well = nodes[1]
        .transport
        .call(
            MemberId(1),
            Route::EphemeralDelta,
            batch(|_, _| {}),
            Duration::from_secs(1),
        )
        .await;
    assert!(well.is_ok(), "and what is well formed is taken: {well:?}");
    assert_eq!(nodes[0].ports(&s), [1, 9]);
}

#[tokio::test(start_paused = true)]
async fn random_bytes_and_truncated_messages_never_panic() {
    let network = Network::new();
    let nodes = ready_cluster(&network, 2).await;
    let whole = batch(|_, _| {});
    for route in [
        Route::EphemeralDelta,
        Route::EphemeralSeen,
        Route::EphemeralDigest,
        Route::EphemeralFetch,
        Route::EphemeralSnapshot,
    ] {
        for cut in 0..whole.len() {
            let mut body = whole[..cut].to_vec();
            if let Some(byte) = body.get_mut(cut / 2) {
                *byte = byte.wrapping_mul(31).wrapping_add(cut as u8);
            }
            // Any answer will do, as long as there is one.
            let answer = nodes[1]
                .transport
                .call(MemberId(1), route, body.into(), Duration::from_secs(1))
                .await;
            assert!(!matches!(answer, Err(Error::NoAnswer { .. })));
        }
    }
    assert!(nodes[0].is_ready() && !nodes[0].tasks.shutdown().has_begun());
}
