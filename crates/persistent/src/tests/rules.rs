use super::fixture::{apply, apply_commands, command, frozen, instance, key, service, store};
use crate::command::Action;
use crate::outcome::{Outcome, Response};
use bytes::Bytes;
use muster_consensus::StateMachine;
use muster_model::{
    ChangeId, ClusterName, ClusterSettings, InstanceEdit, Metadata, MetadataEdit, ServiceSettings, Stamp, Weight,
};

fn register(name: &str, port: u16) -> Action {
    Action::Register(service(name), instance(port))
}

fn outcomes(responses: &[Response]) -> Vec<Outcome> {
    responses
        .iter()
        .map(|response| match response {
            Response::Done { outcome, .. } => *outcome,
            Response::Unknown(why) => panic!("{why}"),
        })
        .collect()
}

#[test]
fn a_service_made_by_its_first_instance_goes_with_its_last() {
    let (store, _) = store();
    apply(&store, 1, &[register("a", 1), register("a", 2)]);
    apply(&store, 3, &[Action::Deregister(service("a"), key(1))]);
    assert!(store.service(&service("a")).is_some());
    apply(&store, 4, &[Action::Deregister(service("a"), key(2))]);
    assert!(store.service(&service("a")).is_none());
}

#[test]
fn a_created_service_and_one_with_settings_stay_without_instances() {
    let (store, _) = store();
    let cluster = ClusterName::default_cluster();
    let actions = [
        register("created", 1),
        Action::CreateService(service("created"), ServiceSettings::default()),
        register("set", 1),
        Action::SetCluster(service("set"), cluster, ClusterSettings::default()),
        Action::Deregister(service("created"), key(1)),
        Action::Deregister(service("set"), key(1)),
    ];
    apply(&store, 1, &actions);
    assert!(store.service(&service("created")).unwrap().created);
    assert_eq!(store.service(&service("set")).unwrap().settings.clusters.len(), 1);
}

#[test]
fn creating_takes_over_what_instances_made_and_refuses_what_was_created() {
    let (store, _) = store();
    let settings = ServiceSettings {
        protect_threshold: 0.5,
        ..ServiceSettings::default()
    };
    let create = Action::CreateService(service("a"), settings);
    let cluster = Action::SetCluster(
        service("a"),
        ClusterName::parse("c").unwrap(),
        ClusterSettings::default(),
    );
    let done = apply(&store, 1, &[register("a", 1), cluster, create.clone(), create]);
    assert_eq!(outcomes(&done)[2..], [Outcome::Changed, Outcome::ServiceExists]);
    let held = store.service(&service("a")).unwrap();
    assert_eq!((held.instances.len(), held.settings.clusters.len()), (1, 1));
    assert_eq!(held.settings.protect_threshold, 0.5);
}

#[test]
fn a_service_with_instances_is_not_deleted() {
    let (store, _) = store();
    let delete = Action::DeleteService(service("a"));
    let actions = [
        delete.clone(),
        register("a", 1),
        delete.clone(),
        Action::Deregister(service("a"), key(1)),
        Action::CreateService(service("a"), ServiceSettings::default()),
        delete,
    ];
    let done = outcomes(&apply(&store, 1, &actions));
    assert_eq!(
        (done[0], done[2], done[5]),
        (Outcome::ServiceNotFound, Outcome::ServiceNotEmpty, Outcome::Changed)
    );
    assert!(store.service(&service("a")).is_none());
}

#[test]
fn an_edit_changes_what_it_names_alone() {
    let (store, _) = store();
    let pairs = |key: &str| -> Metadata { [(key.to_owned(), "v".to_owned())].into_iter().collect() };
    let edit = InstanceEdit {
        weight: Some(Weight::new(3.0).unwrap()),
        metadata: Some(MetadataEdit::Merge(pairs("k"))),
        ..InstanceEdit::default()
    };
    let edit = |port| Action::Edit(service("a"), key(port), edit.clone());
    let done = outcomes(&apply(&store, 1, &[register("a", 1), edit(1), edit(1), edit(2)]));
    assert_eq!(
        done[1..],
        [Outcome::Changed, Outcome::Unchanged, Outcome::InstanceNotFound]
    );
    let held = store.service(&service("a")).unwrap().instances[&key(1)].clone();
    assert_eq!(
        (held.weight.get(), held.metadata.get("k"), held.healthy),
        (3.0, Some("v"), true)
    );
}

