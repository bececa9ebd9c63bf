use super::{listed, metadata};
use crate::testing::{Testbed, instance, key, service};
use crate::{Error, Upsert};
use muster_consensus::ProposeError;
use muster_model::{
    ClusterName, ClusterSettings, HealthChecker, InstanceEdit, Kind, MetadataEdit, ServiceSettings, Weight,
};

const BOTH: [Kind; 2] = [Kind::Ephemeral, Kind::Persistent];

fn other(kind: Kind) -> Kind {
    match kind {
        Kind::Ephemeral => Kind::Persistent,
        Kind::Persistent => Kind::Ephemeral,
    }
}

#[tokio::test]
async fn a_service_takes_one_kind_at_a_time() {
    for found in BOTH {
        let bed = Testbed::start();
        let (s, context) = (service("s"), bed.context());
        bed.naming.register(&context, &s, instance("h:1", found)).await.unwrap();
        let asked = other(found);
        let refused = bed
            .naming
            .register(&context, &s, instance("h:2", asked))
            .await
            .unwrap_err();
        let expected = Error::KindMismatch {
            service: s.clone(),
            found,
            asked,
        };
        assert_eq!(refused, expected);
        bed.naming.deregister(&context, &s, &key("h:1"), found).await.unwrap();
        bed.naming.register(&context, &s, instance("h:2", asked)).await.unwrap();
        assert_eq!(listed(&bed, &s), ["h:2"]);
    }
}

#[tokio::test]
async fn a_created_service_takes_either_kind() {
    for kind in BOTH {
        let bed = Testbed::start();
        let (s, context) = (service("s"), bed.context());
        bed.naming
            .create_service(&context, &s, ServiceSettings::default())
            .await
            .unwrap();
        bed.naming.register(&context, &s, instance("h:1", kind)).await.unwrap();
        assert_eq!(listed(&bed, &s), ["h:1"]);
    }
}

#[tokio::test]
async fn what_breaks_the_rules_is_refused_and_changes_nothing() {
    for kind in BOTH {
        let bed = Testbed::start();
        let (s, context) = (service("s"), bed.context());
        let mut bad = instance("h:1", kind);
        bad.metadata = metadata(&[("preserved.heart.beat.timeout", "1")]);
        assert_eq!(
            bed.naming.register(&context, &s, bad.clone()).await,
            Err(Error::Timings)
        );
        assert_eq!(
            bed.naming.replace(&context, &s, bad.clone(), Upsert::Yes).await,
            Err(Error::Timings)
        );
        bad.metadata = metadata(&[("k", &"x".repeat(1_024))]);
        let too_long = Error::MetadataTooLong {
            chars: 1_025,
            chars_max: 1_024,
        };
        assert_eq!(bed.naming.register(&context, &s, bad).await, Err(too_long));
        assert!(!bed.naming.snapshot(&s).exists);
    }
}

#[tokio::test]
async fn without_a_leader_persistent_writes_fail_and_ephemeral_ones_go_on() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.set_leader(false);
    let refused = bed
        .naming
        .register(&context, &service("p"), instance("h:1", Kind::Persistent))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::Consensus(ProposeError::NoLeader { .. })),
        "{refused:?}"
    );
    assert!(bed.naming.read_barrier(&context).await.is_err());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    assert_eq!(listed(&bed, &s), ["h:1"]);
    bed.set_leader(true);
    assert_eq!(bed.naming.read_barrier(&context).await, Ok(()));
}

#[tokio::test]
async fn deregistering_what_is_not_there_is_well_and_does_nothing() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    assert_eq!(
        bed.naming.deregister(&context, &s, &key("h:1"), Kind::Persistent).await,
        Ok(None)
    );
    assert_eq!(
        bed.naming.deregister(&context, &s, &key("h:2"), Kind::Ephemeral).await,
        Ok(None)
    );
    assert_eq!(listed(&bed, &s), ["h:1"]);
}

