//! Beats, silence and what they do on one node.

use super::cluster::*;
use crate::{Beat, Config, Error, Rules};
use muster_model::{ChangeId, InstanceEdit};
use muster_transport::memory::Network;
use std::time::Duration;

async fn alone() -> TestNode {
    let node = start(&Network::new(), 1, 1, Config::default());
    assert!(node.is_ready(), "a node without peers is ready at once");
    millis(1).await;
    node
}

#[tokio::test(start_paused = true)]
async fn silence_makes_unhealthy_by_sixteen_and_removes_by_thirty_one_seconds() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    seconds(15).await;
    assert_eq!(node.healthy(&s, 1), Some(true));
    seconds(1).await;
    assert_eq!(node.healthy(&s, 1), Some(false));
    seconds(14).await;
    assert_eq!(node.healthy(&s, 1), Some(false));
    seconds(1).await;
    assert_eq!(node.healthy(&s, 1), None);
    assert_eq!(node.told.count(), 3, "register, mark, remove");
    assert!(node.store.services().is_empty());
    assert_eq!((node.store.counts().instances, node.store.counts().tombstones), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_timings_hold() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, timed(1, 500, 1_000, 2_000)).unwrap();
    assert_eq!(
        node.store.beat(&s, &key(1)),
        Beat::Renewed {
            interval: Duration::from_millis(500)
        }
    );
    millis(1_600).await;
    assert_eq!(node.healthy(&s, 1), Some(false));
    millis(1_000).await;
    assert_eq!(node.healthy(&s, 1), None);
}

#[tokio::test(start_paused = true)]
async fn a_beat_makes_an_unhealthy_instance_healthy_at_once() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    seconds(17).await;
    let told = node.told.count();
    assert!(matches!(node.store.beat(&s, &key(1)), Beat::Renewed { .. }));
    assert_eq!(node.healthy(&s, 1), Some(true));
    assert_eq!(node.told.count(), told + 1);
    node.store.beat(&s, &key(1));
    assert_eq!(node.told.count(), told + 1, "the next beat changes nothing");
}

#[tokio::test(start_paused = true)]
async fn an_equal_registration_renews_and_tells_nobody() {
    let node = alone().await;
    let s = service("a");
    let first = node.store.register(&s, instance(1)).unwrap();
    seconds(10).await;
    assert_eq!(node.store.register(&s, instance(1)).unwrap(), first);
    assert_eq!(node.told.count(), 1);
    seconds(10).await;
    assert_eq!(node.healthy(&s, 1), Some(true));
    let mut other = instance(1);
    other.healthy = false;
    assert_ne!(node.store.register(&s, other).unwrap(), first);
    assert_eq!(
        node.healthy(&s, 1),
        Some(false),
        "the registration says how healthy it is"
    );
    assert_eq!(node.told.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_beat_in_flight_at_deregister_is_swallowed_and_brings_nothing_back() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    assert!(matches!(
        node.store.deregister(&s, &key(1)),
        Some(ChangeId::Ephemeral { .. })
    ));
    assert_eq!(node.store.deregister(&s, &key(1)), None);
    millis(5_900).await;
    assert_eq!(node.store.beat(&s, &key(1)), Beat::JustDeregistered);
    assert_eq!(node.healthy(&s, 1), None);
    millis(200).await;
    assert_eq!(node.store.beat(&s, &key(1)), Beat::Unknown);
    node.store.deregister(&s, &key(2));
    node.store.register(&s, instance(2)).unwrap();
    assert!(
        matches!(node.store.beat(&s, &key(2)), Beat::Renewed { .. }),
        "a registration clears it"
    );
}

#[tokio::test(start_paused = true)]
async fn beats_of_strangers_and_of_the_expired_are_unknown() {
    let node = alone().await;
    let s = service("a");
    assert_eq!(node.store.beat(&s, &key(1)), Beat::Unknown);
    node.store.register(&s, instance(1)).unwrap();
    seconds(32).await;
    assert_eq!(node.store.beat(&s, &key(1)), Beat::Unknown);
}

#[tokio::test(start_paused = true)]
async fn edits_change_what_is_there_and_nothing_else() {
    let node = alone().await;
    let s = service("a");
    let edit = InstanceEdit {
        enabled: Some(false),
        ..InstanceEdit::default()
    };
    let missing = node.store.edit(&s, &key(1), edit.clone());
    assert!(matches!(missing, Err(Error::InstanceNotFound { .. })));
    node.store.register(&s, instance(1)).unwrap();
    let id = node.store.edit(&s, &key(1), edit.clone()).unwrap();
    assert!(!node.store.instance(&s, &key(1)).unwrap().enabled);
    assert_eq!(
        node.store.edit(&s, &key(1), edit).unwrap(),
        id,
        "an edit that changes nothing is none"
    );
    assert_eq!(node.told.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_expiry_off_nothing_ends_and_switched_on_it_counts_anew() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    node.store.set_rules(Rules { expiry: false });
    seconds(120).await;
    assert_eq!(node.healthy(&s, 1), Some(true));
    node.store.set_rules(Rules { expiry: true });
    seconds(29).await;
    assert_eq!(node.healthy(&s, 1), Some(true));
    seconds(2).await;
    assert_eq!(node.healthy(&s, 1), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_by_name_and_takes_beats_and_renewals() {
    let config = Config {
        instances_max: 2,
        ..Config::default()
    };
    let node = start(&Network::new(), 1, 1, config);
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    node.store.register(&s, instance(2)).unwrap();
    assert_eq!(
        node.store.register(&s, instance(3)),
        Err(Error::Full { instances_max: 2 })
    );
    node.store.register(&s, instance(2)).unwrap();
    assert!(matches!(node.store.beat(&s, &key(1)), Beat::Renewed { .. }));
    for port in 10..100 {
        node.store.deregister(&s, &key(port));
    }
    assert!(node.store.counts().tombstones <= 2, "tombstones are bounded too");
}

#[tokio::test(start_paused = true)]
async fn lists_are_sorted_by_key_and_end_with_their_last_instance() {
    let node = alone().await;
    let (a, b) = (service("a"), service("b"));
    for port in [3, 1, 2] {
        node.store.register(&a, instance(port)).unwrap();
    }
    node.store.register(&b, instance(9)).unwrap();
    assert_eq!(node.ports(&a), [1, 2, 3]);
    assert_eq!(node.store.counts().services, 2);
    node.store.deregister(&b, &key(9));
    assert_eq!(node.store.services(), [a]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_grants_everybody_a_full_period() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    seconds(5).await;
    tokio::time::advance(Duration::from_secs(40)).await;
    seconds(1).await;
    assert_eq!(node.healthy(&s, 1), Some(true));
    seconds(30).await;
    assert_eq!(node.healthy(&s, 1), None, "and no more than that");
}

#[tokio::test(start_paused = true)]
async fn old_tombstones_are_forgotten() {
    let node = alone().await;
    let s = service("a");
    node.store.register(&s, instance(1)).unwrap();
    let empty = start(&Network::new(), 1, 1, Config::default()).store.digest();
    node.store.deregister(&s, &key(1));
    seconds(590).await;
    assert_eq!(node.store.counts().tombstones, 1);
    seconds(240).await;
    assert_eq!(node.store.counts().tombstones, 0);
    assert_eq!(node.store.digest(), empty);
}
