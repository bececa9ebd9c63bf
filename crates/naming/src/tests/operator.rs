use crate::testing::Testbed;
use crate::{Error, Switches};
use muster_consensus::ProposeError;
use std::time::Duration;

#[tokio::test]
async fn a_switch_reaches_those_who_heed_it_and_goes_back() {
    let bed = Testbed::start();
    let context = bed.context();
    for (entry, value) in [("check", "false"), ("pushEnabled", "false"), ("healthCheckTimes", "5")] {
        bed.naming.set_switch(&context, entry, value).await.unwrap();
    }
    assert!(!bed.ephemeral.rules().expiry);
    assert!(!bed.recorder.enabled());
    let switches = bed.naming.switches();
    assert_eq!((switches.check_times, switches.set.len()), (5, 3));
    for (entry, value) in [("check", "true"), ("pushEnabled", "true")] {
        bed.naming.set_switch(&context, entry, value).await.unwrap();
    }
    assert!(bed.ephemeral.rules().expiry && bed.recorder.enabled());
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_another_node_set_is_heeded_within_a_second() {
    let bed = Testbed::start();
    bed.persistent.put_switch("lightBeatEnabled", Some("false"));
    bed.persistent.put_switch("ofALaterVersion", Some("1"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!bed.naming.switches().light_beat);
    assert!(bed.naming.switches().set.contains_key("ofALaterVersion"));
    bed.persistent.put_switch("lightBeatEnabled", None);
    bed.persistent.put_switch("ofALaterVersion", None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*bed.naming.switches(), Switches::default());
}

#[tokio::test]
async fn a_bad_switch_is_refused_by_name_and_changes_nothing() {
    let bed = Testbed::start();
    let context = bed.context();
    for (entry, value) in [
        ("masters", "a"),
        ("nobody", "1"),
        ("check", "perhaps"),
        ("check", "null"),
    ] {
        let refused = bed.naming.set_switch(&context, entry, value).await;
        let Err(Error::BadSwitch { entry: named, .. }) = refused else {
            panic!("{entry}={value}: {refused:?}")
        };
        assert_eq!(named, entry);
    }
    bed.set_leader(false);
    let refused = bed.naming.set_switch(&context, "check", "false").await;
    assert!(
        matches!(refused, Err(Error::Consensus(ProposeError::NoLeader { .. }))),
        "{refused:?}"
    );
    assert_eq!(*bed.naming.switches(), Switches::default());
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let bed = Testbed::start();
    let readiness = bed.naming.readiness();
    assert!(readiness.ready && readiness.has_leader && readiness.reasons.is_empty());

    bed.set_leader(false);
    let readiness = bed.naming.readiness();
    assert!(
        readiness.ready && !readiness.has_leader,
        "reads and ephemeral writes go on"
    );
    assert!(readiness.reasons[0].contains("no raft leader"));
    bed.set_leader(true);

    bed.set_status(|status| status.committed_index = status.applied_index + 10_000);
    assert!(bed.naming.readiness().reasons.is_empty(), "a second's writes at most");
    bed.set_status(|status| status.committed_index += 1);
    let readiness = bed.naming.readiness();
    assert!(readiness.ready && readiness.reasons[0].contains("10001 committed writes are not applied"));
    bed.set_status(|status| status.committed_index = status.applied_index);

    bed.set_loading(Some("no peer answers"));
    let readiness = bed.naming.readiness();
    assert!(!readiness.ready && readiness.reasons[0].contains("no peer answers"));
    bed.set_loading(None);

    bed.set_status(|status| status.initialized = false);
    assert!(!bed.naming.readiness().ready);
    bed.set_status(|status| {
        status.initialized = true;
        status.fatal = Some("disk".to_owned());
    });
    assert!(!bed.naming.readiness().ready);
    bed.set_status(|status| status.fatal = None);

    let context = bed.context();
    bed.naming
        .set_switch(&context, "overriddenServerStatus", "DOWN")
        .await
        .unwrap();
    assert!(!bed.naming.readiness().ready);
    bed.naming
        .set_switch(&context, "overriddenServerStatus", "UP")
        .await
        .unwrap();
    assert!(bed.naming.readiness().ready);
    bed.naming
        .set_switch(&context, "overriddenServerStatus", "null")
        .await
        .unwrap();
    assert_eq!(bed.naming.switches().server_status, None);
}
