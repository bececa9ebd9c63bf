use super::fixture::{Failure, FakeGroup, Heard, hybrid, instance, key, open, service};
use crate::{Config, Persistent, Rejection, WriteError};
use muster_consensus::{ProposeError, StateMachine};
use muster_model::{ChangeId, ServiceSettings};
use muster_runtime::{Shutdown, Tasks};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn in_seconds(seconds: u64) -> Instant {
    tokio::time::Instant::now().into_std() + Duration::from_secs(seconds)
}

fn group(failures: impl IntoIterator<Item = Failure>) -> (tempfile::TempDir, Persistent, Arc<FakeGroup>) {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, store) = open(dir.path());
    let group = FakeGroup::new(store, failures);
    persistent.attach_proposer(group.clone());
    (dir, persistent, group)
}

#[tokio::test]
async fn a_write_is_visible_when_it_is_acknowledged() {
    let (_dir, persistent, _group) = group([]);
    let id = persistent
        .register(&service("a"), instance(1), in_seconds(5))
        .await
        .unwrap();
    assert_eq!(id, ChangeId::Raft { index: 1 });
    assert_eq!(persistent.service(&service("a")).unwrap().instances.len(), 1);
    assert_eq!(persistent.namespaces().len(), 1);
    assert_eq!(
        persistent
            .deregister(&service("a"), &key(2), in_seconds(5))
            .await
            .unwrap(),
        None
    );
    let gone = persistent
        .deregister(&service("a"), &key(1), in_seconds(5))
        .await
        .unwrap();
    assert_eq!(gone, Some(ChangeId::Raft { index: 3 }));
    assert!(persistent.service(&service("a")).is_none());
    assert_eq!(persistent.read_barrier(in_seconds(5)).await.unwrap(), 3);
}

#[tokio::test]
async fn a_rejection_names_what_was_asked_for() {
    let (_dir, persistent, _group) = group([]);
    let edit = persistent
        .edit(&service("a"), &key(1), Default::default(), in_seconds(5))
        .await;
    let expected = Rejection::InstanceNotFound {
        service: service("a"),
        key: key(1),
    };
    assert_eq!(edit, Err(WriteError::Rejected(expected)));
    let settings = ServiceSettings::default;
    persistent
        .create_service(&service("a"), settings(), in_seconds(5))
        .await
        .unwrap();
    let again = persistent
        .create_service(&service("a"), settings(), in_seconds(5))
        .await;
    assert_eq!(again, Err(WriteError::Rejected(Rejection::ServiceExists(service("a")))));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_and_the_write_happens_once() {
    let (_dir, persistent, group) = group([Failure::AnswerLost, Failure::ProposalLost]);
    let id = persistent
        .register(&service("a"), instance(1), in_seconds(5))
        .await
        .unwrap();
    assert_eq!(id, ChangeId::Raft { index: 1 }, "where its first copy took effect");
    assert_eq!(*group.index.lock(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_until_its_deadline_is_said_to_be_unknown() {
    let (_dir, persistent, _group) = group((0..1_000).map(|_| Failure::ProposalLost));
    let error = persistent
        .register(&service("a"), instance(1), in_seconds(3))
        .await
        .unwrap_err();
    let WriteError::Propose(ProposeError::OutcomeUnknown { waited }) = error else {
        panic!("{error}");
    };
    assert!((2.8..=3.0).contains(&waited.as_secs_f64()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn no_leader_after_an_unknown_outcome_is_still_unknown() {
    let failures = std::iter::once(Failure::AnswerLost).chain((0..1_000).map(|_| Failure::NoLeader));
    let (_dir, persistent, _group) = group(failures);
    let error = persistent
        .register(&service("a"), instance(1), in_seconds(3))
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Propose(ProposeError::OutcomeUnknown { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn no_leader_is_passed_on_at_once() {
    let (_dir, persistent, group) = group([Failure::NoLeader]);
    let error = persistent
        .register(&service("a"), instance(1), in_seconds(3))
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Propose(ProposeError::NoLeader { .. })),
        "{error}"
    );
    assert_eq!(*group.index.lock(), 0);
}

#[tokio::test]
async fn a_write_before_the_group_is_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (persistent, _store) = open(dir.path());
    let error = persistent
        .register(&service("a"), instance(1), in_seconds(3))
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::Propose(ProposeError::Stopped(_))),
        "{error}"
    );
}

#[tokio::test]
async fn shutdown_writes_a_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let tasks = Tasks::new(Shutdown::new());
    let config = Config {
        data_dir: dir.path().to_owned(),
        checkpoint_every: Duration::from_secs(3_600),
        sled_cache_bytes: 1 << 20,
    };
    let (persistent, machine) = Persistent::open(config, hybrid(), Arc::new(Heard::default()), &tasks).unwrap();
    machine.apply(Vec::new(), super::fixture::at(4)).unwrap();
    tasks.shutdown().begin();
    assert!(tasks.ended_within(Duration::from_secs(20)).await);
    drop((persistent, machine));
    assert_eq!(open(dir.path()).1.applied(), Some(super::fixture::at(4)));
}