#[test]
fn an_update_makes_a_record_only_when_told_and_keeps_clusters() {
    let (store, _) = store();
    let update = |or_create| Action::UpdateService {
        service: service("a"),
        protect_threshold: 0.25,
        metadata: Metadata::default(),
        or_create,
    };
    let cluster = Action::SetCluster(service("a"), ClusterName::default_cluster(), ClusterSettings::default());
    let done = outcomes(&apply(
        &store,
        1,
        &[update(false), update(true), cluster, update(false)],
    ));
    assert_eq!(
        done,
        [
            Outcome::ServiceNotFound,
            Outcome::Changed,
            Outcome::Changed,
            Outcome::Unchanged
        ]
    );
    assert_eq!(store.service(&service("a")).unwrap().settings.clusters.len(), 1);
}

#[test]
fn a_switch_is_set_and_given_its_default_back() {
    let (store, heard) = store();
    apply(
        &store,
        1,
        &[Action::SetSwitch("pushEnabled".to_owned(), Some("false".to_owned()))],
    );
    assert_eq!(store.switches()["pushEnabled"], "false");
    apply(&store, 2, &[Action::SetSwitch("pushEnabled".to_owned(), None)]);
    assert!(store.switches().is_empty());
    assert!(heard.take().is_empty());
}

#[test]
fn the_sink_is_told_once_per_service_and_batch_with_the_last_change() {
    let (store, heard) = store();
    apply(&store, 1, &[register("a", 1), register("b", 1), register("a", 2)]);
    let told = heard.take();
    assert_eq!(told.len(), 2);
    let (name, trace) = &told[0];
    assert_eq!(*name, service("a"));
    assert_eq!(trace.id, ChangeId::Raft { index: 3 });
    assert_eq!(trace.stamp, Stamp::from_millis(1_003));
    assert_eq!(told[1].1.id, ChangeId::Raft { index: 2 });
}

#[test]
fn an_equal_registration_is_acknowledged_and_notifies_nobody() {
    let (store, heard) = store();
    apply(&store, 1, &[register("a", 1)]);
    heard.take();
    let before = store.service(&service("a"));
    assert_eq!(outcomes(&apply(&store, 2, &[register("a", 1)])), [Outcome::Unchanged]);
    assert!(heard.take().is_empty());
    assert_eq!(store.service(&service("a")), before);
    assert_eq!(store.applied().unwrap().position.index, 2);
}

#[test]
fn what_a_reader_holds_does_not_change_under_it() {
    let (store, _) = store();
    apply(&store, 1, &[register("a", 1)]);
    let held = store.service(&service("a")).unwrap();
    apply(&store, 2, &[register("a", 2)]);
    assert_eq!(held.instances.len(), 1);
    assert_eq!(store.service(&service("a")).unwrap().instances.len(), 2);
}

#[test]
fn a_retried_command_is_answered_as_the_first_was_and_not_carried_out() {
    let (store, heard) = store();
    let first = command(7, register("a", 1)).encode();
    let answered = apply_commands(&store, 1, vec![first.clone()]);
    apply(&store, 2, &[Action::Deregister(service("a"), key(1))]);
    heard.take();
    // the first copy was slow: what came after it must not be undone
    assert_eq!(apply_commands(&store, 3, vec![first]), answered);
    assert!(store.service(&service("a")).is_none());
    assert!(heard.take().is_empty());
}

#[test]
fn an_unknown_command_is_answered_and_changes_nothing() {
    let (store, heard) = store();
    apply(&store, 1, &[register("a", 1)]);
    let before = frozen(&store);
    heard.take();
    let known = command(9, register("b", 1)).encode().to_vec();
    let cut_short = known[..known.len() - 3].to_vec();
    // an empty message in field 40, kept for accounts, in the place of an action
    let accounts = [&command_head()[..], &[0xc2, 0x02, 0x00]].concat();
    // the last value of a field holds: format 2
    let newer_format = [&known[..], &[4 << 3, 2]].concat();
    let wrong = [
        vec![],
        vec![0xff; 40],
        b"text".to_vec(),
        cut_short,
        accounts,
        newer_format,
    ];
    for bytes in wrong {
        let answer = apply_commands(&store, 2, vec![Bytes::from(bytes.clone())]);
        assert!(matches!(answer[0], Response::Unknown(_)), "{bytes:x?}: {answer:?}");
    }
    assert_eq!(frozen(&store), before);
    assert!(heard.take().is_empty());
}

/// A command of today's format whose action is left out.
fn command_head() -> Vec<u8> {
    let mut bytes = vec![1 << 3 | 1];
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    bytes.extend_from_slice(&[2 << 3, 9, 4 << 3, 1]);
    bytes
}

#[test]
fn stamps_of_commands_move_the_clock_of_the_node() {
    let (store, _) = store();
    let mut fast = command(1, register("a", 1));
    fast.stamp = Stamp::from_millis(store.hybrid().now_ms() + 60_000);
    apply_commands(&store, 1, vec![fast.encode()]);
    assert!(store.hybrid().tick() > fast.stamp);
}
