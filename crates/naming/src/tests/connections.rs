//! What connections publish and subscribe to, as the door sees it.

use super::{info, listed, metadata};
use crate::testing::{Parts, Testbed, instance, key, service};
use crate::{Config, Error};
use muster_model::{ConnectionId, Instance, Kind, ServiceKey};
use muster_push::{SubscriptionKey, Target};

const ONE: ConnectionId = ConnectionId(1);
const TWO: ConnectionId = ConnectionId(2);

fn list(addresses: &[&str]) -> Vec<Instance> {
    addresses
        .iter()
        .map(|address| instance(address, Kind::Ephemeral))
        .collect()
}

fn subscription_of(connection: ConnectionId, service: &ServiceKey) -> SubscriptionKey {
    SubscriptionKey {
        service: service.clone(),
        clusters: "".into(),
        target: Target::Connection {
            id: connection,
            peer: "127.0.0.1:5000".parse().unwrap(),
        },
    }
}

#[tokio::test]
async fn a_list_replaces_the_last_one_and_is_in_the_next_answer() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    let publish = |addresses| bed.naming.publish(&context, ONE, &s, list(addresses)).unwrap();
    publish(&["h:1", "h:2"]);
    assert_eq!(listed(&bed, &s), ["h:1", "h:2"]);
    publish(&["h:2", "h:3"]);
    assert_eq!(listed(&bed, &s), ["h:2", "h:3"]);
    publish(&[]);
    assert_eq!(listed(&bed, &s), [""; 0]);
    assert_eq!(bed.naming.published_by(ONE), [(s.clone(), Vec::new())]);
    publish(&["h:4"]);
    bed.naming.withdraw(&context, ONE, &s, &key("h:99"));
    assert_eq!(listed(&bed, &s), [""; 0]);
    assert!(bed.naming.published_by(ONE).is_empty());
}

#[tokio::test]
async fn the_end_of_a_connection_ends_what_it_published_and_subscribed_to_and_nobody_elses() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    for (connection, address) in [(ONE, "h:1"), (TWO, "h:2")] {
        bed.naming
            .publish(&context, connection, &s, list(&[address, "h:3"]))
            .unwrap();
        bed.naming.subscribe(&context, subscription_of(connection, &s), info());
    }
    bed.naming.connection_ended(ONE);
    assert_eq!(listed(&bed, &s), ["h:2", "h:3"]);
    assert_eq!(bed.recorder.subscriptions(), [subscription_of(TWO, &s)].into());
    assert!(!bed.naming.unsubscribe(&context, ONE, &s));
    assert!(bed.naming.unsubscribe(&context, TWO, &s));
    assert!(bed.recorder.subscriptions().is_empty());
}

#[tokio::test]
async fn a_connection_that_leaves_naming_takes_all_with_it_and_may_come_back() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    for _ in 0..2 {
        bed.naming.publish(&context, ONE, &s, list(&["h:1"])).unwrap();
        bed.naming.subscribe(&context, subscription_of(ONE, &s), info());
        assert_eq!(listed(&bed, &s), ["h:1"]);
        bed.naming.connection_left(ONE);
        assert_eq!(listed(&bed, &s), [""; 0]);
        assert!(bed.naming.published_by(ONE).is_empty() && bed.recorder.subscriptions().is_empty());
    }
}

#[tokio::test]
async fn who_is_overtaken_by_a_newer_registration_is_named_to_the_door() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    for connection in [ONE, ONE, TWO] {
        bed.naming.publish(&context, connection, &s, list(&["h:1"])).unwrap();
    }
    assert_eq!(bed.naming.overtaken_connections().await, [ONE].into());
}

#[tokio::test]
async fn a_list_is_held_to_the_rules_of_a_registration_and_refused_as_a_whole() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    let mut wrong = list(&["h:1", "h:2"]);
    wrong[1].metadata = metadata(&[("preserved.heart.beat.interval", "20000")]);
    let refused = bed.naming.publish(&context, ONE, &s, wrong.clone());
    assert_eq!(refused, Err(Error::Timings));
    wrong[1].metadata = metadata(&[("k", &"x".repeat(2_000))]);
    let refused = bed.naming.publish(&context, ONE, &s, wrong);
    assert!(matches!(refused, Err(Error::MetadataTooLong { .. })));
    assert_eq!(listed(&bed, &s), [""; 0]);

    let persistent = instance("h:9", Kind::Persistent);
    bed.naming.register(&context, &s, persistent).await.unwrap();
    let refused = bed.naming.publish(&context, ONE, &s, list(&["h:1"]));
    assert_eq!(
        refused,
        Err(Error::KindMismatch {
            service: s.clone(),
            found: Kind::Persistent,
            asked: Kind::Ephemeral
        })
    );
    bed.naming.publish(&context, ONE, &s, Vec::new()).unwrap();

    bed.ephemeral.set_instances_max(0);
    let refused = bed.naming.publish(&context, ONE, &service("t"), list(&["h:1"]));
    assert!(matches!(refused, Err(Error::Full(_))));
}

#[tokio::test]
async fn an_empty_list_makes_no_service_known_and_takes_no_room_among_names() {
    let bed = Testbed::start_with(Parts {
        config: Config {
            services_max: 1,
            ..Config::default()
        },
        ..Parts::default()
    });
    let context = bed.context();
    for name in ["a", "b"] {
        bed.naming.publish(&context, ONE, &service(name), Vec::new()).unwrap();
    }
    assert_eq!(bed.naming.counts().services, 0);
    let publish = |name| bed.naming.publish(&context, ONE, &service(name), list(&["h:1"]));
    publish("a").unwrap();
    assert!(matches!(publish("b"), Err(Error::Full(_))));
}
