//! Bytes that were written once and must be readable for ever.

use super::fixture::{apply, at, frozen, hybrid, instance, key, service, store};
use crate::command::{Action, Command};
use crate::snapshot;
use crate::store::Store;
use muster_consensus::StateMachine;
use muster_model::{
    ClusterName, ClusterSettings, GroupName, HealthChecker, InstanceEdit, Metadata, MetadataEdit, NamespaceId,
    ServiceKey, ServiceName, ServiceSettings, Weight,
};
use std::fmt::Write as _;

const SNAPSHOT_V1: &[u8] = include_bytes!("../../fixtures/snapshot-v1.bin");
const COMMANDS_V1: &str = include_str!("../../fixtures/commands-v1.hex");

fn pairs(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// One of everything that version 1 can say.
fn actions() -> Vec<Action> {
    let named = ServiceKey::new(
        NamespaceId::parse("dev").unwrap(),
        GroupName::parse("g:1").unwrap(),
        ServiceName::parse("providers:é.B:1.0:").unwrap(),
    );
    let mut full = instance(2);
    full.cluster = ClusterName::parse("C-1").unwrap();
    full.weight = Weight::new(0.5).unwrap();
    full.enabled = false;
    full.healthy = false;
    full.metadata = pairs(&[("a", "1"), ("b", "")]);
    let cluster = |checker| ClusterSettings {
        checker,
        check_port: 8080,
        use_instance_port: false,
        metadata: pairs(&[("m", "n")]),
    };
    let http = cluster(HealthChecker::Http {
        path: "/health".to_owned(),
        headers: "a:b|c:d".to_owned(),
        expected_code: 204,
    });
    let edit = InstanceEdit {
        weight: Some(Weight::new(7.0).unwrap()),
        enabled: Some(true),
        healthy: Some(true),
        metadata: Some(MetadataEdit::RemoveKeys(pairs(&[("b", "")]))),
    };
    vec![
        Action::Register(service("a"), instance(1)),
        Action::Register(named.clone(), full),
        Action::Edit(named.clone(), key(2), edit),
        Action::CreateService(
            service("created"),
            ServiceSettings {
                protect_threshold: 0.5,
                metadata: pairs(&[("k", "v")]),
                clusters: [(ClusterName::default_cluster(), cluster(HealthChecker::None))].into(),
            },
        ),
        Action::SetCluster(named.clone(), ClusterName::parse("C-1").unwrap(), http),
        Action::UpdateService {
            service: named,
            protect_threshold: 0.75,
            metadata: pairs(&[("x", "y")]),
            or_create: true,
        },
        Action::SetSwitch("pushEnabled".to_owned(), Some("false".to_owned())),
        Action::SetSwitch("gone".to_owned(), None),
        Action::Register(service("b"), instance(1)),
        Action::Deregister(service("b"), key(1)),
        Action::DeleteService(service("c")),
    ]
}

fn store_v1() -> Store {
    let (store, _) = store();
    apply(&store, 1, &actions());
    store
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Run by hand, once per version: `cargo test -p muster-persistent -- --ignored write_fixtures`.
#[test]
#[ignore = "writes the fixtures of a new version"]
fn write_fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    std::fs::write(format!("{folder}/snapshot-v1.bin"), frozen(&store_v1())).unwrap();
    let commands: Vec<_> = (1..)
        .zip(actions())
        .map(|(n, action)| hex(&super::fixture::command(n, action).encode()))
        .collect();
    std::fs::write(format!("{folder}/commands-v1.hex"), commands.join("\n") + "\n").unwrap();
}

#[test]
fn a_snapshot_of_version_1_is_read() {
    let (restored, heard) = store();
    restored.restore(&mut &SNAPSHOT_V1[..], at(11)).unwrap();
    assert_eq!(frozen(&restored), frozen(&store_v1()));
    assert_eq!(restored.applied(), Some(at(11)));
    assert_eq!(heard.take().len(), 3);
    assert_eq!(restored.switches().len(), 1);
}

#[test]
fn a_snapshot_of_version_1_is_written_as_ever() {
    assert_eq!(frozen(&store_v1()), SNAPSHOT_V1);
}

#[test]
fn commands_of_version_1_are_read_and_written_as_ever() {
    let stored: Vec<_> = COMMANDS_V1.lines().collect();
    assert_eq!(stored.len(), actions().len());
    for (line, (n, action)) in stored.into_iter().zip((1..).zip(actions())) {
        let command = super::fixture::command(n, action);
        assert_eq!(Command::decode(&unhex(line)).unwrap(), command);
        assert_eq!(hex(&command.encode()), line);
    }
}

#[test]
fn a_snapshot_that_is_cut_or_flipped_anywhere_is_refused_and_changes_nothing() {
    let (store, heard) = store();
    apply(&store, 1, &[Action::Register(service("here"), instance(1))]);
    heard.take();
    let before = frozen(&store);
    for at_byte in 0..SNAPSHOT_V1.len() {
        let mut flipped = SNAPSHOT_V1.to_vec();
        flipped[at_byte] ^= 0x20;
        let cut = &SNAPSHOT_V1[..at_byte];
        for wrong in [&flipped[..], cut] {
            assert!(store.restore(&mut &wrong[..], at(50)).is_err(), "byte {at_byte}");
        }
    }
    assert_eq!(frozen(&store), before);
    assert_eq!(store.applied(), Some(at(1)));
    assert!(heard.take().is_empty());
}

#[test]
fn a_snapshot_of_a_later_version_is_refused_by_name() {
    let mut later = SNAPSHOT_V1.to_vec();
    later[8] = 2;
    let error = snapshot::read(&mut &later[..]).unwrap_err();
    assert_eq!(error.to_string(), "snapshot version 2, this node knows 1");
}

#[test]
fn a_restored_store_shows_a_clock_that_is_not_behind() {
    let clock = hybrid();
    let ahead = muster_model::Stamp::from_millis(clock.now_ms() + 60_000);
    let mut fast = super::fixture::command(1, Action::Register(service("a"), instance(1)));
    fast.stamp = ahead;
    let (first, _) = store();
    super::fixture::apply_commands(&first, 1, vec![fast.encode()]);
    let (second, _) = store();
    second.restore(&mut frozen(&first).as_slice(), at(1)).unwrap();
    assert!(second.hybrid().tick() > ahead);
}
