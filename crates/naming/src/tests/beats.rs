use super::{listed, metadata};
use crate::testing::{Testbed, instance, key, service};
use crate::{Beat, BeatAnswer, Error};
use muster_model::{Kind, Weight};
use std::time::Duration;

fn renewed(ms: u64) -> Result<BeatAnswer, Error> {
    let interval = Duration::from_millis(ms);
    Ok(BeatAnswer::Renewed { interval })
}

fn unknown(ms: u64) -> Result<BeatAnswer, Error> {
    let interval = Duration::from_millis(ms);
    Ok(BeatAnswer::Unknown { interval })
}

fn light(address: &str) -> Beat {
    Beat::Light(key(address))
}

fn full(address: &str, kind: Kind) -> Beat {
    Beat::Full(Box::new(instance(address, kind)))
}

#[tokio::test]
async fn a_light_beat_of_an_unknown_instance_registers_nothing_and_a_full_one_does() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    assert_eq!(bed.naming.beat(&context, &s, light("h:1")), unknown(5_000));
    assert!(!bed.naming.snapshot(&s).exists);
    assert_eq!(
        bed.naming.beat(&context, &s, full("h:1", Kind::Ephemeral)),
        renewed(5_000)
    );
    assert_eq!(listed(&bed, &s), ["h:1"]);
    assert_eq!(bed.naming.beat(&context, &s, light("h:1")), renewed(5_000));
}

#[tokio::test]
async fn a_beat_never_changes_weight_or_metadata() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    let before = bed.naming.snapshot(&s);
    let mut other = instance("h:1", Kind::Ephemeral);
    other.weight = Weight::new(9.0).unwrap();
    other.metadata = metadata(&[("a", "1")]);
    assert_eq!(
        bed.naming.beat(&context, &s, Beat::Full(Box::new(other))),
        renewed(5_000)
    );
    assert_eq!(bed.naming.snapshot(&s).revision, before.revision);
}

#[tokio::test]
async fn a_beat_in_flight_does_not_bring_back_what_was_deregistered() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    bed.naming
        .deregister(&context, &s, &key("h:1"), Kind::Ephemeral)
        .await
        .unwrap();
    assert_eq!(
        bed.naming.beat(&context, &s, full("h:1", Kind::Ephemeral)),
        renewed(5_000)
    );
    assert_eq!(bed.naming.beat(&context, &s, light("h:1")), renewed(5_000));
    assert!(listed(&bed, &s).is_empty());
}

#[tokio::test]
async fn the_interval_is_the_instances_own_or_that_of_the_switch() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    for (address, interval) in [
        ("own:1", Some("1000")),
        ("own:2", Some("5000")),
        ("none:1", None),
        ("bad:1", Some("x")),
    ] {
        let mut one = instance(address, Kind::Ephemeral);
        if let Some(interval) = interval {
            one.metadata = metadata(&[("preserved.heart.beat.interval", interval)]);
        }
        bed.naming.register(&context, &s, one).await.unwrap();
    }
    let beat = |address: &str| bed.naming.beat(&context, &s, light(address));
    assert_eq!((beat("own:1"), beat("own:2")), (renewed(1_000), renewed(5_000)));
    assert_eq!((beat("none:1"), beat("bad:1")), (renewed(5_000), renewed(5_000)));
    bed.naming
        .set_switch(&context, "clientBeatInterval", "8000")
        .await
        .unwrap();
    assert_eq!((beat("own:1"), beat("own:2")), (renewed(1_000), renewed(5_000)));
    assert_eq!((beat("none:1"), beat("bad:1")), (renewed(8_000), renewed(8_000)));
    assert_eq!(beat("unknown:1"), unknown(8_000));
}

#[tokio::test]
async fn a_beat_of_a_persistent_instance_is_answered_well_and_refreshes_nothing() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    assert_eq!(
        bed.naming.beat(&context, &s, full("h:1", Kind::Persistent)),
        unknown(5_000)
    );
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Persistent))
        .await
        .unwrap();
    let before = bed.naming.snapshot(&s);
    for beat in [full("h:1", Kind::Persistent), light("h:1")] {
        assert_eq!(bed.naming.beat(&context, &s, beat), renewed(5_000));
    }
    assert_eq!(bed.naming.snapshot(&s).revision, before.revision);
}

#[tokio::test]
async fn a_full_beat_is_held_to_the_rules_of_registering() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Persistent))
        .await
        .unwrap();
    let refused = bed.naming.beat(&context, &s, full("h:2", Kind::Ephemeral));
    assert!(matches!(refused, Err(Error::KindMismatch { .. })), "{refused:?}");
    let mut bad = instance("h:1", Kind::Ephemeral);
    bad.metadata = metadata(&[("preserved.ip.delete.timeout", "1")]);
    assert_eq!(
        bed.naming.beat(&context, &service("t"), Beat::Full(Box::new(bad))),
        Err(Error::Timings)
    );
}