#[tokio::test]
async fn replacing_is_strict_or_makes_what_is_missing() {
    for kind in BOTH {
        let bed = Testbed::start();
        let (s, context) = (service("s"), bed.context());
        let one = instance("h:1", kind);
        let strict = bed.naming.replace(&context, &s, one.clone(), Upsert::No).await;
        assert_eq!(strict, Err(Error::ServiceNotFound(s.clone())));
        bed.naming.register(&context, &s, instance("h:2", kind)).await.unwrap();
        let strict = bed.naming.replace(&context, &s, one.clone(), Upsert::No).await;
        let not_found = Error::InstanceNotFound {
            service: s.clone(),
            key: key("h:1"),
        };
        assert_eq!(strict, Err(not_found));
        bed.naming.replace(&context, &s, one, Upsert::Yes).await.unwrap();
        assert_eq!(listed(&bed, &s), ["h:1", "h:2"]);
    }
}

#[tokio::test]
async fn replacing_keeps_the_health_and_lasts_until_the_next_registration() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    let mut own = instance("h:1", Kind::Ephemeral);
    own.metadata = metadata(&[("a", "1"), ("b", "2")]);
    bed.naming.register(&context, &s, own.clone()).await.unwrap();
    bed.ephemeral.set_health(&s, &key("h:1"), false);
    let mut edited = instance("h:1", Kind::Ephemeral);
    edited.weight = Weight::new(7.0).unwrap();
    edited.metadata = metadata(&[("b", "3")]);
    bed.naming.replace(&context, &s, edited, Upsert::No).await.unwrap();
    let now = bed.naming.snapshot(&s).instances[0].clone();
    assert!(!now.healthy, "who edits is not who serves");
    assert_eq!((now.weight.get(), &now.metadata), (7.0, &metadata(&[("b", "3")])));
    bed.naming.register(&context, &s, own.clone()).await.unwrap();
    assert_eq!(*bed.naming.snapshot(&s).instances[0], own);
}

#[tokio::test]
async fn an_edit_changes_what_it_names_of_whichever_kind_is_there() {
    for kind in BOTH {
        let bed = Testbed::start();
        let (s, context) = (service("s"), bed.context());
        let mut own = instance("h:1", kind);
        own.weight = Weight::new(5.0).unwrap();
        own.enabled = false;
        bed.naming.register(&context, &s, own).await.unwrap();
        let edit = InstanceEdit {
            metadata: Some(MetadataEdit::Merge(metadata(&[("a", "1")]))),
            ..InstanceEdit::default()
        };
        bed.naming
            .edit(&context, &s, &key("h:1"), None, edit.clone())
            .await
            .unwrap();
        let now = bed.naming.snapshot(&s).instances[0].clone();
        assert_eq!(
            (now.weight.get(), now.enabled, now.metadata.get("a")),
            (5.0, false, Some("1"))
        );
        let missing = bed
            .naming
            .edit(&context, &s, &key("h:1"), Some(other(kind)), edit)
            .await;
        assert!(matches!(missing, Err(Error::InstanceNotFound { .. })), "{missing:?}");
        let long = InstanceEdit {
            metadata: Some(MetadataEdit::Merge(metadata(&[("b", &"x".repeat(1_023))]))),
            ..InstanceEdit::default()
        };
        let long = bed.naming.edit(&context, &s, &key("h:1"), None, long).await;
        assert!(
            matches!(long, Err(Error::MetadataTooLong { .. })),
            "what it grows to counts: {long:?}"
        );
    }
}

#[tokio::test]
async fn an_edit_finds_what_another_node_has_just_acknowledged() {
    for kind in [None, Some(Kind::Persistent)] {
        let bed = Testbed::start();
        let (s, context) = (service("s"), bed.context());
        bed.persistent.register_elsewhere(&s, instance("h:1", Kind::Persistent));
        let edit = InstanceEdit {
            enabled: Some(false),
            ..InstanceEdit::default()
        };
        bed.naming.edit(&context, &s, &key("h:1"), kind, edit).await.unwrap();
        assert!(!bed.naming.snapshot(&s).instances[0].enabled);
    }
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.persistent.register_elsewhere(&s, instance("h:1", Kind::Persistent));
    let settings = ClusterSettings::default();
    let cluster = ClusterName::default_cluster();
    bed.naming.set_cluster(&context, &s, &cluster, settings).await.unwrap();
}

#[tokio::test]
async fn whether_an_instance_is_there_is_not_said_where_nobody_can_know() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.persistent.set_failure(Some(ProposeError::NoLeader {
        waited: std::time::Duration::from_secs(3),
    }));
    let edit = InstanceEdit::default();
    let refused = bed.naming.edit(&context, &s, &key("h:1"), None, edit).await;
    assert!(matches!(refused, Err(Error::Consensus(_))), "{refused:?}");
}

#[tokio::test]
async fn health_by_hand_needs_a_cluster_without_checker() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Persistent))
        .await
        .unwrap();
    let works = Error::CheckerWorks {
        service: s.clone(),
        cluster: ClusterName::default_cluster(),
    };
    assert_eq!(
        bed.naming.set_health(&context, &s, &key("h:1"), false).await,
        Err(works.clone())
    );
    let patch = InstanceEdit {
        healthy: Some(false),
        ..InstanceEdit::default()
    };
    assert_eq!(
        bed.naming.edit(&context, &s, &key("h:1"), None, patch).await,
        Err(works)
    );
    let none = ClusterSettings {
        checker: HealthChecker::None,
        ..ClusterSettings::default()
    };
    bed.naming
        .set_cluster(&context, &s, &ClusterName::default_cluster(), none)
        .await
        .unwrap();
    bed.naming.set_health(&context, &s, &key("h:1"), false).await.unwrap();
    assert!(!bed.naming.snapshot(&s).instances[0].healthy);
    let missing = bed.naming.set_health(&context, &s, &key("h:2"), false).await;
    assert!(matches!(missing, Err(Error::InstanceNotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn services_are_created_once_changed_if_there_and_deleted_when_empty() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    let naming = &bed.naming;
    let not_found = Error::ServiceNotFound(s.clone());
    assert_eq!(
        naming.update_service(&context, &s, 0.5, metadata(&[])).await,
        Err(not_found.clone())
    );
    assert_eq!(naming.delete_service(&context, &s).await, Err(not_found.clone()));
    let cluster = ClusterName::default_cluster();
    assert_eq!(
        naming
            .set_cluster(&context, &s, &cluster, ClusterSettings::default())
            .await,
        Err(not_found)
    );
    naming
        .create_service(&context, &s, ServiceSettings::default())
        .await
        .unwrap();
    let again = naming.create_service(&context, &s, ServiceSettings::default()).await;
    assert_eq!(again, Err(Error::ServiceExists(s.clone())));
    naming
        .register(&context, &s, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    assert_eq!(
        naming.delete_service(&context, &s).await,
        Err(Error::ServiceNotEmpty(s.clone()))
    );
    naming
        .deregister(&context, &s, &key("h:1"), Kind::Ephemeral)
        .await
        .unwrap();
    naming.delete_service(&context, &s).await.unwrap();
    assert!(!naming.snapshot(&s).exists);
}

#[tokio::test]
async fn settings_can_be_given_to_a_service_that_only_its_ephemeral_instances_made() {
    let bed = Testbed::start();
    let (s, context) = (service("s"), bed.context());
    bed.naming
        .register(&context, &s, instance("h:1", Kind::Ephemeral))
        .await
        .unwrap();
    let before = bed.naming.snapshot(&s);
    bed.naming
        .update_service(&context, &s, 0.5, metadata(&[("a", "1")]))
        .await
        .unwrap();
    let after = bed.naming.snapshot(&s);
    assert_eq!(after.settings.protect_threshold, 0.5);
    assert!(after.revision > before.revision);
}
